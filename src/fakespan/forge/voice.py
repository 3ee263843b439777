"""Forges the audio of a span: other speech (a donor) with the artefacts of a synthesiser (a treatment).

Audio is mono float32 at 16 kHz; spans are sample indices. LAV-DF's forgeries (2204.06228, section 3) are other words in
the speaker's voice: here the donor is other speech of the same speaker, and the treatments add artefacts of
synthesisers (a mel bottleneck with reconstructed phase, shifted pitch, changed speed, a missing upper band, another
noise floor).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE

__all__ = [
    "Treatment",
    "forge_sound",
    "from_spectrum",
    "match_level",
    "replace_span",
    "stretch",
    "through_mel",
    "to_spectrum",
]

Treatment = Literal["none", "mel", "pitch", "speed", "band"]

N_FFT = 512
HOP = 128


def forge_sound(
    sound: Float32Array,
    span: tuple[int, int],
    donor: Float32Array | None,
    treatment: Treatment,
    rng: np.random.Generator,
) -> Float32Array:
    """Forge the samples `[start, end)`; all others are kept, except for cross-fades at the two seams.

    Args:
        sound: (n,) the original.
        span: start and end.
        donor: other speech, at least 1.5 times as long as the span; None: treat the original words.
        treatment: the artefact; with donor None it must not be "none".
        rng: random strengths.

    Returns:
        (n,) a new array.
    """
    if treatment not in get_args(Treatment) or (donor is None and treatment == "none"):
        raise ValueError(f"no forgery: donor {donor is not None}, treatment {treatment}")
    start, end = span
    n = end - start
    margin = min(n // 4, start, len(sound) - end)  # equal margins: the words stay in the middle
    source = sound[start - margin : end + margin] if donor is None else donor
    words = _fit(_treat(source, n, treatment, rng), n)
    return replace_span(sound, start, match_level(words, sound[start:end]), fade=int(rng.integers(40, 240)))


def replace_span(sound: Float32Array, start: int, span: Float32Array, fade: int) -> Float32Array:
    """Overlay `span` from `start`, cross-faded over `fade` samples inside both its ends.

    >>> replace_span(np.zeros(6, np.float32), 2, np.ones(2, np.float32), fade=0).tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """
    fade = min(fade, len(span) // 4)
    weight = np.ones(len(span), np.float32)
    if fade:
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade, dtype=np.float32) + 0.5) / fade)
        weight[:fade], weight[-fade:] = ramp, ramp[::-1]
    out = sound.copy()
    out[start : start + len(span)] = weight * span + (1 - weight) * sound[start : start + len(span)]
    return out


def match_level(span: Float32Array, like: Float32Array) -> Float32Array:
    """Match the loudness (RMS) of the span to a reference, by at most 12 dB."""
    gain = float(np.sqrt((np.mean(like**2) + 1e-7) / (np.mean(span**2) + 1e-7)))
    return np.asarray(span * np.clip(gain, 0.25, 4.0), np.float32)


def through_mel(sound: Float32Array, n_bands: int, n_iterations: int, rng: np.random.Generator) -> Float32Array:
    """Analysis and resynthesis through a mel spectrogram with phases by Griffin-Lim."""
    magnitude = to_spectrum(sound).abs()
    bank = _mel_bank(n_bands)
    smooth = torch.linalg.pinv(bank) @ (bank @ magnitude)
    return _griffin_lim(smooth.clamp_min(0), len(sound), n_iterations, rng)


def stretch(sound: Float32Array, rate: float) -> Float32Array:
    """Time stretching by a phase vocoder (rate > 1: faster) at the same pitch; about n / rate samples.

    >>> len(stretch(np.zeros(16000, np.float32), 2.0))
    8000
    """
    spectrum = to_spectrum(sound)
    steps = torch.arange(0, spectrum.shape[1] - 1, rate)
    left, share = steps.long(), steps - steps.floor()
    magnitude = (1 - share) * spectrum[:, left].abs() + share * spectrum[:, left + 1].abs()
    advance = spectrum[:, left + 1].angle() - spectrum[:, left].angle()
    phase = torch.cumsum(torch.cat([spectrum[:, :1].angle(), advance[:, :-1]], dim=1), dim=1)
    return from_spectrum(torch.polar(magnitude, phase), int(len(sound) / rate))


def _treat(source: Float32Array, n: int, treatment: Treatment, rng: np.random.Generator) -> Float32Array:
    """About n samples of the source with the artefacts of the treatment."""
    if treatment == "mel":
        return through_mel(_middle(source, n), int(rng.integers(40, 96)), int(rng.integers(8, 33)), rng)
    if treatment == "pitch":
        ratio = float(2 ** (rng.choice([-1, 1]) * rng.uniform(1.0, 4.0) / 12))
        return _resample(stretch(_middle(source, n), 1 / ratio), n)
    if treatment == "speed":
        rate = float(rng.choice([rng.uniform(0.72, 0.9), rng.uniform(1.12, 1.4)]))
        return stretch(_middle(source, int(n * rate) + 1), rate)
    span = _middle(source, n)
    return _band_limit(span, rng) if treatment == "band" else span


def _band_limit(span: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Low-pass and another noise floor, as of a narrow-band generator."""
    spectrum = np.fft.rfft(span)
    frequency_hz = np.fft.rfftfreq(len(span), 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (frequency_hz / rng.uniform(2500, 5000)) ** 8)
    noise = rng.standard_normal(len(span)) * 10 ** rng.uniform(-4.0, -2.7)
    return (np.fft.irfft(spectrum, len(span)) + noise).astype(np.float32)


