"""Optimisers, learning-rate schedules, and the running average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from fakespan.train.config import TrainConfig

__all__ = ["Average", "EpochSchedule", "base_rate", "cosine_rate", "make_optimizer"]


def base_rate(options: TrainConfig, total_batch: int) -> float:
    """The base learning rate for this many clips per step.

    >>> round(base_rate(TrainConfig(learning_rate=1e-5, lr_per_batch=4), 32), 10)  # published: 1e-5 for 4 clips
    8e-05
    """
    return options.learning_rate * (total_batch / options.lr_per_batch if options.lr_per_batch else 1)


def cosine_rate(base: float, step: int, warmup_steps: int, share: float) -> float:
    """Factor of a step (from 1) at this share (0..1) of the run: warm-up, then half a cosine."""
    return base * min(1.0, step / warmup_steps) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1)))


def make_optimizer(options: TrainConfig, parameters: Iterable[nn.Parameter], rate: float) -> Optimizer:
    """Adam with weight decay in the gradient (published), or AdamW."""
    kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=options.betas, weight_decay=options.weight_decay)


class EpochSchedule:
    """Learning-rate schedules that act at the end of an epoch.

    BA-TFD halves the rate when the validation loss stalls, BA-TFD+ reduces it by 0.8 %. The cosine schedule acts per
    step and is not part of this class.
    """

    def __init__(self, options: TrainConfig, optimizer: Optimizer) -> None:
        self._inner: ReduceLROnPlateau | ExponentialLR | None = None
        if options.schedule == "plateau":
            self._inner = ReduceLROnPlateau(optimizer, factor=options.lr_factor, patience=options.lr_patience)
        elif options.schedule == "exponential":
            self._inner = ExponentialLR(optimizer, options.lr_factor)

    def end_epoch(self, validation_loss: float | None) -> None:
        """Update the optimiser's learning rate."""
        if isinstance(self._inner, ReduceLROnPlateau):
            assert validation_loss is not None
            self._inner.step(validation_loss)
        elif self._inner is not None:
            self._inner.step()

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {} if self._inner is None else self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse."""
        if self._inner is not None:
            self._inner.load_state_dict(dict(state))


class Average:
    """A running average of the weights with a warm-up, so that untrained weights decay fast; `most` 0: no averaging.

    After n steps its decay is (1 + n) / (10 + n), at most `most`. It is not a module, so its weights are not trained.
    """

    def __init__(self, network: nn.Module, most: float) -> None:
        self.most, self.n_steps = most, 0
        self.network = copy.deepcopy(network).requires_grad_(False) if most else network

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Update with the weights after a step; the first update copies them."""
        if not self.most:
            return
        decay = min(self.most, (1 + self.n_steps) / (10 + self.n_steps)) if self.n_steps else 0.0
        ours = self.network.state_dict()
        for name, new in network.state_dict().items():
            ours[name].copy_(_blend(ours[name], new.to(ours[name].device), decay))
        self.n_steps += 1

    def to(self, device: torch.device) -> None:
        """Move to a device; without averaging the network itself moves."""
        if self.most:
            self.network.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Weights and step count."""
        return {"n_steps": self.n_steps, "weights": self.network.state_dict() if self.most else {}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse."""
        self.n_steps = int(state["n_steps"])
        if self.most:
            self.network.load_state_dict(state["weights"])


def _blend(old: Tensor, new: Tensor, decay: float) -> Tensor:
    return old + (new - old) * (1 - decay) if decay and new.is_floating_point() else new
