"""Spectra that the zoo's networks hear and are judged by. Sounds are float tensors (B, N) at 16 kHz."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SAMPLE_RATE", "LogMel", "log_spectral_distance_db", "magnitude", "mel_triangles", "stft"]

SAMPLE_RATE = 16_000
_FLOOR = 1e-5


def stft(sound: Tensor, n_fft: int, hop: int) -> Tensor:
    """Complex (B, n_fft // 2 + 1, N // hop + 1); frame k is centred on sample k * hop."""
    return torch.stft(sound.float(), n_fft, hop, window=torch.hann_window(n_fft), center=True, return_complex=True)


def magnitude(spectrum: Tensor) -> Tensor:
    """|spectrum| whose gradient stays finite at zero."""
    return (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()


def mel_triangles(n_mels: int, n_fft: int) -> Tensor:
    """Triangles of height 1 over HTK's mel scale, (n_mels, n_fft // 2 + 1); between centres they sum to 1."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, n_mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * SAMPLE_RATE / n_fft
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


class LogMel(nn.Module):
    """Log-mels of about unit scale: (B, N) -> (B, n_mels, N // hop), or one frame more when `centred`.

    Frame k is centred on sample k * hop when `centred` (as an inverse STFT wants it), else on (k + 1/2) * hop (as
    up-sampling by `hop` wants it). N is a multiple of hop.
    """

    filters: Tensor

    def __init__(self, n_mels: int, n_fft: int, hop: int, *, centred: bool = False) -> None:
        super().__init__()
        self.n_fft, self.hop, self.centred = n_fft, hop, centred
        triangles = mel_triangles(n_mels, n_fft)
        self.register_buffer("filters", triangles / triangles.sum(1, keepdim=True).clamp(min=_FLOOR), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """The log-mels."""
        if self.centred:
            spectrum = stft(sound, self.n_fft, self.hop)
        else:
            spare = self.n_fft - self.hop
            padded = F.pad(sound.float()[:, None], (spare // 2, spare - spare // 2), mode="reflect")[:, 0]
            window = torch.hann_window(self.n_fft)
            spectrum = torch.stft(padded, self.n_fft, self.hop, window=window, center=False, return_complex=True)
        return ((self.filters @ magnitude(spectrum)).clamp(min=1e-4).log() + 2.5) / 2.5


def log_spectral_distance_db(real: Tensor, twin: Tensor, *, range_db: float = 60.0) -> float:
    """Root mean square over the bins of the difference of the log spectra, mean over the frames that sound, in dB.

    1024 points every 256; bins are floored `range_db` below the loudest of `real`, and frames more than 40 dB below the
    loudest frame are left out. Both are (N,).
    """
    spectra = [magnitude(stft(sound[None], 1024, 256))[0] for sound in (real, twin)]
    loudest = spectra[0].max().clamp(min=_FLOOR)
    decibels = [20 * (spectrum / loudest).clamp(min=10 ** (-range_db / 20)).log10() for spectrum in spectra]
    energy = spectra[0].square().sum(0)
    sounding = energy > energy.max() * 1e-4
    if not sounding.any():
        return 0.0
    return float((decibels[0] - decibels[1]).square().mean(0).sqrt()[sounding].mean())
