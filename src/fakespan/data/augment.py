"""Augmentation with changes that also occur in genuine clips: framing, brightness, blur, noise, level, codecs ...

The network should not mistake any of these for a forgery, so the labels stay unchanged. A training example is an
excerpt of a clip, so that batches need little padding.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from fakespan.data.example import Example, Span
from fakespan.errors import ConfigError
from fakespan.media.clock import stretch_faces, stretch_sound
from fakespan.media.encode import roundtrip_sound, roundtrip_video

__all__ = ["AugmentConfig", "augment", "cut", "disturb", "through_codec"]

MIN_SPAN_FRAMES = 4  # an excerpt should not contain a shorter fragment of a span
TRIES = 8


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of the training clips of a data set or store (table [augment])."""

    n_frames: int = 0  # length of a random excerpt; 0: the whole clip
    disturb: float = 0.0  # share of clips with image and audio changes
    codec: float = 0.0  # share of clips that are re-encoded
    speed: float = 0.0  # largest relative change of speed: other voices, other lips
    equalise_db: float = 0.0  # standard deviation of a random frequency response: other microphones and rooms
    shift_frames: int = 0  # largest shift of the audio against the video

    def __post_init__(self) -> None:
        for key in ("disturb", "codec"):
            if not 0 <= getattr(self, key) <= 1:
                raise _bad_value(key, "a share in 0..1", getattr(self, key))
        if not 0 <= self.speed <= 0.5:
            raise _bad_value("speed", "a share in 0..0.5", self.speed)
        for key in ("n_frames", "shift_frames", "equalise_db"):
            if getattr(self, key) < 0:
                raise _bad_value(key, "a number of at least 0", getattr(self, key))


def augment(example: Example, config: AugmentConfig, rng: np.random.Generator) -> Example:
    """A random, augmented excerpt of the clip with its labels."""
    rate = float(np.exp(rng.uniform(-1, 1) * np.log1p(config.speed)))
    example = _at_speed(cut(example, round(config.n_frames * rate), rng), rate)
    faces, sound = example.faces, example.sound
    if config.equalise_db:
        sound = _equalised(sound, config.equalise_db, rng)
    if config.shift_frames:
        sound = _shifted(sound, int(rng.integers(-config.shift_frames, config.shift_frames + 1)))
    if rng.random() < config.codec:
        faces, sound = through_codec(faces, sound, rng)
    if rng.random() < config.disturb:
        faces, sound = disturb(faces, sound, rng)
        faces = np.stack([cv2.resize(f, example.faces.shape[1:3], interpolation=cv2.INTER_CUBIC) for f in faces])
    # placeholders for missing video or audio are not changed
    return dataclasses.replace(
        example,
        faces=faces if example.has_picture else example.faces,
        sound=sound if example.has_sound else example.sound,
    )


def cut(example: Example, n_frames: int, rng: np.random.Generator) -> Example:
    """A random excerpt of at most `n_frames` (0: all) that cuts no span to a fragment, if possible."""
    n = len(example.faces)
    if not 0 < n_frames < n:
        return example
    for _ in range(TRIES):
        first = int(rng.integers(0, n - n_frames + 1))
        shown = [_shown(span, first, n_frames) for span in example.spans]
        if all(end - begin >= MIN_SPAN_FRAMES or end <= begin for begin, end in shown):
            break
    return _stretch(example, first, n_frames)


def disturb(faces: UInt8Array, sound: Float32Array, rng: np.random.Generator) -> tuple[UInt8Array, Float32Array]:
    """Random image and audio changes of faces (n, s, s, 3), of the same faces slightly larger, and of the audio."""
    side = faces.shape[1]
    keep = int(side * rng.uniform(0.8, 1.0))
    x, y = rng.integers(0, side - keep + 1, 2)
    faces = faces[:, y : y + keep, x : x + keep]
    if rng.random() < 0.5:
        faces = faces[:, :, ::-1]
    if rng.random() < 0.15:  # repeated frames, as after frame-rate conversion
        every, phase = int(rng.integers(4, 16)), int(rng.integers(0, 16))
        order = np.arange(len(faces))
        order[(order + phase) % every == 0] -= 1
        faces = faces[np.maximum(order, 0)]
    return _relit(faces, rng), _disturb_sound(sound, rng)


