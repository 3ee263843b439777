"""Small generators of mouths, of the kinds that lip-sync tools are made of. Pictures are (B, 3, S, S) in -1..1.

Each is given a face whose lower part is masked and another frame of the same person, and draws the lower part anew;
what the mouth does comes as a short code, read from the frame whose mouth it should be.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["KINDS", "Critic", "MouthGenerator", "build_generator"]

N_CODE = 24
KINDS = {"deconv": 96, "nearest": 80, "quantised": 128, "shuffle": 64, "denoise": 96}  # kind -> side of its pictures


class MouthGenerator(nn.Module):
    """U-Net with the code at its bottom; `kind` says how it enlarges and what its bottleneck is."""

    def __init__(self, kind: str, width: int = 24) -> None:
        super().__init__()
        self.kind, self.side = kind, KINDS[kind]
        w = width
        n_in = 9 if kind == "denoise" else 6
        self.down = nn.ModuleList([_down(n_in, w), _down(w, 2 * w), _down(2 * w, 3 * w)])
        self.code = nn.Sequential(_down(3, w), _down(w, 2 * w), _down(2 * w, 2 * w), nn.AdaptiveAvgPool2d(4))
        self.squeeze = nn.Linear(2 * w * 16, N_CODE)
        self.spread = nn.Linear(N_CODE, 3 * w * 4 * 4)
        self.bottom = nn.Sequential(nn.Conv2d(6 * w, 3 * w, 3, padding=1), nn.LeakyReLU(0.2), _residual(3 * w))
        self.up = nn.ModuleList([_up(kind, 3 * w, 2 * w), _up(kind, 4 * w, w), _up(kind, 2 * w, w)])
        self.out = nn.Conv2d(w, 3, 3, padding=1)
        self.book = nn.Embedding(256, 3 * w) if kind == "quantised" else None

    def forward(self, masked: Tensor, other: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
        """The whole picture and a penalty of the bottleneck, from masked face, other frame, frame of the mouth."""
        if self.kind != "denoise":
            return self._draw(torch.cat([masked, other], 1), self._coded(mouth))
        code = self._coded(mouth)
        if self.training:  # a picture that is partly noise becomes the picture (x0-prediction)
            share = torch.rand(len(mouth), 1, 1, 1)
            noisy = share.sqrt() * torch.randn_like(mouth) + (1 - share).sqrt() * mouth
            return self._draw(torch.cat([masked, other, noisy], 1), code)
        x = torch.randn_like(masked)
        for share in (0.75, 0.5, 0.25, 0.0):
            guess, penalty = self._draw(torch.cat([masked, other, x], 1), code)
            x = share**0.5 * torch.randn_like(masked) + (1 - share) ** 0.5 * guess
        return x, penalty

    def _coded(self, mouth: Tensor) -> Tensor:
        side = mouth.shape[-1]
        part = mouth[..., int(0.35 * side) : int(0.9 * side), int(0.2 * side) : int(0.8 * side)]
        code: Tensor = torch.tanh(self.squeeze(self.code(F.interpolate(part, size=(48, 48))).flatten(1)))
        return code

    def _draw(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        spread = F.interpolate(self.spread(code).view(len(x), -1, 4, 4), size=x.shape[-2:], mode="bilinear")
        x = self.bottom(torch.cat([x, spread], 1))
        penalty = x.new_zeros(())
        if self.book is not None:
            x, penalty = _quantised(x, self.book.weight)
        for k, up in enumerate(self.up):
            x = up(x if k == 0 else torch.cat([x, skips[2 - k]], 1))
        return torch.tanh(self.out(x)), penalty


class Critic(nn.Module):
    """Judges patches: (B, 3, S, S) -> (B, 1, s, s)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(_down(3, width), _down(width, 2 * width), nn.Conv2d(2 * width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Above 0: real."""
        judged: Tensor = self.layers(x)
        return judged


def build_generator(kind: str) -> MouthGenerator:
    """A fresh generator."""
    return MouthGenerator(kind)


def _down(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 4, stride=2, padding=1), nn.LeakyReLU(0.2))


def _residual(n: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(n, n, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(n, n, 3, padding=1))


def _up(kind: str, n_in: int, n_out: int) -> nn.Sequential:
    if kind in ("deconv", "denoise"):
        grow: nn.Module = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1)
    elif kind == "shuffle":
        grow = nn.Sequential(nn.Conv2d(n_in, 4 * n_out, 3, padding=1), nn.PixelShuffle(2))
    else:
        mode = "nearest" if kind == "nearest" else "bilinear"
        grow = nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(n_in, n_out, 3, padding=1))
    return nn.Sequential(grow, nn.LeakyReLU(0.2))


def _quantised(x: Tensor, book: Tensor) -> tuple[Tensor, Tensor]:
    """Every place's vector as the nearest of the book (van den Oord et al. 1711.00937)."""
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
    distance = flat.square().sum(1, keepdim=True) - 2 * flat @ book.T + book.square().sum(1)
    nearest = book[distance.argmin(1)]
    penalty = F.mse_loss(nearest, flat.detach()) + 0.25 * F.mse_loss(flat, nearest.detach())
    passed = flat + (nearest - flat).detach()
    return passed.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2), penalty
