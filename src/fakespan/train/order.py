"""The order of the clips: a pure function of the seed and the number of clips seen before.

So an interrupted run can be resumed, and a step has the same clips whether they are one batch, several accumulated
batches, or distributed over devices.
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
    """The infinite sequence of clips.

    Args:
        n_clips: of the set.
        seed: of the run.
        sampling: "epoch": all clips in a new order, again and again; "published": drawn with replacement; "endless":
            clip k comes k-th (clips of banks, of which there is any number).
    """

    n_clips: int
    seed: int
    sampling: Literal["epoch", "published", "endless"]

    def clip(self, position: int) -> int:
        """Index of the clip at this position of the sequence."""
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
    """Clip indices of each batch, from one optimiser step to another.

    A step with A accumulated batches of B clips on R processes takes the next A R B clips of the sequence, batch by
    batch and within a batch process by process.

    Args:
        order: the sequence of clips.
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
        """Number of batches of this process."""
        return max(0, self.steps[1] - self.steps[0]) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        stride = self.batch_size * self.shard.n_processes
        for batch in range(self.steps[0] * self.accumulate, self.steps[1] * self.accumulate):
            first = batch * stride + self.shard.rank * self.batch_size
            yield [self.order.clip(first + k) for k in range(self.batch_size)]


class ValidationSampler(Sampler[list[int]]):
    """Batches of the first clips of a shuffled set, deterministic, divided among the processes.

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
