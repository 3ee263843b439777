"""Training of the head's network on in-memory features; independent of files and maps.

The logit of a clip with several windows is the maximum over its windows, in training as in use. Loss: cross-entropy in
which real and fake clips have equal total weight, whatever their numbers. Optimiser: AdamW. After each epoch the
validation clips are scored; training stops after `patience` epochs without a better AUC. The best epoch is kept, and
the best of several restarts with other seeds. Ties in AUC are broken by the validation loss.

Paper: BA-TFD (arXiv 2204.06228, section 5) says "three layers" and no more; everything else is our choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fakespan.arrays import BoolArray, Float32Array
from fakespan.config import VerdictConfig
from fakespan.errors import ConfigError
from fakespan.metrics import auc
from fakespan.models.verdict_head import VerdictMLP
from fakespan.types import Progress

__all__ = ["Features", "Learned", "learn", "repeatable"]

Weights = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Features:
    """Training data: clips of one or more windows."""

    rows: Tensor  # (w, F) features of all windows
    windows: Tensor  # (n, W) row indices of each clip; with fewer than W windows the first one is repeated
    labels: Tensor  # (n,) 1 for a fake

    @classmethod
    def of(cls, clips: Sequence[Float32Array], labels: BoolArray) -> Features:
        """Build from clips of (windows, F) each."""
        counts = np.array([len(rows) for rows in clips])
        first = np.cumsum(counts) - counts
        place = np.arange(counts.max())
        windows = first[:, None] + np.where(place < counts[:, None], place, 0)
        rows = torch.from_numpy(np.concatenate(list(clips)))
        return cls(rows, torch.from_numpy(windows), torch.from_numpy(labels.astype(np.float32)))

    @property
    def weights(self) -> Tensor:
        """(n,) weights of the clips: equal sum per class, mean 1."""
        n_fake = float(self.labels.sum())
        n = len(self.labels)
        return torch.where(self.labels > 0, n / (2 * n_fake), n / (2 * (n - n_fake)))

    def logits(self, network: VerdictMLP, clips: Tensor) -> Tensor:
        """(b,) logits of some clips (b,), by index."""
        windows = self.windows[clips]
        logits: Tensor = network(self.rows[windows.flatten()])
        return logits.view(windows.shape).amax(dim=1)


@dataclass(frozen=True)
class Learned:
    """A trained network and its history."""

    network: VerdictMLP
    seed: int
    epoch: int  # from 1
    auc: float  # of the validation clips
    loss: float
    aucs: tuple[float, ...]  # of each restart

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key: the best has the largest."""
        return self.auc, -self.loss


def learn(train: Features, validation: Features, config: VerdictConfig, progress: Progress | None = None) -> Learned:
    """Train the network and return the best restart; deterministic on the same machine.

    Args:
        train: clips of both classes.
        validation: clips of both classes.
        config: sizes, seeds, rates.
        progress: called with the finished share of the work, and 1.

    Raises:
        ConfigError: no restart stayed finite.
    """
    best: Learned | None = None
    aucs: list[float] = []
    with repeatable():
        for k in range(config.restarts):
            found = _one_training(train, validation, config, config.seed + k)
            aucs.append(math.nan if found is None else found.auc)
            if found is not None and (best is None or found.rank > best.rank):
                best = found
            if progress is not None:
                progress(k + 1, config.restarts)
    if best is None:
        got = "no finite loss in any restart"
        raise ConfigError(
            "learning_rate", expected="a value with which training converges", got=got, remedy="reduce it"
        )
    return Learned(best.network, best.seed, best.epoch, best.auc, best.loss, tuple(aucs))


def _one_training(train: Features, validation: Features, config: VerdictConfig, seed: int) -> Learned | None:
    """The best epoch of one seed; None if it diverges at once."""
    torch.manual_seed(seed)
    network = VerdictMLP.of(config)
    network.standardise(train.rows)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    best: tuple[tuple[float, float], int, Weights] | None = None
    for epoch in range(1, config.epochs + 1):
        _one_epoch(network, optimiser, train, config.batch_size)
        rank = _rank(network, validation, config.batch_size)
        if rank is None:
            break
        if best is None or rank > best[0]:
            best = rank, epoch, {name: value.clone() for name, value in network.state_dict().items()}
        if epoch - best[1] >= config.patience:
            break
    if best is None:
        return None
    (area, loss), epoch, weights = best
    network.load_state_dict(weights)
    return Learned(network.eval(), seed, epoch, area, -loss, ())


def _one_epoch(network: VerdictMLP, optimiser: torch.optim.Optimizer, train: Features, batch_size: int) -> None:
    network.train()
    weights = train.weights
    for clips in torch.randperm(len(train.labels)).split(batch_size):
        logits = train.logits(network, clips)
        loss = binary_cross_entropy_with_logits(logits, train.labels[clips], weights[clips])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.inference_mode()
def _rank(network: VerdictMLP, validation: Features, batch_size: int) -> tuple[float, float] | None:
    """AUC and negative loss of the validation clips; None if the network is not finite."""
    network.eval()
    numbers = torch.arange(len(validation.labels))
    logits = torch.cat([validation.logits(network, clips) for clips in numbers.split(batch_size)])
    if not bool(torch.isfinite(logits).all()):
        return None
    loss = binary_cross_entropy_with_logits(logits, validation.labels, validation.weights)
    return auc(logits.double().numpy(), validation.labels.numpy() > 0), -float(loss)


@contextmanager
def repeatable() -> Iterator[None]:
    """One thread and a separate random state, for a deterministic order of summation."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(n_threads)
