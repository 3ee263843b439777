"""Features (B, C, T) -> boundary map (B, D, T): the boundary matching module (1907.09702 3.2; 2204.06228 3.3).

The papers sample N points for every cell of the map and then convolve over the N samples, which needs a dense T x (N D
T) matrix and a (C, N, D, T) tensor. Both steps are linear, so here the convolution comes first (one small product on
the features), and each cell then sums at most 2N of the resulting rows: the same result at a fraction of the
computation and memory. The backward pass does the same in reverse and recomputes the cells instead of storing them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fakespan.config import ModelConfig, Sampling
from fakespan.models.proposal_gather import gathered_proposals
from fakespan.models.sampling import Bags, sampling_bags, transpose

__all__ = ["BoundaryModule", "ProposalFeatures"]

SLOPE = 0.01  # of every LeakyReLU
GROUP_CELLS = 2048  # cells per group: intermediate results should stay in the processor's cache
KEPT_TABLES = 4  # cached sampling tables of other lengths


class BoundaryModule(nn.Module):
    """Boundary matching: predicts for each span how well it matches a forged one.

    Args:
        n_features: C, channels of the features.
        widths: channels after the sampled convolution, and of the map's convolutions.
        max_duration: D, the longest proposal in frames.
        n_samples: N, points per proposal.
        sampling: "bmn", or "reference" for the published weights (see `fakespan.models.sampling`).
    """

    def __init__(
        self, n_features: int, widths: tuple[int, int], max_duration: int, n_samples: int, sampling: Sampling = "bmn"
    ) -> None:
        super().__init__()
        self.proposals = ProposalFeatures(n_features, widths, max_duration, n_samples, sampling)
        self.context = nn.Conv2d(widths[1], widths[1], 3, padding=1)
        self.score = nn.Conv2d(widths[1], 1, 1)

    @classmethod
    def from_config(cls, config: ModelConfig) -> BoundaryModule:
        """Build from a config; the features are the encoder's and, as the last channel, the frame logit."""
        return cls(
            config.n_features + 1, config.boundary_widths, config.max_duration, config.n_samples, config.sampling
        )

    def forward(self, features: Tensor, n_begins: int | None = None) -> Tensor:
        """The boundary map (B, D, T) in 0..1 from features (B, C, T).

        With `n_begins` only cells that begin before that frame are computed, at that share of the cost; others are 0.
        """
        n_frames = features.shape[-1]
        n_begins = n_frames if n_begins is None else min(n_begins, n_frames)
        x = self.proposals(features, min(n_begins + 1, n_frames))  # (B, C2, D, n_begins + 1): one more for the 3x3
        x = F.leaky_relu(self.context(x), SLOPE, inplace=True)
        x = self.score(x).float().sigmoid().squeeze(1)  # half precision would round to 0 or 1, without a gradient
        return x if n_begins == n_frames else F.pad(x[..., :n_begins], (0, n_frames - n_begins))


