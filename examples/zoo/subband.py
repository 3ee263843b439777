"""A sub-band GAN on log-mels: the network makes four bands at a quarter of the rate (multi-band MelGAN, 2005.05106)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from blocks import Copy, Upsampler
from pqmf import PQMF
from spectra import LogMel

__all__ = ["Subband", "SubbandSettings"]


@dataclass(frozen=True, slots=True)
class SubbandSettings:
    """The hop is the product of `rates` times `n_bands`, in samples."""

    n_mels: int = 80
    n_fft: int = 1024
    n_bands: int = 4
    width: int = 192
    rates: tuple[int, ...] = (5, 4, 2)
    kernels: tuple[int, ...] = (3,)
    dilations: tuple[int, ...] = (1, 3, 9)
    up: str = "transposed"
    act: str = "leaky"


class Subband(nn.Module):
    """Log-mels -> bands -> samples."""

    def __init__(self, settings: SubbandSettings) -> None:
        super().__init__()
        s = settings
        self.hop = prod(s.rates) * s.n_bands
        self.mel = LogMel(s.n_mels, s.n_fft, self.hop)
        self.net = Upsampler(
            *(s.n_mels, s.n_bands),
            width=s.width,
            rates=s.rates,
            kernels=s.kernels,
            dilations=s.dilations,
            up=s.up,
            act=s.act,
        )
        self.pqmf = PQMF(s.n_bands)

    def forward(self, sound: Tensor) -> Copy:
        """(B, N) -> its copy; N is a multiple of the hop."""
        return Copy(self.pqmf.synthesis(self.net(self.mel(sound)).float()))
