"""Which clip is seen when: a function of the seed and of how many clips were seen before, and of nothing else.

So a run that was killed goes on where it was, and one step sees the same clips whether they come as one batch, as
several that are accumulated, or on several devices.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch.utils.data import Sampler

from fakespan.arrays import Int64Array

__all__ = ["Order", "Shard", "TrainSampler", "ValidationSampler"]


@dataclass(frozen=True)
class Order:
    """The endless row of clips.

    Args:
        n_clips: of the set.
        seed: of the run.
        sampling: "epoch": all clips in a new order, again and again; "published": drawn with replacement; "endless":
            clip k comes k-th (practice forgeries, of which there is any number).
    """

    n_clips: int
    seed: int
    sampling: Literal["epoch", "published", "endless"]

    def clip(self, position: int) -> int:
        """Number of the clip at this place of the row."""
        if self.sampling == "endless":
            return position
        if self.sampling == "published":
            return int(np.random.default_rng([self.seed, 2, position]).integers(self.n_clips))
        turn, place = divmod(position, self.n_clips)
        return int(_shuffled(self.n_clips, self.seed, turn)[place])


@dataclass(frozen=True)
class Shard:
    """The part of one process; see `TrainSampler`."""

    rank: int = 0
    n_processes: int = 1


class TrainSampler(Sampler[list[int]]):
    """Numbers of the clips of each batch, from one step of the optimiser to another.

    A step of B clips, A accumulated batches and R processes takes the next A R B clips of the row, batch by batch and
    within a batch process by process.

    Args:
        order: the row of clips.
        batch_size: B.
        accumulate: A.
        steps: the first step, counted from 0, and the one to stop before.
        shard: the process, and R.
    """

    def __init__(
        self, order: Order, batch_size: int, accumulate: int, steps: tuple[int, int], shard: Shard | None = None
    ) -> None:
        self.order, self.batch_size, self.accumulate, self.steps = order, batch_size, accumulate, steps
        self.shard = shard or Shard()

    def __len__(self) -> int:
        """Batches of this process."""
        return max(0, self.steps[1] - self.steps[0]) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        stride = self.batch_size * self.shard.n_processes
        for batch in range(self.steps[0] * self.accumulate, self.steps[1] * self.accumulate):
            first = batch * stride + self.shard.rank * self.batch_size
            yield [self.order.clip(first + k) for k in range(self.batch_size)]


class ValidationSampler(Sampler[list[int]]):
    """Batches of the first clips of a shuffled set, the same every time; every process has a part, none has another's.

    Args:
        n_clips: of the set.
        n_wanted: how many of them; 0 for all.
        batch_size: the last batch may be smaller.
        shard: the process, and how many there are.
    """

    def __init__(self, n_clips: int, n_wanted: int, batch_size: int, shard: Shard | None = None) -> None:
        chosen = np.sort(_shuffled(n_clips, 0, 0)[: n_wanted or None])
        shard = shard or Shard()
        self.clips: list[int] = chosen[shard.rank :: shard.n_processes].tolist()
        self.batch_size = batch_size

    def __len__(self) -> int:
        return (len(self.clips) + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        for first in range(0, len(self.clips), self.batch_size):
            yield self.clips[first : first + self.batch_size]


@functools.lru_cache(maxsize=4)  # two turns of training, one validation split
def _shuffled(n: int, seed: int, turn: int) -> Int64Array:
    return np.random.default_rng([seed, 1, turn]).permutation(n)