class ProposalFeatures(nn.Module):
    """Features (B, C, T) -> features of every proposal (B, C2, D, T): N samples, convolved over N, then a 1x1.

    Arguments as for `BoundaryModule`. Equal to sampling densely, Conv3d (N, 1, 1), LeakyReLU, Conv2d 1x1, LeakyReLU.
    The result is in the channels-last memory format, which convolutions on a CPU prefer.
    """

    def __init__(
        self, n_features: int, widths: tuple[int, int], max_duration: int, n_samples: int, sampling: Sampling = "bmn"
    ) -> None:
        super().__init__()
        self.max_duration, self.n_samples, self.sampling = max_duration, n_samples, sampling
        self.sampled = nn.Conv3d(n_features, widths[0], (n_samples, 1, 1))
        self.project = nn.Conv2d(widths[0], widths[1], 1)
        self._tables: dict[tuple[Any, ...], tuple[_Group, ...]] = {}

    def forward(self, features: Tensor, n_begins: int | None = None) -> Tensor:
        """(B, C, T) -> (B, C2, D, T), or (B, C2, D, n_begins) for the cells that begin before that frame."""
        batch, _, n_frames = features.shape
        n_begins = n_frames if n_begins is None else min(n_begins, n_frames)
        kernel = self.sampled.weight[..., 0, 0].permute(2, 0, 1)  # (N, C1, C)
        if torch.compiler.is_compiling():
            return self._traced(features, kernel)[..., :n_begins]
        rows = F.linear(features.transpose(1, 2), kernel.flatten(0, 1))  # (B, T, N C1)
        rows = rows.view(batch, n_frames * self.n_samples, -1)  # (B, T N, C1)
        assert self.sampled.bias is not None
        assert self.project.bias is not None
        parameters = (self.sampled.bias, self.project.weight.flatten(1), self.project.bias)
        needs_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (rows, *parameters))
        groups = self._groups(n_frames, n_begins, rows, needs_gradient)
        if needs_gradient:
            x = _GatherProject.apply(rows, *parameters, groups)  # type: ignore[no-untyped-call]
        else:
            x = _gather_project(rows, *parameters, groups)
        x = F.leaky_relu(x, SLOPE, inplace=True)  # (B, D n_begins, C2)
        return x.view(batch, self.max_duration, n_begins, -1).permute(0, 3, 1, 2)

    def _traced(self, features: Tensor, kernel: Tensor) -> Tensor:
        """`forward` without tables, for tracers."""
        assert self.sampled.bias is not None
        x = gathered_proposals(features, kernel, self.max_duration, self.sampling)  # (B, D T, C1)
        x = F.leaky_relu(x + self.sampled.bias, SLOPE)
        x = F.leaky_relu(F.linear(x, self.project.weight.flatten(1), self.project.bias), SLOPE)  # (B, D T, C2)
        return x.view(features.shape[0], self.max_duration, features.shape[-1], -1).permute(0, 3, 1, 2)

    def _groups(self, n_frames: int, n_begins: int, like: Tensor, with_transposed: bool) -> tuple[_Group, ...]:
        key = (n_frames, n_begins, like.device, like.dtype, with_transposed)
        if key not in self._tables:
            size = max(1, GROUP_CELLS // n_begins)
            durations = [np.arange(d, min(d + size, self.max_duration)) for d in range(0, self.max_duration, size)]
            groups = tuple(
                _Group.build(
                    sampling_bags(n_frames, d, self.n_samples, self.sampling, n_begins),
                    slice(int(d[0]) * n_begins, (int(d[-1]) + 1) * n_begins),
                    n_frames * self.n_samples if with_transposed else 0,
                    like,
                )
                for d in durations
            )
            kept = list(self._tables.items())[-(KEPT_TABLES - 1) :]
            self._tables = dict([*kept, (key, groups)])  # a new dict: other threads may be reading the old one
        return self._tables[key]


@dataclass(frozen=True)
class _Gather:
    """A sparse matrix as torch tensors; `gather(x)` is its product with x (rows, channels)."""

    rows: Tensor
    weights: Tensor
    offsets: Tensor

    @classmethod
    def build(cls, bags: Bags, like: Tensor) -> _Gather:
        rows, weights, offsets = (torch.from_numpy(a).to(like.device) for a in (bags.rows, bags.weights, bags.offsets))
        return cls(rows, weights.to(like.dtype), offsets)

    def __call__(self, x: Tensor) -> Tensor:
        return F.embedding_bag(
            self.rows, x, self.offsets, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )


@dataclass(frozen=True)
class _Group:
    """The cells of a few durations: sparse matrices for the forward and the backward pass."""

    cells: slice
    forward: _Gather
    backward: _Gather | None

    @classmethod
    def build(cls, bags: Bags, cells: slice, n_rows: int, like: Tensor) -> _Group:
        """`n_rows` of 0: no gradient is needed."""
        return cls(cells, _Gather.build(bags, like), _Gather.build(transpose(bags, n_rows), like) if n_rows else None)


def _activated(group: _Group, rows: Tensor, bias: Tensor) -> Tensor:
    return F.leaky_relu_(group.forward(rows).add_(bias), SLOPE)


def _gather_project(
    rows: Tensor, bias: Tensor, weight: Tensor, project_bias: Tensor, groups: tuple[_Group, ...]
) -> Tensor:
    """Rows (B, R, C1) -> (B, cells, C2): gather, bias, LeakyReLU, 1x1 convolution."""
    bias, weight, project_bias = (x.to(rows.dtype) for x in (bias, weight, project_bias))
    result = rows.new_empty(len(rows), groups[-1].cells.stop, len(weight))
    with torch.autocast(rows.device.type, enabled=False):
        for one, out in zip(rows, result, strict=True):
            for group in groups:
                torch.addmm(project_bias, _activated(group, one, bias), weight.T, out=out[group.cells])
    return result


class _GatherProject(torch.autograd.Function):
    """`_gather_project` with a backward pass that recomputes the gathered cells instead of storing them."""

    @staticmethod
    def forward(  # noqa: PLR0917 - apply() takes no names
        ctx: Any, rows: Tensor, bias: Tensor, weight: Tensor, project_bias: Tensor, groups: tuple[_Group, ...]
    ) -> Tensor:
        ctx.groups = groups
        ctx.save_for_backward(rows, bias, weight, project_bias)
        return _gather_project(rows, bias, weight, project_bias, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, *parameters = ctx.saved_tensors
        bias, weight, _ = (x.to(rows.dtype) for x in parameters)
        d_rows = torch.zeros_like(rows)
        d_bias, d_weight = torch.zeros_like(bias, dtype=torch.float32), torch.zeros_like(weight, dtype=torch.float32)
        with torch.autocast(rows.device.type, enabled=False):
            for k, (one, d_out) in enumerate(zip(rows, gradient.to(rows.dtype), strict=True)):
                for group in ctx.groups:
                    cells = _activated(group, one, bias)
                    d_weight += d_out[group.cells].T @ cells
                    d_cells = torch.ops.aten.leaky_relu_backward(d_out[group.cells] @ weight, cells, SLOPE, True)
                    d_bias += d_cells.sum(0)
                    d_rows[k] += group.backward(d_cells)
        d_project_bias = gradient.float().sum((0, 1))
        found = (d_bias, d_weight, d_project_bias)
        return d_rows, *(g.to(p.dtype) for g, p in zip(found, parameters, strict=True)), None
