"""Small networks that draw faces anew, of the kinds that lip-sync tools are made of.

A `FaceCopier` is to a lip-sync tool what a vocoder is to a speech synthesizer: the last part, which leaves the traces.
It copies a picture through a bottleneck: the copy shows the same mouth at the same instant, and only the traces tell
the two apart. All kinds are convolutional: they learn on patches and copy pictures of any side that 8 divides.
Pictures are (B, 3, S, S) in -1..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["KINDS", "Critic", "FaceCopier", "Kind"]

N_CODES = 512
STEPS = (1.0, 0.7, 0.4, 0.15)  # shares of noise of the diffusion's steps


@dataclass(frozen=True)
class Kind:
    """How a network enlarges, and what its bottleneck is."""

    grow: Literal["deconv", "nearest", "bilinear", "shuffle"]
    n_levels: int  # each halves the side
    n_latents: int  # channels of the bottleneck
    bottleneck: Literal["plain", "quantised", "noisy"] = "plain"
    is_diffusion: bool = False  # draws detail from noise, given a small picture
    adversarial: float = 0.05  # weight of the critic


KINDS = {
    "deconv": Kind("deconv", 3, 12),  # Wav2Lip's way of enlarging
    "nearest": Kind("nearest", 2, 4),  # the autoencoder of latent diffusion (MuseTalk, LatentSync)
    "shuffle": Kind("shuffle", 3, 16, "noisy"),
    "quantised": Kind("bilinear", 2, 8, "quantised"),
    "soft": Kind("bilinear", 3, 8, adversarial=0.0),  # absolute error alone
    "diffusion": Kind("deconv", 2, 0, is_diffusion=True, adversarial=0.0),  # Diff2Lip
}


class FaceCopier(nn.Module):
    """Pictures -> (their copies, the penalty of the bottleneck)."""

    def __init__(self, kind: Kind, width: int = 32) -> None:
        super().__init__()
        self.kind = kind
        widths = [width * (k + 1) for k in range(kind.n_levels)]
        n_in = 7 if kind.is_diffusion else 3  # noisy picture, small picture, share of noise
        self.down = nn.ModuleList(_down(a, b) for a, b in zip([n_in, *widths], widths, strict=False))
        top = widths[-1]
        self.squeeze = nn.Conv2d(top, kind.n_latents or top, 1)
        self.spread = nn.Sequential(nn.Conv2d(kind.n_latents or top, top, 3, padding=1), _Residual(top), _Residual(top))
        narrower = [*widths[-2::-1], width]
        wider = [top, *widths[-2::-1]]
        double = 2 if kind.is_diffusion else 1  # with what the way down had at this size
        self.up = nn.ModuleList(
            _up(kind.grow, a * (double if k else 1), b) for k, (a, b) in enumerate(zip(wider, narrower, strict=True))
        )
        self.out = nn.Conv2d(width, 3, 3, padding=1)
        self.book = nn.Embedding(N_CODES, kind.n_latents) if kind.bottleneck == "quantised" else None

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """While a diffusion learns, one step from a random share of noise; else all its steps."""
        if not self.kind.is_diffusion:
            return self._draw(pictures)
        small = F.interpolate(F.avg_pool2d(pictures, 4), scale_factor=4, mode="bilinear")
        if self.training:
            return self._denoise(pictures, small, torch.rand(len(pictures), 1, 1, 1))
        guess, penalty = pictures, pictures.new_zeros(())
        for share in STEPS:
            guess, penalty = self._denoise(guess, small, torch.full((len(pictures), 1, 1, 1), share))
        return guess, penalty

    def _denoise(self, pictures: Tensor, small: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        noisy = (1 - share).sqrt() * pictures + share.sqrt() * torch.randn_like(pictures)
        return self._draw(torch.cat([noisy, small, share.expand(-1, 1, *pictures.shape[2:])], 1))

    def _draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        passed = []
        for down in self.down:
            x = down(x)
            passed.append(x)
        x, penalty = self._bottleneck(self.squeeze(x))
        x = self.spread(x)
        for k, up in enumerate(self.up):
            x = up(torch.cat([x, passed[-1 - k]], 1) if k and self.kind.is_diffusion else x)
        return torch.tanh(self.out(x)), penalty

    def _bottleneck(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.book is not None:
            return _quantised(x, self.book.weight)
        if self.kind.bottleneck == "noisy":  # of unit variance, a tenth of it noise, at each use
            penalty = 0.01 * (x.float().square().mean() - 1).square()
            return x + 0.3 * torch.randn_like(x), penalty
        return x, x.new_zeros(())


class Critic(nn.Module):
    """Judges patches of 22 pixels: (B, 3, S, S) -> (B, 1, s, s), above 0 when real; and its inner features."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = _down(3, width), _down(width, 2 * width)
        self.last = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judgement and features."""
        first = self.first(pictures)
        second = self.second(first)
        return self.last(second), [first, second]


class _Residual(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Conv2d(n, n, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(n, n, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layers(x)
        return added


def _down(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1), nn.LeakyReLU(0.2))


def _up(grow: str, n_in: int, n_out: int) -> nn.Sequential:
    if grow == "deconv":
        layer: nn.Module = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1)
    elif grow == "shuffle":
        layer = nn.Sequential(nn.Conv2d(n_in, 4 * n_out, 3, padding=1), nn.PixelShuffle(2))
    else:
        layer = nn.Sequential(nn.Upsample(scale_factor=2, mode=grow), nn.Conv2d(n_in, n_out, 3, padding=1))
    return nn.Sequential(layer, nn.LeakyReLU(0.2))


def _quantised(x: Tensor, book: Tensor) -> tuple[Tensor, Tensor]:
    """Every place's vector as the nearest of the book (van den Oord et al. 1711.00937)."""
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
    distance = flat.square().sum(1, keepdim=True) - 2 * flat @ book.T + book.square().sum(1)
    nearest = book[distance.argmin(1)]
    penalty = F.mse_loss(nearest, flat.detach()) + 0.25 * F.mse_loss(flat, nearest.detach())
    passed = flat + (nearest - flat).detach()
    return passed.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2), penalty
