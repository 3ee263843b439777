"""Where a run is: its plan, the counters that outlive every step, and the one step that is being taken.

A `Plan` is known before the run and never changes. `Counters` live as long as the run, through every stop and resume:
they are kept in its states. A `Step` lives from its first batch to its last and is then forgotten; it holds what those
batches add up to, and what must be undone should it fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fakespan.arrays import Float64Array
from fakespan.losses import LossTerms

__all__ = ["Counters", "Plan", "Step"]

N_LOSSES = 6
"""The total and the terms of a step that are logged, see `fakespan.train.logs.STEP_COLUMNS`."""


@dataclass(frozen=True)
class Plan:
    """The numbers that the config and the data set make together."""

    n_steps: int  # of the whole run
    epoch_steps: int  # of one epoch
    total_batch: int  # clips of one step, on all devices
    n_clips: int  # of the set; 0 when it is endless

    def epoch_of(self, step: int) -> int:
        """The epoch of a step; both count from 1."""
        return (step - 1) // self.epoch_steps + 1


@dataclass
class Counters:
    """Where a run is; plain values, kept in its states."""

    step: int = 0  # steps that are done
    minutes: float = 0.0
    best: float = float("inf")  # lowest validation loss
    n_stale: int = 0  # epochs since then
    epoch_loss: float = 0.0  # sum over the steps of this epoch
    is_over: bool = False
    damaged: dict[str, str] = field(default_factory=dict)  # clips that could not be read, and why

    def judge(self, validation_loss: float | None) -> bool:
        """Whether the loss is the lowest so far; counts the epochs since the lowest. None: there was no validation."""
        if validation_loss is None:
            return False
        is_better = validation_loss < self.best
        self.best, self.n_stale = (validation_loss, 0) if is_better else (self.best, self.n_stale + 1)
        return is_better


@dataclass
class Step:
    """One step in the making, of one process."""

    number: int  # from 1
    share: float  # of the run that is over after it, 0..1
    norms: list[Tensor]  # running statistics of the network from before it
    names: tuple[str, ...] = ()  # clips of its batches so far
    losses: Float64Array = field(default_factory=lambda: np.zeros(N_LOSSES))  # mean over its batches
    gradient: float = 0.0  # length; known once its last batch is through

    @classmethod
    def begin(cls, number: int, share: float, network: nn.Module) -> Step:
        """Notes what a forward pass will change."""
        return cls(number, share, [buffer.clone() for buffer in _norm_buffers(network)])

    def add(self, terms: LossTerms, n_batches: int) -> None:
        """The losses of one of its `n_batches` batches."""
        parts = (terms.fused.map, terms.visual.map, terms.audio.map, terms.visual_frames, terms.audio_frames)
        self.losses += np.array([float(value.detach()) for value in (terms.total, *parts)]) / n_batches

    @torch.no_grad()
    def undo(self, network: nn.Module) -> None:
        """Give the network its running statistics from before the step."""
        for buffer, before in zip(_norm_buffers(network), self.norms, strict=True):
            buffer.copy_(before)


def _norm_buffers(network: nn.Module) -> list[Tensor]:
    """What a forward pass changes: running statistics."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [buffer for norm in norms for buffer in norm.buffers()]
