"""A quantised autoencoder of samples: strided, residual codebooks, up-sampling (SoundStream, 2107.03312)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from blocks import Copy, Residual, Upsampler, activation, conv
from quantiser import ResidualQuantiser

__all__ = ["Codec", "CodecSettings"]


@dataclass(frozen=True, slots=True)
class CodecSettings:
    """A frame is the product of `rates`, in samples; the decoder's width is halved at each of them."""

    rates: tuple[int, ...] = (8, 5, 4, 2)
    width: int = 160
    n_codebooks: int = 8
    n_codes: int = 256
    up: str = "transposed"
    act: str = "leaky"


class Codec(nn.Module):
    """Samples -> codes -> samples."""

    def __init__(self, settings: CodecSettings) -> None:
        super().__init__()
        s = settings
        self.hop = prod(s.rates)
        channels = s.width // 2 ** len(s.rates)
        layers: list[nn.Module] = [conv(1, channels, 7)]
        for rate in reversed(s.rates):
            layers += [Residual(channels, 3, (1, 3), s.act), activation(s.act, channels)]
            kernel = 2 * rate + rate % 2
            layers.append(nn.Conv1d(channels, 2 * channels, kernel, rate, padding=(kernel - rate) // 2))
            channels *= 2
        self.encoder = nn.Sequential(*layers)
        self.quantiser = ResidualQuantiser(s.width, s.n_codebooks, s.n_codes)
        self.decoder = Upsampler(s.width, 1, width=s.width, rates=s.rates, kernels=(3,), up=s.up, act=s.act)

    def forward(self, sound: Tensor, n_codebooks: int | None = None) -> Copy:
        """(B, N) -> its copy; N is a multiple of the hop. `n_codebooks` uses only the first of them."""
        said, commitment, _ = self.quantiser(self.encoder(sound[:, None]).float(), n_codebooks)
        return Copy(torch.tanh(self.decoder(said)[:, 0].float()), {"commitment": commitment})
