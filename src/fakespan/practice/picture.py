"""Practice video: an excerpt of a bank's clip with spans replaced by a generated twin or by our own rendering.

Benign changes are applied to forged and genuine excerpts alike: softening or brightness of the whole crop, re-encoding,
a jump cut, repeated frames, subtitles (`looks.null_event`). Seams are hard or blended over a few frames; a twin
replaces the whole crop, as after a cut between two files, or the mouth alone, as when a tool pasted it. Then everything
is re-encoded and reframed. Every forged excerpt has a genuine counterpart with the same processing, so that they differ
only in the forgery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from fakespan.arrays import Float32Array, Int64Array, UInt8Array
from fakespan.config import FPS
from fakespan.errors import ConfigError
from fakespan.media.crop import FACE_SIZE
from fakespan.media.encode import roundtrip_video
from fakespan.practice.looks import Look, draw_look, mouth_mask, null_event, render
from fakespan.practice.picture_bank import MOUTH_IN_BANK, OWN_FAMILY, Entry, PictureBank, Twins

__all__ = [
    "PictureExample",
    "PicturePractice",
    "draw_twins",
    "make_partial_example",
    "make_picture_example",
    "make_picture_pair",
]

Span = tuple[int, int]
GAP = 5  # minimum frames between two spans


@dataclass(frozen=True)
class PicturePractice:
    """Configuration of practice video."""

    n_frames: int = 80
    forged: float = 0.65  # share of forged clips
    two_spans: float = 0.25
    min_span_s: float = 0.16
    mean_span_s: float = 0.7
    std_span_s: float = 0.45
    max_span_s: float = 3.0
    twin: float = 0.75  # share of spans from a twin, if the clip has one; others are rendered
    nulls: float = 0.8  # share of clips with a benign change
    paired: float = (
        0.5  # share of rendered spans whose look is also applied to the whole crop elsewhere, as a benign change
    )
    fewer_fps: float = 0.2  # share of clips with a lower frame rate, with repeated frames at 25 fps
    disturb: bool = True  # false: only re-encoding, for model selection

    def __post_init__(self) -> None:
        if self.n_frames < 8:
            raise _bad_value("n_frames", "at least 8", self.n_frames)
        if not 0 < self.min_span_s <= self.max_span_s:
            raise _bad_value("min_span_s", f"a length in 0..max_span_s ({self.max_span_s})", self.min_span_s)


@dataclass(frozen=True)
class PictureExample:
    """A practice excerpt."""

    faces: UInt8Array  # (n, 96, 96, 3) mouth crops
    spans: tuple[Span, ...]  # forged frames [begin, end)
    nulls: tuple[Span, ...]  # benign changes
    method: str  # of the spans; "" when genuine


def draw_twins(twins: Sequence[Twins], rng: np.random.Generator) -> Twins:
    """Choose a clip; the person first, so that all people have equal weight."""
    people = sorted({one.real.person for one in twins})
    person = people[rng.integers(len(people))]
    own = [one for one in twins if one.real.person == person]
    return own[rng.integers(len(own))]


def make_picture_example(
    bank: PictureBank, twins: Twins, config: PicturePractice, rng: np.random.Generator
) -> PictureExample:
    """One practice excerpt of this clip."""
    forged, genuine = make_picture_pair(bank, twins, config, rng)
    return forged if rng.random() < config.forged else genuine


def make_picture_pair(
    bank: PictureBank, twins: Twins, config: PicturePractice, rng: np.random.Generator
) -> tuple[PictureExample, PictureExample]:
    """A forged excerpt of this clip and its genuine counterpart, with the same benign changes, codec and framing."""
    n = min(config.n_frames, twins.real.n_frames)
    first = int(rng.integers(0, twins.real.n_frames - n + 1))
    order = first + (_at_fewer_fps(n, rng) if config.disturb and rng.random() < config.fewer_fps else np.arange(n))
    real = np.array(bank.faces(twins.real)[order])
    spans = _draw_spans(n, config, rng)
    faces, methods = real.copy(), []
    honest: list[tuple[Span, Look | None]] = []  # None: a random event
    for span in spans:
        if twins.fakes and rng.random() < config.twin:
            fake = _some_fake(twins.fakes, rng)
            _exchange(faces, bank.faces(fake)[order[slice(*span)]], span, rng)
            methods.append(str(fake.generator))
        else:
            method, look = _rerender(faces, real, span, rng)
            methods.append(method)
            if rng.random() < config.paired:
                honest.append((_elsewhere(span, n, rng), look))
    if config.disturb and rng.random() < config.nulls:
        honest += [(_draw_span(n, config, rng), None) for _ in range(1 + int(rng.random() < 0.4))]
    honest = [(span, look) for span, look in honest if _is_apart(span, spans)]
    seed = int(rng.integers(2**32))

    def finished(faces: UInt8Array, spans: Sequence[Span], method: str) -> PictureExample:
        same = np.random.default_rng(seed)
        for span, look in honest:
            faces = null_event(faces, *span, same, look)
        faces = _through_the_world(faces, config.disturb, same)
        return PictureExample(faces, tuple(spans), tuple(span for span, _ in honest), method)

    return finished(faces, spans, "+".join(methods)), finished(real, (), "")


def make_partial_example(
    bank: PictureBank, entry: Entry, config: PicturePractice, rng: np.random.Generator
) -> PictureExample:
    """An excerpt of a clip that was forged in parts by others, with the same processing."""
    n = min(config.n_frames, entry.n_frames)
    first = int(rng.integers(0, entry.n_frames - n + 1))
    faces = _through_the_world(np.array(bank.faces(entry)[first : first + n]), config.disturb, rng)
    shown = [(max(0, begin - first), min(n, end - first)) for begin, end in entry.spans]
    return PictureExample(faces, tuple((a, b) for a, b in shown if b > a), (), str(entry.generator))


def _some_fake(fakes: Sequence[Entry], rng: np.random.Generator) -> Entry:
    """One of them; if there are both, copies by our own networks and others in equal shares."""
    own = [fake for fake in fakes if fake.family == OWN_FAMILY]
    others = [fake for fake in fakes if fake.family != OWN_FAMILY]
    chosen = (own if rng.random() < 0.5 else others) if own and others else list(fakes)
    return chosen[int(rng.integers(len(chosen)))]


def _exchange(faces: UInt8Array, twin: UInt8Array, span: Span, rng: np.random.Generator) -> None:
    """Replace the span by a twin's frames, the whole crop or the mouth alone."""
    is_whole = rng.random() < 0.5
    mask = np.ones((1, 1, 1), np.float32) if is_whole else mouth_mask(rng, faces.shape[1])
    _blend(faces, twin.astype(np.float32), span, mask, rng)


