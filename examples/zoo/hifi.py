"""Up-sampling GANs on log-mels: HiFi-GAN (2010.05646) and, with snake activations, BigVGAN (2206.04658), made small."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from blocks import Copy, Upsampler
from spectra import LogMel

__all__ = ["Hifi", "HifiSettings"]


@dataclass(frozen=True, slots=True)
class HifiSettings:
    """The hop is the product of `rates`, in samples."""

    n_mels: int = 80
    n_fft: int = 1024
    width: int = 128
    rates: tuple[int, ...] = (8, 5, 4)
    kernels: tuple[int, ...] = (3, 7)
    dilations: tuple[int, ...] = (1, 3)
    up: str = "transposed"
    act: str = "leaky"


class Hifi(nn.Module):
    """Log-mels -> samples by up-sampling alone."""

    def __init__(self, settings: HifiSettings) -> None:
        super().__init__()
        s = settings
        self.hop = prod(s.rates)
        self.mel = LogMel(s.n_mels, s.n_fft, self.hop)
        self.net = Upsampler(
            *(s.n_mels, 1),
            width=s.width,
            rates=s.rates,
            kernels=s.kernels,
            dilations=s.dilations,
            up=s.up,
            act=s.act,
        )

    def forward(self, sound: Tensor) -> Copy:
        """(B, N) -> its copy; N is a multiple of the hop."""
        return Copy(torch.tanh(self.net(self.mel(sound))[:, 0].float()))
