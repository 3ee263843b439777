"""Layers that several generators share. Features are (B, C, T)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConvNeXt", "Copy", "Snake", "Upsampler", "activation", "conv"]


@dataclass(frozen=True, slots=True)
class Copy:
    """What a generator made of a sound: the copy, (B, N), and what its own losses (of any kind) add."""

    sound: Tensor
    penalties: dict[str, Tensor] = field(default_factory=dict)


class Snake(nn.Module):
    """x + sin²(a x) / a with a learned a a channel (BigVGAN, 2206.04658, without its low-pass filters)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes stay."""
        return x + (self.rate * x).sin().square() / (self.rate.abs() + 1e-4)


def activation(name: str, channels: int) -> nn.Module:
    """The activation named "leaky" or "snake"."""
    return Snake(channels) if name == "snake" else nn.LeakyReLU(0.1)


def conv(c_in: int, c_out: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the length; the kernel is odd."""
    return nn.Conv1d(c_in, c_out, kernel, dilation=dilation, padding=dilation * (kernel // 2))


class Residual(nn.Module):
    """Dilated convolutions, each added to what it heard."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int], act: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(activation(act, channels), conv(channels, channels, kernel, dilation))
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shapes stay."""
        for layer in self.layers:
            x = x + layer(x)
        return x


class Upsample(nn.Module):
    """`rate` frames for each, c_in -> c_out channels, in the way named `up`; each way leaves its own images.

    "transposed": a transposed convolution; "nearest": repeated frames, then a convolution; "linear": the same between
    interpolated frames; "shuffle": a convolution whose channels become time.
    """

    def __init__(self, c_in: int, c_out: int, rate: int, up: str) -> None:
        super().__init__()
        self.rate, self.up = rate, up
        if up == "transposed":
            kernel = 2 * rate + rate % 2
            self.layer: nn.Module = nn.ConvTranspose1d(c_in, c_out, kernel, rate, padding=(kernel - rate) // 2)
        elif up == "shuffle":
            self.layer = conv(c_in, c_out * rate, 3)
        elif up in {"nearest", "linear"}:
            self.layer = conv(c_in, c_out, 2 * (rate // 2) + 1)
        else:
            raise ValueError(f"up: expected transposed, nearest, linear or shuffle, got {up!r}")

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, T) -> (B, c_out, T * rate)."""
        if self.up == "nearest":
            x = x.repeat_interleave(self.rate, dim=2)
        elif self.up == "linear":
            x = F.interpolate(x.float(), scale_factor=float(self.rate), mode="linear")
        x = self.layer(x)
        if self.up == "shuffle":
            x = x.unflatten(1, (-1, self.rate)).transpose(2, 3).flatten(2)
        return x


class Upsampler(nn.Module):
    """Frames to samples in a few stages, channels halved at each (HiFi-GAN's generator, 2010.05646, made small).

    At each stage the outputs of residual blocks of several kernels are averaged.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        width: int,
        rates: Sequence[int],
        kernels: Sequence[int] = (3, 7),
        dilations: Sequence[int] = (1, 3),
        up: str = "transposed",
        act: str = "leaky",
    ) -> None:
        super().__init__()
        self.first = conv(c_in, width, 7)
        self.ups, self.acts, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for rate in rates:
            self.acts.append(activation(act, width))
            self.ups.append(Upsample(width, width // 2, rate, up))
            width //= 2
            self.blocks.append(nn.ModuleList(Residual(width, kernel, dilations, act) for kernel in kernels))
        self.last = nn.Sequential(activation(act, width), conv(width, c_out, 7))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, T) -> (B, c_out, T * product of the rates)."""
        x = self.first(x)
        for act, up, blocks in zip(self.acts, self.ups, self.blocks, strict=True):
            x = up(act(x))
            x = sum(block(x) for block in blocks) / len(blocks)
        return self.last(x)


class ConvNeXt(nn.Module):
    """A depthwise convolution over time and two layers per frame (Vocos' block, 2306.00814)."""

    def __init__(self, channels: int, hidden: int, kernel: int = 7) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))
        self.scale = nn.Parameter(torch.full((channels,), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        """Shapes stay."""
        inner = self.layers(self.norm(self.depthwise(x).transpose(1, 2))) * self.scale
        return x + inner.transpose(1, 2)
