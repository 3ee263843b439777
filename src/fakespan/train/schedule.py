"""How fast a network learns, step by step and epoch by epoch, and the running average of its weights."""

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
    """The learning rate before any schedule, for steps over this many clips.

    >>> round(base_rate(TrainConfig(learning_rate=1e-5, lr_per_batch=4), 32), 10)  # published: 1e-5 for 4 clips
    8e-05
    """
    return options.learning_rate * (total_batch / options.lr_per_batch if options.lr_per_batch else 1)


def cosine_rate(base: float, step: int, warmup_steps: int, share: float) -> float:
    """The rate of a step, counted from 1, when this share (0..1) of the run is over: warm-up, then half a cosine."""
    return base * min(1.0, step / warmup_steps) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1)))


def make_optimizer(options: TrainConfig, parameters: Iterable[nn.Parameter], rate: float) -> Optimizer:
    """Adam with weight decay in the gradient (published), or AdamW."""
    kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=options.betas, weight_decay=options.weight_decay)


class EpochSchedule:
    """What an epoch's end does to the learning rate.

    BA-TFD halves it when the validation loss stands still, BA-TFD+ takes 0.8 % off. The cosine schedule goes by steps
    and is none of this class.
    """

    def __init__(self, options: TrainConfig, optimizer: Optimizer) -> None:
        self._inner: ReduceLROnPlateau | ExponentialLR | None = None
        if options.schedule == "plateau":
            self._inner = ReduceLROnPlateau(optimizer, factor=options.lr_factor, patience=options.lr_patience)
        elif options.schedule == "exponential":
            self._inner = ExponentialLR(optimizer, options.lr_factor)

    def end_epoch(self, validation_loss: float | None) -> None:
        """Change the optimiser's rate, if it is time."""
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
    """A running average of a network's weights that forgets the untrained ones soon; `most` 0: the network itself.

    After n steps its decay is (1 + n) / (10 + n), at most `most`. It is no module, so that nobody trains it.
    """

    def __init__(self, network: nn.Module, most: float) -> None:
        self.most, self.n_steps = most, 0
        self.network = copy.deepcopy(network).requires_grad_(False) if most else network

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the weights after a step into account; the first are taken as they are."""
        if not self.most:
            return
        decay = min(self.most, (1 + self.n_steps) / (10 + self.n_steps)) if self.n_steps else 0.0
        ours = self.network.state_dict()
        for name, new in network.state_dict().items():
            ours[name].copy_(_blend(ours[name], new.to(ours[name].device), decay))
        self.n_steps += 1

    def to(self, device: torch.device) -> None:
        """Move it; a network that is not averaged moves by itself."""
        if self.most:
            self.network.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Weights and the count of steps."""
        return {"n_steps": self.n_steps, "weights": self.network.state_dict() if self.most else {}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse."""
        self.n_steps = int(state["n_steps"])
        if self.most:
            self.network.load_state_dict(state["weights"])


def _blend(old: Tensor, new: Tensor, decay: float) -> Tensor:
    return old + (new - old) * (1 - decay) if decay and new.is_floating_point() else new
