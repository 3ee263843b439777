"""Artefacts of speech generators: each is a function (words, rng) -> the same words with the same length.

Mono float32 at 16 kHz, with random strength. The four represent classes of tools: "mel" a mel spectrogram with
reconstructed phases, "lpc" a parametric vocoder (all-pole envelope, pulses and noise), "phase" a phase vocoder,
"images" a generator that derives the upper band from the lower (spectral images of cheap upsampling). "clean" adds
none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE
from fakespan.forge.pitch import HOP as PITCH_HOP
from fakespan.forge.pitch import PitchTrack, track_pitch
from fakespan.forge.spectrum import from_spectrum, stretch, through_mel, to_spectrum

__all__ = ["FINGERPRINTS"]

Fingerprint = Callable[[Float32Array, np.random.Generator], Float32Array]
N_FFT, HOP = 512, 128  # of to_spectrum


def _clean(words: Float32Array, rng: np.random.Generator) -> Float32Array:
    return words.copy()


def _mel(words: Float32Array, rng: np.random.Generator) -> Float32Array:
    return through_mel(words, int(rng.integers(48, 97)), int(rng.integers(12, 41)), rng)


def _phase(words: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Slow down or speed up and back again, which decorrelates the phases of the bins."""
    rate = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.08, 0.3)))
    margin = np.pad(words, 2 * HOP, mode="symmetric" if len(words) > 2 * HOP else "edge")
    back = stretch(stretch(margin, rate), 1 / rate)
    return _exactly(back[2 * HOP :], len(words))


def _images(words: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Replace the band above 2.2 to 3.8 kHz by the mirrored lower band, with the original envelope."""
    spectrum = to_spectrum(words)
    edge = round(float(rng.uniform(2200, 3800)) / SAMPLE_RATE * N_FFT)
    share = float(rng.uniform(0.6, 1.0))
    envelope = _smooth(spectrum.abs(), 7) + 1e-6
    bins = torch.arange(edge, spectrum.shape[0])
    mirrored = (edge - (bins - edge)).abs().clamp_min(4)
    upper = (spectrum[mirrored] / envelope[mirrored]).conj() * envelope[bins]
    spectrum[bins] = share * upper + (1 - share) * spectrum[bins]
    return from_spectrum(spectrum, len(words))


def _lpc(words: Float32Array, rng: np.random.Generator) -> Float32Array:
    """All-pole envelope of 14 to 22 coefficients every 8 ms, excited by pulses and noise."""
    track = track_pitch(words)
    edge_hz = float(rng.uniform(2500, 5000))  # voiced speech is noise above it
    inverse, error = _all_pole(to_spectrum(words).abs() ** 2, int(rng.integers(14, 23)))
    pulses, noise = to_spectrum(_pulses(track, len(words))), to_spectrum(_white(len(words), rng))
    hz = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1)[:, None]
    samples = torch.arange(pulses.shape[1]) * HOP
    voiced = torch.tensor([track.at(int(k)) > 0 for k in samples], dtype=torch.float32)
    pulse_share = voiced / (1 + (hz / edge_hz) ** 6)
    excitation = pulse_share.sqrt() * pulses + (1 - pulse_share).sqrt() * noise
    return from_spectrum(excitation * error.sqrt() / inverse, len(words))


def _all_pole(power: torch.Tensor, order: int) -> tuple[torch.Tensor, torch.Tensor]:
    """From power spectra (257, t): the response of the inverse filter (257, t) and the power of the error (t,)."""
    correlation = torch.fft.irfft(power.double(), dim=0)[: order + 1] / N_FFT
    correlation[0] = correlation[0] * 1.0001 + 1e-9  # white noise 40 dB below keeps the poles inside the unit circle
    index = (torch.arange(order)[:, None] - torch.arange(order)[None]).abs()
    matrix = correlation[index].permute(2, 0, 1)  # (t, order, order)
    target = correlation[1:].T[:, :, None]
    weights = torch.linalg.solve(matrix, target)[:, :, 0]
    error = (correlation[0] - (weights * target[:, :, 0]).sum(1)).clamp_min(1e-10)
    filters = torch.cat([torch.ones(len(weights), 1, dtype=torch.float64), -weights], dim=1)
    window_power = torch.hann_window(N_FFT, dtype=torch.float64).pow(2).sum() / N_FFT
    return torch.fft.rfft(filters, N_FFT, dim=1).T.to(torch.complex64), (error / window_power).float()


def _pulses(track: PitchTrack, n: int) -> Float32Array:
    """One pulse per period in voiced frames, with power 1."""
    frames = np.arange(n) / PITCH_HOP
    voiced = np.flatnonzero(track.f0_hz)
    if not len(voiced):
        return np.zeros(n, np.float32)
    hz = np.interp(frames, voiced, track.f0_hz[voiced])
    hz[track.f0_hz[np.minimum(np.round(frames).astype(int), len(track.f0_hz) - 1)] == 0] = 0
    turns = np.floor(np.cumsum(hz / SAMPLE_RATE))
    struck = np.flatnonzero(np.diff(turns, prepend=0) > 0)
    out = np.zeros(n, np.float32)
    out[struck] = np.sqrt(SAMPLE_RATE / np.maximum(hz[struck], 40))
    return out


def _white(n: int, rng: np.random.Generator) -> Float32Array:
    return rng.standard_normal(n).astype(np.float32)


def _smooth(magnitude: torch.Tensor, width: int) -> torch.Tensor:
    """Moving average over frequency, (257, t)."""
    padded = torch.nn.functional.pad(magnitude.T[None], (width // 2, width // 2), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, width, 1)[0].T


def _exactly(words: Float32Array, n: int) -> Float32Array:
    return words[:n] if len(words) >= n else np.pad(words, (0, n - len(words)))


FINGERPRINTS: dict[str, Fingerprint] = {"clean": _clean, "mel": _mel, "lpc": _lpc, "phase": _phase, "images": _images}
