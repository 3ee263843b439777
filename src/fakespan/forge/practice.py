"""Practice forgeries, generated on the fly from genuine clips, for training without a data set and for evaluation.

An excerpt of a few seconds is taken from a clip; nothing, its audio, its faces or both are forged over one or two short
spans; then it is re-encoded (untouched clips too, so that codec artefacts reveal nothing) and augmented with changes
that are not forgeries (brightness, noise, repeated frames, level). Kinds and lengths follow LAV-DF (2204.06228, section
3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLES_PER_FRAME, Framing
from fakespan.data.augment import disturb, through_codec
from fakespan.data.example import Example
from fakespan.errors import ConfigError
from fakespan.forge.bank import Clip
from fakespan.forge.lips import draw_look, forge_faces
from fakespan.forge.voice import Treatment, forge_sound
from fakespan.media.features import prepare_crop

__all__ = ["PracticeConfig", "make_example"]

Kind = Literal["real", "audio", "visual", "both"]


@dataclass(frozen=True)
class PracticeConfig:
    """Configuration of practice clips (table [practice])."""

    n_frames: int = 75  # of a training clip; 3 s is the length of a GRID sentence
    kinds: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)  # shares of real, audio, visual, both
    two_spans: float = 0.15  # share of forged clips with a second span, unless it is too close to the first
    min_span_s: float = 0.2
    max_span_s: float = 1.6
    mean_span_s: float = 0.65  # LAV-DF: 0.65
    std_span_s: float = 0.3  # LAV-DF: 0.29
    disturb: bool = True  # augmentation; false: re-encoding only, for evaluation

    def __post_init__(self) -> None:
        if self.n_frames < 1:
            raise _bad_value("n_frames", "a number of at least 1", self.n_frames)
        if min(self.kinds) < 0 or sum(self.kinds) <= 0:
            raise _bad_value("kinds", "shares of at least 0, not all of them 0", self.kinds)
        if not 0 < self.min_span_s <= self.max_span_s:
            raise _bad_value("min_span_s", f"a length in 0..max_span_s ({self.max_span_s})", self.min_span_s)


def make_example(
    clips: Sequence[Clip], which: int, config: PracticeConfig, rng: np.random.Generator, framing: Framing = "face"
) -> Example:
    """One practice clip from `clips[which]`, with the other clips of its speaker as donors."""
    clip, first = _cut(clips[which], config.n_frames, rng)
    kinds: tuple[Kind, ...] = ("real", "audio", "visual", "both")
    kind = kinds[rng.choice(4, p=np.asarray(config.kinds) / np.sum(config.kinds))]
    spans = [] if kind == "real" else _draw_spans(len(clip.faces), config, rng)
    faces, sound, methods = clip.faces.copy(), clip.sound.copy(), []
    for span in spans:
        donor = _find_donor(clips, which, (first + span[0], first + span[1]), rng)
        words = []
        if kind in ("audio", "both"):
            sound, word = _forge_sound(sound, span, donor, rng)
            words.append(word)
        if kind in ("visual", "both"):
            faces, word = _forge_faces(faces, span, donor, rng)
            words.append(word)
        methods.append("+".join(words))
    faces, sound = through_codec(faces, sound, rng)
    if config.disturb:
        faces, sound = disturb(faces, sound, rng)
    truth = tuple((_seconds(a), _seconds(b)) for a, b in spans)
    return Example(
        clip.name,
        np.stack([prepare_crop(face, framing=framing) for face in faces]),
        sound,
        audio_spans=truth if kind in ("audio", "both") else (),
        visual_spans=truth if kind in ("visual", "both") else (),
        method=" ".join(methods),
    )


def _seconds(frame: int) -> float:
    """The time of a frame such that int(time * FPS) is that frame: 29 / 25 * 25 is slightly less than 29."""
    return float(np.nextafter(frame / FPS, np.inf)) if frame else 0.0


def _cut(clip: Clip, n_frames: int, rng: np.random.Generator) -> tuple[Clip, int]:
    """A random excerpt of at most n frames, and its begin."""
    n = min(n_frames, len(clip.faces))
    first = int(rng.integers(0, len(clip.faces) - n + 1))
    sound = clip.sound[first * SAMPLES_PER_FRAME : (first + n) * SAMPLES_PER_FRAME]
    return Clip(clip.name, clip.speaker, np.asarray(clip.faces[first : first + n]), np.asarray(sound)), first


def _draw_spans(n_frames: int, config: PracticeConfig, rng: np.random.Generator) -> list[tuple[int, int]]:
    """One or two spans that do not touch, as frames [begin, end)."""
    spans: list[tuple[int, int]] = []
    for _ in range(1 + int(rng.random() < config.two_spans)):
        length_s = np.clip(rng.normal(config.mean_span_s, config.std_span_s), config.min_span_s, config.max_span_s)
        n = min(round(float(length_s) * FPS), n_frames // 2)
        begin = int(rng.integers(0, n_frames - n + 1))
        if n and all(begin + n + 5 < b or begin > e + 5 for b, e in spans):
            spans.append((begin, begin + n))
    return sorted(spans)


def _find_donor(
    clips: Sequence[Clip], which: int, span: tuple[int, int], rng: np.random.Generator
) -> tuple[UInt8Array, Float32Array] | None:
    """Faces and audio of the speaker from elsewhere, 1.5 times as long as the span; None in about a third of cases.

    The span is in frames of the whole clip: it cannot be its own donor.
    """
    own = clips[which]
    want = int(1.5 * (span[1] - span[0])) + 2
    others = [c for c in clips if c.speaker == own.speaker and c.name != own.name and len(c.faces) >= want]
    source = others[rng.integers(len(others))] if others else own
    if rng.random() < 0.35 or len(source.faces) < 2 * want:
        return None
    begins = np.arange(len(source.faces) - want + 1)
    if source is own:
        begins = begins[(begins >= span[1]) | (begins + want <= span[0])]
    if not len(begins):
        return None
    first = int(begins[rng.integers(len(begins))])
    sound = source.sound[first * SAMPLES_PER_FRAME : (first + want) * SAMPLES_PER_FRAME]
    return np.asarray(source.faces[first : first + want]), np.asarray(sound)


def _forge_sound(
    sound: Float32Array, span: tuple[int, int], donor: tuple[UInt8Array, Float32Array] | None, rng: np.random.Generator
) -> tuple[Float32Array, str]:
    treatments: tuple[Treatment, ...] = ("mel", "pitch", "speed", "band", "none")
    shares = (0.45, 0.15, 0.1, 0.1, 0.2) if donor else (0.5, 0.2, 0.15, 0.15, 0.0)
    treatment = treatments[rng.choice(5, p=shares)]
    samples = span[0] * SAMPLES_PER_FRAME, span[1] * SAMPLES_PER_FRAME
    forged = forge_sound(sound, samples, donor[1] if donor else None, treatment, rng)
    return forged, f"{'donor' if donor else 'same'}-{treatment}"


def _forge_faces(
    faces: UInt8Array, span: tuple[int, int], donor: tuple[UInt8Array, Float32Array] | None, rng: np.random.Generator
) -> tuple[UInt8Array, str]:
    begin, end = span
    look = draw_look(rng, has_donor=donor is not None)
    skip = 0 if donor is None else (len(donor[0]) - (end - begin)) // 2
    source = None if donor is None else donor[0][skip : skip + end - begin]
    out = faces.copy()
    out[begin:end] = forge_faces(faces[begin:end], source, look, rng)
    return out, f"{'donor' if donor else 'same'}-{look.region}{'-soft' if look.shrink > 1 else ''}"


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"practice.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
