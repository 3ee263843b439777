"""The state of a run: its plan, its counters, and the current step.

A `Plan` is known before the run and never changes. `Counters` live as long as the run, including interruptions: they
are part of its saved states. A `Step` lives from its first batch to its last; it accumulates the results of its
batches, and holds what has to be restored if it fails.
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
"""Number of logged losses of a step (total and terms), see `fakespan.train.logs.STEP_COLUMNS`."""


@dataclass(frozen=True)
class Plan:
    """Numbers that follow from the config and the data set."""

    n_steps: int  # of the whole run
    epoch_steps: int  # of one epoch
    total_batch: int  # clips of one step, on all devices
    n_clips: int  # of the set; 0 if unlimited

    def epoch_of(self, step: int) -> int:
        """The epoch of a step; both count from 1."""
        return (step - 1) // self.epoch_steps + 1


@dataclass
class Counters:
    """Counters of a run; plain values, part of its saved states."""

    step: int = 0  # finished steps
    minutes: float = 0.0
    best: float = float("inf")  # lowest validation loss
    n_stale: int = 0  # epochs since then
    epoch_loss: float = 0.0  # sum over the steps of this epoch
    is_over: bool = False
    damaged: dict[str, str] = field(default_factory=dict)  # unreadable clips -> message

    def update_best(self, validation_loss: float | None) -> bool:
        """Whether the loss is the lowest so far; counts the epochs since the lowest. None: no validation."""
        if validation_loss is None:
            return False
        is_better = validation_loss < self.best
        self.best, self.n_stale = (validation_loss, 0) if is_better else (self.best, self.n_stale + 1)
        return is_better


@dataclass
class Step:
    """The current step of one process."""

    number: int  # from 1
    share: float  # finished share of the run after it, 0..1
    norms: list[Tensor]  # running statistics of the network before it
    names: tuple[str, ...] = ()  # clips of its batches so far
    losses: Float64Array = field(default_factory=lambda: np.zeros(N_LOSSES))  # mean over its batches
    gradient: float = 0.0  # gradient norm, after its last batch

    @classmethod
    def begin(cls, number: int, share: float, network: nn.Module) -> Step:
        """Save what a forward pass changes."""
        return cls(number, share, [buffer.clone() for buffer in _norm_buffers(network)])

    def add(self, terms: LossTerms, n_batches: int) -> None:
        """Add the losses of one of its `n_batches` batches."""
        parts = (terms.fused.map, terms.visual.map, terms.audio.map, terms.visual_frames, terms.audio_frames)
        self.losses += np.array([float(value.detach()) for value in (terms.total, *parts)]) / n_batches

    @torch.no_grad()
    def undo(self, network: nn.Module) -> None:
        """Restore the running statistics from before the step."""
        for buffer, before in zip(_norm_buffers(network), self.norms, strict=True):
            buffer.copy_(before)


def _norm_buffers(network: nn.Module) -> list[Tensor]:
    """The buffers that a forward pass changes: running statistics."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [buffer for norm in norms for buffer in norm.buffers()]