def through_codec(faces: UInt8Array, sound: Float32Array, rng: np.random.Generator) -> tuple[UInt8Array, Float32Array]:
    """Re-encode at a random quality; the audio in three of four cases."""
    faces = roundtrip_video(faces, fps=FPS, crf=int(rng.integers(18, 31)))
    if rng.random() < 0.75:
        sound = roundtrip_sound(sound, SAMPLE_RATE, bitrate=int(rng.choice([48_000, 64_000, 96_000, 128_000])))
    return faces, sound


def _at_speed(example: Example, rate: float) -> Example:
    """Change the speed of video, audio and labels; the pitch changes with it."""
    n = len(example.faces)
    n_new = max(1, round(n / rate))
    if n_new == n:
        return example

    def scaled(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        return tuple((a * n_new / n, b * n_new / n) for a, b in spans)

    return dataclasses.replace(
        example,
        faces=stretch_faces(example.faces, n_new),
        sound=stretch_sound(example.sound, n, n_new),
        audio_spans=scaled(example.audio_spans),
        visual_spans=scaled(example.visual_spans),
    )


def _equalised(sound: Float32Array, spread_db: float, rng: np.random.Generator) -> Float32Array:
    """Apply a smooth filter with random gains at nine frequencies."""
    spectrum = np.fft.rfft(sound)
    gains_db = np.interp(np.linspace(0, 8, len(spectrum)), np.arange(9), rng.normal(0, spread_db, 9))
    equalised = np.fft.irfft(spectrum * 10 ** (gains_db / 20), len(sound))
    return np.asarray(np.clip(equalised, -1, 1), np.float32)


def _stretch(example: Example, first: int, n_frames: int) -> Example:
    def moved(spans: tuple[Span, ...]) -> tuple[Span, ...]:
        shown = [(max(0.0, a - first / FPS), min(n_frames / FPS, b - first / FPS)) for a, b in spans]
        return tuple((a, b) for a, b in shown if b > a)

    return dataclasses.replace(
        example,
        faces=example.faces[first : first + n_frames],
        sound=example.sound[first * SAMPLES_PER_FRAME : (first + n_frames) * SAMPLES_PER_FRAME],
        audio_spans=moved(example.audio_spans),
        visual_spans=moved(example.visual_spans),
        start_s=example.start_s + first / FPS,
    )


def _shown(span: Span, first: int, n_frames: int) -> tuple[float, float]:
    """Spans in frames of the excerpt."""
    return max(0.0, span[0] * FPS - first), min(float(n_frames), span[1] * FPS - first)


def _shifted(sound: Float32Array, n_frames: int) -> Float32Array:
    """Shift with constant length; gaps are silent."""
    moved = np.zeros_like(sound)
    k = max(-len(sound), min(len(sound), n_frames * SAMPLES_PER_FRAME))
    if k >= 0:
        moved[k:] = sound[: len(sound) - k]
    else:
        moved[:k] = sound[-k:]
    return moved


def _relit(faces: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Random brightness, blur and noise."""
    tone = rng.normal(0, 10) + rng.normal(0, 7, 3)
    blurred, grain = rng.random() < 0.2, rng.random() < 0.2
    sigma = float(rng.uniform(0.4, 1.0))
    table = np.clip((np.arange(256) / 255) ** np.exp(rng.normal(0, 0.2)) * 255 * rng.uniform(0.85, 1.15), 0, 255)
    light = np.clip(table[:, None] + tone, 0, 255).astype(np.uint8)  # (256, 3)
    grain_level = rng.uniform(1, 4)
    out = np.empty_like(faces)
    for k, face in enumerate(faces):
        lit = np.stack([light[face[:, :, c], c] for c in range(3)], axis=2)
        if blurred:
            lit = cv2.GaussianBlur(lit, (0, 0), sigma)
        if grain:
            noise = rng.normal(0, grain_level, lit.shape[:2]).astype(np.float32)
            lit = np.clip(lit + noise[:, :, None], 0, 255).astype(np.uint8)
        out[k] = lit
    return out


def _disturb_sound(sound: Float32Array, rng: np.random.Generator) -> Float32Array:
    if rng.random() < 0.25:
        spectrum, frequency_hz = np.fft.rfft(sound), np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        spectrum *= 1 / (1 + (frequency_hz / rng.uniform(3000, 7500)) ** 4)
        sound = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
    if rng.random() < 0.4:
        level = float(np.std(sound)) * 10 ** rng.uniform(-3.0, -1.3)
        sound = sound + rng.normal(0, level, len(sound)).astype(np.float32)
    return np.asarray(np.clip(sound * 10 ** rng.uniform(-0.6, 0.3), -1, 1), np.float32)


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"augment.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
