"""Few-step flow matching on complex spectra, given the log-mels (RFWave, 2403.05010).

It begins with noise that already has the log-mels' envelope (PriorGrad, 2106.06406), which a small network turns into
speech in a few straight steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blocks import ConvNeXt, Copy, conv
from spectra import LogMel, mel_triangles, stft

__all__ = ["Flow", "FlowSettings"]


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """`n_steps` is how many the copy takes unless told otherwise."""

    n_mels: int = 80
    n_fft: int = 512
    hop: int = 160
    width: int = 224
    n_blocks: int = 5
    n_steps: int = 4


class Flow(nn.Module):
    """Log-mels and noise -> samples."""

    spread: Tensor

    def __init__(self, settings: FlowSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.hop = s.hop
        self.mel = LogMel(s.n_mels, 2 * s.n_fft, s.hop, centred=True)
        n_bins = s.n_fft // 2 + 1
        triangles = mel_triangles(s.n_mels, s.n_fft)
        self.register_buffer("spread", triangles.T / triangles.sum(0)[:, None].clamp(min=0.5), persistent=False)
        self.first = conv(2 * n_bins + s.n_mels, s.width, 7)
        self.times = nn.ModuleList(nn.Linear(32, s.width) for _ in range(s.n_blocks))
        self.blocks = nn.ModuleList(ConvNeXt(s.width, 3 * s.width) for _ in range(s.n_blocks))
        self.head = nn.Conv1d(s.width, 2 * n_bins, 1)

    def forward(self, sound: Tensor, n_steps: int | None = None) -> Copy:
        """(B, N) -> its copy. In training: where one step from a random time leads, and the loss of the velocity."""
        mel = self.mel(sound)
        envelope = self._envelope(mel)
        noise = torch.randn_like(envelope.repeat(1, 2, 1)) * 0.7
        if not self.training:
            return Copy(self._walk(noise, mel, envelope, n_steps or self.settings.n_steps, sound.shape[1]))
        target = stft(sound, self.settings.n_fft, self.hop)
        target = torch.cat([target.real, target.imag], 1) / envelope.repeat(1, 2, 1)
        time = torch.rand(len(sound), 1, 1)
        here = (1 - time) * noise + time * target
        velocity = self._velocity(here, mel, time)
        loss = (velocity - (target - noise)).square().mean()
        there = here + (1 - time) * velocity
        return Copy(self._sound(there, envelope, sound.shape[1]), {"flow": loss})

    def _envelope(self, mel: Tensor) -> Tensor:
        """The magnitudes that the log-mels tell, (B, bins, T), never near zero."""
        return 0.7 * (self.spread @ (mel * 2.5 - 2.5).exp()).clamp(min=1e-2)

    def _walk(self, x: Tensor, mel: Tensor, envelope: Tensor, n_steps: int, n_samples: int) -> Tensor:
        for step in range(n_steps):
            time = torch.full((len(x), 1, 1), step / n_steps)
            x = x + self._velocity(x, mel, time) / n_steps
        return self._sound(x, envelope, n_samples)

    def _velocity(self, x: Tensor, mel: Tensor, time: Tensor) -> Tensor:
        angles = time[:, :, 0] * math.pi * 2.0 ** torch.arange(-1, 15) / 4
        code = torch.cat([angles.sin(), angles.cos()], 1)
        x = self.first(torch.cat([x, mel], 1))
        for layer, block in zip(self.times, self.blocks, strict=True):
            x = block(x + layer(code)[:, :, None])
        return self.head(x).float()

    def _sound(self, x: Tensor, envelope: Tensor, n_samples: int) -> Tensor:
        real, imag = (x.float() * envelope.repeat(1, 2, 1)).chunk(2, dim=1)
        window = torch.hann_window(self.settings.n_fft)
        return torch.istft(torch.complex(real, imag), self.settings.n_fft, self.hop, window=window, length=n_samples)