def _rerender(faces: UInt8Array, real: UInt8Array, span: Span, rng: np.random.Generator) -> tuple[str, Look]:
    """The mouth of another moment, or the same, with artefacts; also returns the method and the look."""
    begin, end = span
    look, n = draw_look(rng), len(real)
    donor = np.arange(begin, end)
    is_moved = rng.random() < 0.5
    if is_moved:
        donor = np.clip(donor + int(rng.choice((-1, 1))) * int(rng.integers(4, 40)), 0, n - 1)
    _blend(faces, render(real[donor], look, rng, clip=real), span, mouth_mask(rng, faces.shape[1]), rng)
    return "moved mouth" if is_moved else "rendered mouth", look


def _elsewhere(span: Span, n: int, rng: np.random.Generator) -> Span:
    """A range of the same length elsewhere."""
    begin = int(rng.integers(0, n - (span[1] - span[0]) + 1))
    return begin, begin + span[1] - span[0]


def _blend(faces: UInt8Array, new: Float32Array, span: Span, mask: Float32Array, rng: np.random.Generator) -> None:
    """Overlay new frames on a span, with hard seams or blended over up to three frames."""
    begin, end = span
    n = end - begin
    over = int(rng.integers(1, 4)) if rng.random() < 0.4 else 0
    edge = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1))
    share = np.minimum(1.0, edge / (over + 1)).astype(np.float32) if over else np.ones(n, np.float32)
    if begin == 0 or end == len(faces):
        share[:] = 1.0
    alpha = share[:, None, None, None] * mask
    old = faces[begin:end].astype(np.float32)
    faces[begin:end] = np.clip(old + alpha * (new - old) + 0.5, 0, 255).astype(np.uint8)


def _draw_spans(n: int, config: PicturePractice, rng: np.random.Generator) -> list[Span]:
    spans: list[Span] = []
    for _ in range(1 + int(rng.random() < config.two_spans)):
        span = _draw_span(n, config, rng)
        if _is_apart(span, spans):
            spans.append(span)
    return sorted(spans)


