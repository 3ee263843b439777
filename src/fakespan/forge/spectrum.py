"""Short-time spectra of speech, and processing on them: a mel round trip, and time stretching.

Audio is mono float32 at 16 kHz.
"""

from __future__ import annotations

import numpy as np
import torch

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE

__all__ = ["from_spectrum", "stretch", "through_mel", "to_spectrum"]

N_FFT = 512
HOP = 128


def to_spectrum(sound: Float32Array) -> torch.Tensor:
    """(257, n // 128 + 1) complex; a sound shorter than 512 samples is padded."""
    padded = torch.from_numpy(_fit(sound, max(len(sound), N_FFT)).copy())  # a clip may be mapped read-only
    return torch.stft(padded, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True)


def from_spectrum(spectrum: torch.Tensor, n: int) -> Float32Array:
    """The inverse of `to_spectrum`, n samples; the last n % 128 are mirrored."""
    full = torch.istft(spectrum, N_FFT, HOP, window=torch.hann_window(N_FFT))
    return _fit(np.asarray(full.numpy(), dtype=np.float32), n)


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


def _fit(span: Float32Array, n: int) -> Float32Array:
    """Exactly n samples: cut, or padded by reflection."""
    if len(span) == 0:
        return np.zeros(n, np.float32)
    return span[:n] if len(span) >= n else np.pad(span, (0, n - len(span)), mode="symmetric")


def _griffin_lim(magnitude: torch.Tensor, n: int, n_iterations: int, rng: np.random.Generator) -> Float32Array:
    phase = torch.from_numpy(rng.uniform(-np.pi, np.pi, magnitude.shape).astype(np.float32))
    for _ in range(n_iterations):
        phase = to_spectrum(from_spectrum(torch.polar(magnitude, phase), n)).angle()
    return from_spectrum(torch.polar(magnitude, phase), n)


def _mel_bank(n_bands: int) -> torch.Tensor:
    """Triangular filters evenly spaced on the HTK mel scale, (n_bands, N_FFT // 2 + 1)."""
    top_mel = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges_hz = 700 * (10 ** (np.linspace(0, top_mel, n_bands + 2) / 2595) - 1)
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    rise = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    fall = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0, np.minimum(rise, fall)).astype(np.float32))