def _middle(source: Float32Array, n: int) -> Float32Array:
    """N samples from the middle, or all."""
    skip = max(0, (len(source) - n) // 2)
    return source[skip : skip + n]


def _fit(span: Float32Array, n: int) -> Float32Array:
    """Exactly n samples: cut, or padded by reflection."""
    if len(span) == 0:
        return np.zeros(n, np.float32)
    return span[:n] if len(span) >= n else np.pad(span, (0, n - len(span)), mode="symmetric")


def _resample(sound: Float32Array, n: int) -> Float32Array:
    """N samples over the same time, by linear interpolation (as in simple tools)."""
    return np.interp(np.linspace(0, len(sound) - 1, n), np.arange(len(sound)), sound).astype(np.float32)


def _griffin_lim(magnitude: torch.Tensor, n: int, n_iterations: int, rng: np.random.Generator) -> Float32Array:
    phase = torch.from_numpy(rng.uniform(-np.pi, np.pi, magnitude.shape).astype(np.float32))
    for _ in range(n_iterations):
        phase = to_spectrum(from_spectrum(torch.polar(magnitude, phase), n)).angle()
    return from_spectrum(torch.polar(magnitude, phase), n)


def to_spectrum(sound: Float32Array) -> torch.Tensor:
    """(257, n // 128 + 1) complex; a sound shorter than 512 samples is padded."""
    padded = torch.from_numpy(_fit(sound, max(len(sound), N_FFT)).copy())  # a clip may be mapped read-only
    return torch.stft(padded, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True)


def from_spectrum(spectrum: torch.Tensor, n: int) -> Float32Array:
    """The inverse of `to_spectrum`, n samples."""
    full = torch.istft(spectrum, N_FFT, HOP, window=torch.hann_window(N_FFT))
    return _fit(np.asarray(full.numpy(), dtype=np.float32), n)


def _mel_bank(n_bands: int) -> torch.Tensor:
    """Triangular filters evenly spaced on the HTK mel scale, (n_bands, N_FFT // 2 + 1)."""
    top_mel = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top_mel, n_bands + 2) / 2595) - 1)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    rise = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    fall = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))
