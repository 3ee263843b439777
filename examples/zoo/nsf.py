"""A neural source-filter vocoder (NSF, 1904.12088): harmonics of the pitch and noise, filtered by what log-mels tell.

A frame's network gives each bin's gain for the harmonics and for the noise; small convolutions of samples, told of the
frame, then correct the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blocks import ConvNeXt, Copy, conv
from spectra import SAMPLE_RATE, LogMel, stft

__all__ = ["Nsf", "NsfSettings", "pitch"]

_LOWEST_HZ, _HIGHEST_HZ = 65.0, 420.0


@dataclass(frozen=True, slots=True)
class NsfSettings:
    """`channels` and `n_layers` are those of the convolutions of samples."""

    n_mels: int = 80
    n_fft: int = 1024
    filter_fft: int = 512
    hop: int = 160
    width: int = 160
    n_blocks: int = 4
    channels: int = 16
    n_layers: int = 4
    n_harmonics: int = 40


class Nsf(nn.Module):
    """Log-mels and pitch -> samples."""

    def __init__(self, settings: NsfSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.hop = s.hop
        self.mel = LogMel(s.n_mels, s.n_fft, s.hop, centred=True)
        self.frames = nn.Sequential(
            conv(s.n_mels + 1, s.width, 7), *(ConvNeXt(s.width, 3 * s.width) for _ in range(s.n_blocks))
        )
        self.gains = nn.Conv1d(s.width, s.filter_fft + 2, 1)
        self.told = nn.Conv1d(s.width, 2 * s.channels, 1)
        self.first = conv(3, s.channels, 5)
        dilations = [3**i % 26 for i in range(s.n_layers)]
        self.layers = nn.ModuleList(conv(s.channels, 2 * s.channels, 5, dilation) for dilation in dilations)
        self.last = conv(s.channels, 1, 5)

    def forward(self, sound: Tensor) -> Copy:
        """(B, N) -> its copy; N is a multiple of the hop."""
        n_samples = sound.shape[1]
        hertz = pitch(sound, self.hop)
        frames = self.frames(torch.cat([self.mel(sound), (hertz > 0).float()[:, None]], 1))
        harmonics, noise = self._source(hertz, n_samples)
        gains = self.gains(frames).float().clamp(max=5.0).exp()
        ways = gains.chunk(2, dim=1)
        parts = [self._filtered(x, way, n_samples) for x, way in zip((harmonics, noise), ways, strict=True)]
        return Copy(self._corrected(parts[0] + parts[1], harmonics, noise, frames))

    def _source(self, hertz: Tensor, n_samples: int) -> tuple[Tensor, Tensor]:
        """Harmonics of equal strength below half the sample rate, silent where there is no pitch; and noise."""
        held = hertz.repeat_interleave(self.hop, dim=1)
        steady = held[:, self.hop // 2 : self.hop // 2 + n_samples]
        phase = torch.cumsum(steady.double() / SAMPLE_RATE, 1).float() % 1.0 * (2 * torch.pi)
        half = phase / 2
        n = (SAMPLE_RATE / 2 / steady.clamp(min=_LOWEST_HZ)).floor().clamp(max=self.settings.n_harmonics)
        below = half.sin()
        near = below.abs() < 1e-3
        # the sum of n cosines in closed form
        comb = (n * half).sin() * ((n + 1) * half).cos() / torch.where(near, 1.0, below)
        comb = torch.where(near, n, comb) / n.clamp(min=1).sqrt() * (steady > 0)
        return comb * 0.1, torch.randn_like(comb) * 0.1

    def _filtered(self, x: Tensor, gains: Tensor, n_samples: int) -> Tensor:
        n_fft = self.settings.filter_fft
        spectrum = stft(x, n_fft, self.hop) * gains
        return torch.istft(spectrum, n_fft, self.hop, window=torch.hann_window(n_fft), length=n_samples)

    def _corrected(self, rough: Tensor, harmonics: Tensor, noise: Tensor, frames: Tensor) -> Tensor:
        told = F.interpolate(self.told(frames).float(), rough.shape[1], mode="linear")
        scale, shift = told.chunk(2, dim=1)
        x = self.first(torch.stack([rough, harmonics, noise], 1)) * (1 + scale) + shift
        for layer in self.layers:
            value, gate = layer(x).chunk(2, dim=1)
            x = x + value.tanh() * gate.sigmoid()
        return rough + self.last(x)[:, 0].float()


def pitch(sound: Tensor, hop: int) -> Tensor:
    """Pitch by autocorrelation, in hertz, 0 where there is none: (B, N) -> (B, N // hop + 1)."""
    n_window, n_fft = 768, 2048
    with torch.no_grad():
        frames = F.pad(sound.float(), (n_window // 2, n_window // 2 + hop)).unfold(1, n_window, hop)
        frames = frames[:, : sound.shape[1] // hop + 1]
        frames = (frames - frames.mean(2, keepdim=True)) * torch.hann_window(n_window)
        of_window = _autocorrelation(torch.hann_window(n_window), n_fft).clamp(min=1e-3)
        likeness = _autocorrelation(frames, n_fft) / of_window
        energy = likeness[..., :1].clamp(min=1e-7)
        shortest, longest = int(SAMPLE_RATE / _HIGHEST_HZ), int(SAMPLE_RATE / _LOWEST_HZ)
        # longer lags repeat the same period: a small cost keeps the first
        scores = likeness[..., shortest:longest] / energy - torch.linspace(0, 0.12, longest - shortest)
        best, lag = scores.max(2)
        return torch.where(best > 0.42, SAMPLE_RATE / (lag + shortest).float(), torch.zeros(()))


def _autocorrelation(frames: Tensor, n_fft: int) -> Tensor:
    spectrum = torch.fft.rfft(frames, n_fft)
    return torch.fft.irfft(spectrum.abs().square(), n_fft)[..., : n_fft // 4]