def _draw_span(n: int, config: PicturePractice, rng: np.random.Generator) -> Span:
    length_s = np.clip(rng.normal(config.mean_span_s, config.std_span_s), config.min_span_s, config.max_span_s)
    if rng.random() < 0.15:
        length_s = rng.uniform(config.min_span_s, config.max_span_s)
    length = min(max(2, round(float(length_s) * FPS)), max(2, (2 * n) // 3))
    begin = int(rng.integers(0, n - length + 1))
    return begin, begin + length


def _at_fewer_fps(n: int, rng: np.random.Generator) -> Int64Array:
    """The frame index at each of n time steps for a video with 10 to 24 fps."""
    step = FPS / rng.choice((10, 12, 15, 15, 18, 20, 24))
    return np.asarray(np.floor(np.floor(np.arange(n) / step + 1e-6) * step + 1e-6), np.int64)


def _is_apart(span: Span, others: Sequence[Span]) -> bool:
    return all(span[0] >= end + GAP or span[1] + GAP <= begin for begin, end in others)


def _through_the_world(faces: UInt8Array, disturb: bool, rng: np.random.Generator) -> UInt8Array:
    """Rescaling, re-encoding, brightness and reframing: processing between the forgery and the viewer."""
    side = faces.shape[1]
    if disturb and rng.random() < 0.35:
        small = round(side * rng.uniform(0.45, 0.95))
        faces = _resized(faces, small)
    faces = roundtrip_video(faces, crf=int(rng.integers(16, 43 if disturb else 30)))
    faces = _framed(faces, side, disturb, rng)
    return _relit(faces, rng) if disturb else faces


def _framed(faces: UInt8Array, side: int, disturb: bool, rng: np.random.Generator) -> UInt8Array:
    """Crop the mouth box with a random offset to 96x96; mirrored in half of the clips."""
    unit = faces.shape[1] / side
    x0, y0, x1, y1 = (part * unit for part in MOUTH_IN_BANK)
    spread = 1.0 if disturb else 0.0
    zoom = FACE_SIZE / (x1 - x0) * np.exp(spread * rng.normal(0, 0.07))
    angle = spread * rng.normal(0, 0.04)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    x = (x0 + x1) / 2 + spread * float(np.clip(rng.normal(0, 4), -10, 10)) * unit
    y = (y0 + y1) / 2 + spread * float(np.clip(rng.normal(0, 4), -10, 10)) * unit
    half = FACE_SIZE / 2 - 0.5
    matrix = np.array([[c, -s, half - c * x + s * y], [s, c, half - s * x - c * y]])
    if disturb and rng.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += FACE_SIZE - 1
    kinds = (cv2.INTER_CUBIC, cv2.INTER_LINEAR) if disturb else (cv2.INTER_CUBIC,)
    kind = int(kinds[rng.integers(len(kinds))]) if rng.random() < 0.3 else cv2.INTER_CUBIC
    out = np.empty((len(faces), FACE_SIZE, FACE_SIZE, 3), np.uint8)
    for k, face in enumerate(faces):
        out[k] = cv2.warpAffine(face, matrix, (FACE_SIZE, FACE_SIZE), flags=kind, borderMode=cv2.BORDER_REPLICATE)
    return out


def _resized(faces: UInt8Array, side: int) -> UInt8Array:
    side += side % 2
    shrunk: list[Any] = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack(shrunk)


def _relit(faces: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Random brightness, blur and noise for the whole clip."""
    levels = np.arange(256) / 255
    table = 255 * levels ** np.exp(rng.normal(0, 0.2)) * rng.uniform(0.8, 1.2)
    table = np.clip(table[:, None] + rng.normal(0, 8) + rng.normal(0, 5, 3), 0, 255).astype(np.uint8)
    rows: Any = cv2.LUT(faces.reshape(-1, faces.shape[2], 3), table[None])
    out = rows.reshape(faces.shape)
    if rng.random() < 0.2:
        sigma = float(rng.uniform(0.4, 1.2))
        out = np.stack([cv2.GaussianBlur(face, (0, 0), sigma) for face in out])
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(1, 4), out.shape[:3]).astype(np.float32)
        out = np.clip(out + noise[..., None], 0, 255).astype(np.uint8)
    return np.asarray(out)


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"practice.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
