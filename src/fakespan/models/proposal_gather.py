"""Proposal features as plain tensor operations: the slow twin of `boundary`, for tracers.

A tracer (torch.export) cannot follow sampling tables that are built in NumPy for one length T. Here the sampling points
are computed from T by tensor operations, with the arithmetic of `sampling.sample_points`, so that the graph holds for
every T. Each of the N samples is gathered for all cells at once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fakespan.config import Sampling

__all__ = ["gathered_proposals"]


def gathered_proposals(features: Tensor, kernel: Tensor, max_duration: int, sampling: Sampling) -> Tensor:
    """The convolution over the N samples of every proposal, without bias.

    Args:
        features: (B, C, T).
        kernel: (N, C1, C).
        max_duration: D.
        sampling: see `fakespan.models.sampling`.

    Returns:
        (B, D T, C1).
    """
    points, valid = _points(features.shape[2], max_duration, len(kernel), sampling)
    inside = valid & (points >= 0) & (points <= features.shape[2] - 1)
    points = torch.where(inside, points, 0.0)
    low = points.floor()
    share, high = points - low, points.ceil()
    exact_weight = 2.0 if sampling == "reference" else 1.0
    low_weight = torch.where(low == high, exact_weight, 1 - share) * inside
    weights = (low_weight.float().unbind(), (share * inside).float().unbind())
    frames = (low.long().unbind(), high.long().unbind())
    total = features.new_zeros(())
    for n in range(len(kernel)):
        rows = F.linear(features.transpose(1, 2), kernel[n])  # (B, T, C1)
        for frame, weight in zip(frames, weights, strict=True):
            total = total + rows[:, frame[n]] * weight[n][:, None]
    return total


def _points(n_frames: int, max_duration: int, n_samples: int, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Sampling points in frames, (N, D T), and the validity of each cell, (D T,)."""
    n = torch.arange(n_samples, dtype=torch.float64)[:, None]
    d = torch.arange(max_duration, dtype=torch.float64)[:, None]
    t = torch.arange(n_frames, dtype=torch.float64)[None]
    if sampling == "reference":
        end, valid = d + 1 + 0 * t, t + d + 1 <= n_frames - 1
    else:
        end, valid = t + d + 1, t + d + 1 <= n_frames
    length = end - t
    start = t - length * 0.5
    step = (length + 2 * (length * 0.5)) / max(n_samples - 1, 1)
    return start.flatten() + step.flatten() * n, valid.flatten()
