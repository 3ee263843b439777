"""The complementary boundary generator of BA-TFD+ (2305.01979, section 3.5; from BSN++, 2009.07641, section 3.2).

A nested one-dimensional U-Net predicts for each frame the probability that a forged span starts or ends there. It is
run a second time on the reversed clip, where a start looks like an end, and both runs are combined. Parameter names are
those of the published state dict, and so is the order of the two output channels: 0 is the end, 1 the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.outputs import Boundaries

__all__ = ["BoundaryGenerator", "BoundaryRun", "combined_boundaries"]

_WIDTH = 512
_END, _START = 0, 1
_TINY = 1e-12  # the slope of the square root is infinite at 0; below this it is treated as constant


@dataclass(frozen=True)
class BoundaryRun:
    """The output of one run; for the reversed clip, index 0 is the last frame."""

    start: Tensor  # (B, T) in 0..1
    end: Tensor  # (B, T) in 0..1
    features: Tensor  # (B, 3 * 512, T)


class BoundaryGenerator(nn.Module):
    """The U-Net. T must be a multiple of 4.

    Args:
        n_features: C, channels of the features.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.conv0_0 = _ConvBlock(n_features)
        self.conv1_0 = _ConvBlock(_WIDTH)
        self.conv2_0 = _ConvBlock(_WIDTH)
        self.conv0_1 = _ConvBlock(2 * _WIDTH)
        self.conv1_1 = _ConvBlock(2 * _WIDTH)
        self.conv0_2 = _ConvBlock(3 * _WIDTH)
        self.final = nn.Conv1d(3 * _WIDTH, 2, 1)

    def forward(self, features: Tensor) -> BoundaryRun:
        """Features (B, C, T) -> start and end probabilities, and their features."""
        # x<level>_<step>: levels 0, 1, 2 have T, T/2, T/4 frames
        x0_0 = self.conv0_0(features)
        x1_0 = self.conv1_0(_halved(x0_0))
        x0_1 = self.conv0_1(torch.cat((x0_0, _doubled(x1_0, x0_0.shape[-1])), 1))
        x2_0 = self.conv2_0(_halved(x1_0))
        x1_1 = self.conv1_1(torch.cat((x1_0, _doubled(x2_0, x1_0.shape[-1])), 1))
        x0_2 = self.conv0_2(torch.cat((x0_0, x0_1, _doubled(x1_1, x0_0.shape[-1])), 1))
        nested = torch.cat((x0_0, x0_1, x0_2), 1)
        probabilities = self.final(nested).float().sigmoid()  # (B, 2, T)
        return BoundaryRun(probabilities[:, _START], probabilities[:, _END], nested)


class _ConvBlock(nn.Module):
    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(n_in, _WIDTH, 3, padding=1), nn.BatchNorm1d(_WIDTH), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


def _halved(x: Tensor) -> Tensor:
    """The larger of every two frames."""
    return F.max_pool2d(x[:, :, None], (1, 2))[:, :, 0]  # a tracer cannot follow max_pool1d to every length


def _doubled(x: Tensor, n_frames: int) -> Tensor:
    """Every frame twice, which makes so many."""
    if torch.compiler.is_compiling():  # a tracer does not know that the length is even
        return x[..., torch.arange(n_frames, device=x.device) // 2]
    return F.interpolate(x, scale_factor=2.0)  # nearest


def combined_boundaries(runs: Boundaries) -> tuple[Tensor, Tensor]:
    """Combine start and end (B, T) of both runs, where the start of one is the end of the other, by geometric means."""
    start = _geometric_mean(runs.start, runs.reversed_end.flip(-1))
    end = _geometric_mean(runs.end, runs.reversed_start.flip(-1))
    return start, end


def _geometric_mean(a: Tensor, b: Tensor) -> Tensor:
    return (a.float() * b.float()).clamp(min=_TINY).sqrt()
