"""Audio features of the networks: log-mel, log power or phase-aware spectrum.

The log-mel equals that of the published BA-TFD (2204.06228, section 4) within 1e-3 relative. The published model pads
clips with zeros to T frames before these transforms; here the caller does.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fakespan.arrays import AnyArray, Float32Array
from fakespan.config import FPS, SAMPLE_RATE

__all__ = [
    "HOP",
    "N_BINS",
    "N_FFT",
    "N_MELS",
    "SPECTRUM_VIEWS",
    "input_of_mel",
    "log_mel",
    "log_power",
    "mel_filters",
    "sound_input",
    "spectrum",
    "spectrum_of_mel",
]

N_FFT = 321  # samples of a window, about 20 ms
HOP = 160  # samples; 100 columns per second, four per video frame
N_MELS = 64
MEL_FLOOR = 0.01
SPECTRUM_FFT = 512  # window of `spectrum` in samples, 32 ms: resolves the harmonics of a voice
N_BINS = SPECTRUM_FFT // 2
SPECTRUM_VIEWS = 5
SPECTRUM_FLOOR = 1e-4
POWER_FLOOR = 1e-6
COLUMNS_PER_FRAME = int(SAMPLE_RATE / FPS) // HOP


def log_mel(sound: Tensor | AnyArray) -> Tensor:
    """Log power of 64 HTK mel bands, 0 to 8 kHz.

    Args:
        sound: (..., n) float at 16 kHz.

    Returns:
        (..., 64, n // 160) float32: windows of 321 samples centred on every 160th sample, ends reflected, log(power +
        0.01). The window centred on the end is omitted, so that n = 640 T samples give 4 T columns. Fewer than 162
        samples are padded with silence, because there is nothing to reflect.
    """
    wave = torch.as_tensor(sound, dtype=torch.float32)
    n_columns = wave.shape[-1] // HOP
    wave = F.pad(wave, (0, max(0, N_FFT // 2 + 2 - wave.shape[-1])))
    flat = wave.reshape(-1, wave.shape[-1])
    window = torch.hann_window(N_FFT, device=wave.device)
    spectrum = torch.stft(flat, N_FFT, HOP, N_FFT, window, center=True, pad_mode="reflect", return_complex=True)
    power = spectrum[..., :n_columns].abs().square()
    mel = torch.from_numpy(mel_filters()).to(wave.device) @ power
    return torch.log(mel + MEL_FLOOR).reshape(*wave.shape[:-1], N_MELS, n_columns)


def spectrum(sound: Tensor | AnyArray) -> Tensor:
    """Log power and phase of 256 linear bands, 31 to 8,000 Hz, which show vocoder artefacts that a log-mel hides.

    Phases are encoded by their differences between columns (the deviation of each band's frequency from its centre) and
    between bands (the position of its energy in the window), each as cosine and sine; neither depends on the begin of
    the window. For `small`; no published network uses this.

    Args:
        sound: (..., n) float at 16 kHz.

    Returns:
        (..., 5, 256, n // 160) float32: log(power + 1e-4), cosine and sine over time, cosine and sine over frequency.
        Columns are those of `log_mel`, windows are 512 samples long.
    """
    wave = torch.as_tensor(sound, dtype=torch.float32)
    n_columns = wave.shape[-1] // HOP
    wave = F.pad(wave, (0, max(0, N_BINS + 2 - wave.shape[-1])))
    flat, window = wave.reshape(-1, wave.shape[-1]), torch.hann_window(SPECTRUM_FFT, device=wave.device)
    bins = torch.stft(flat, SPECTRUM_FFT, HOP, window=window, pad_mode="reflect", return_complex=True)[..., :n_columns]
    above, below = bins[:, 1:], bins[:, :-1]  # (B, 256, n) each
    expected = torch.arange(1, N_BINS + 1, device=wave.device) * (2 * torch.pi * HOP / SPECTRUM_FFT)
    turn = torch.polar(torch.ones_like(expected), -expected)[:, None]
    over_time = F.pad(above[..., 1:] * above[..., :-1].conj() * turn, (1, 0))[..., :n_columns]
    over_frequency = -(above * below.conj())  # a pulse in the middle of the window has phase 0
    views = [torch.log(above.abs().square() + SPECTRUM_FLOOR)]
    for product in (over_time, over_frequency):
        unit = product / product.abs().clamp_min(1e-12)
        views += [unit.real, unit.imag]
    return torch.stack(views, dim=1).reshape(*wave.shape[:-1], SPECTRUM_VIEWS, N_BINS, n_columns)


def spectrum_of_mel(mel: Tensor) -> Tensor:
    """Approximate `spectrum` from a log-mel: levels interpolated between the band centres, without phases.

    Args:
        mel: (..., 64, n) of `log_mel`.

    Returns:
        (..., 5, 256, n): log(power + 1e-4) at the resolution of 64 bands, in the scale of `spectrum`; the phases are 0,
        which no real audio has: a network that uses them has less information.
    """
    bands, between = _mel_to_bins()
    level = (mel.exp() - MEL_FLOOR).clamp_min(0) / torch.from_numpy(bands).to(mel.device)[:, None]
    power = torch.log(level * (SPECTRUM_FFT / N_FFT) + SPECTRUM_FLOOR)  # a longer window collects more noise power
    bins = torch.from_numpy(between).to(mel.device) @ power  # (..., 256, n)
    return torch.stack([bins, *4 * [torch.zeros_like(bins)]], dim=-3)


def log_power(sound: Tensor | AnyArray) -> Tensor:
    """Log power of 256 linear bands, 31 to 8,000 Hz: the first view of `spectrum` alone, with a lower floor.

    Args:
        sound: (..., n) float at 16 kHz.

    Returns:
        (..., 1, 256, n // 160) float32: log(power + 1e-6); columns and windows are those of `spectrum`.
    """
    wave = torch.as_tensor(sound, dtype=torch.float32)
    n_columns = wave.shape[-1] // HOP
    flat = F.pad(wave, (0, max(0, N_BINS + 2 - wave.shape[-1]))).reshape(-1, max(wave.shape[-1], N_BINS + 2))
    window = torch.hann_window(SPECTRUM_FFT, device=wave.device)
    bins = torch.stft(flat, SPECTRUM_FFT, HOP, window=window, pad_mode="reflect", return_complex=True)
    power = torch.log(bins[:, 1:, :n_columns].abs().square() + POWER_FLOOR)
    return power.reshape(*wave.shape[:-1], 1, N_BINS, n_columns)


def sound_input(encoder: str, sound: Tensor | AnyArray) -> Tensor:
    """The input of the audio encoder of this name (see `ModelConfig`): `spectrum`, `log_power`, or else `log_mel`."""
    return {"spectrum": spectrum, "texture": log_power}.get(encoder, log_mel)(sound)


def input_of_mel(encoder: str, mel: Tensor) -> Tensor:
    """`sound_input` approximated from a log-mel (B, 64, 4T)."""
    if encoder not in ("spectrum", "texture"):
        return mel
    return spectrum_of_mel(mel)[:, :1] if encoder == "texture" else spectrum_of_mel(mel)


@functools.cache
def mel_filters() -> Float32Array:
    """Triangular filters (64, 161): bands by FFT bins, HTK mel scale, peak 1 (no area normalisation)."""
    bins_hz = np.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)
    top_mel = _hz_to_mel(SAMPLE_RATE / 2)
    corners_hz = _mel_to_hz(np.linspace(0.0, top_mel, N_MELS + 2))
    widths = np.diff(corners_hz)
    rising = (bins_hz[None] - corners_hz[:-2, None]) / widths[:-1, None]
    falling = (corners_hz[2:, None] - bins_hz[None]) / widths[1:, None]
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), np.float32)


@functools.cache
def _mel_to_bins() -> tuple[Float32Array, Float32Array]:
    """Number of FFT bins per mel band (64,), and the weights of the bands for each bin of `spectrum` (256, 64)."""
    edges_mel = np.linspace(0.0, _hz_to_mel(SAMPLE_RATE / 2), N_MELS + 2)
    middles_hz, bins_hz = _mel_to_hz(edges_mel[1:-1]), np.arange(1, N_BINS + 1) * (SAMPLE_RATE / SPECTRUM_FFT)
    between = np.stack([np.interp(bins_hz, middles_hz, band) for band in np.eye(N_MELS)], axis=1)
    return mel_filters().sum(axis=1).clip(1e-3), between.astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def _mel_to_hz(mel: AnyArray) -> AnyArray:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
