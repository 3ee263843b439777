"""Ranks of scores among all, best first; ties in input order.

Contract: float32 in, exact integers out. `Tally` finds the ranks of a few among many without sorting.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import Float32Array, Int64Array

__all__ = ["BLOCK", "Tally", "best_first"]


BLOCK = 1 << 16
"""Block size: intermediate results stay in the processor's cache."""
FINE = 1 << 20
"""Bins of a tally: about the number of proposals of a large set, and small enough for the cache."""


def best_first(scores: Float32Array) -> Int64Array:
    """Indices, best score first, ties in input order: a stable sort by unique integer keys.

    >>> best_first(np.array([0.5, 0.9, 0.5], dtype=np.float32)).tolist()
    [1, 0, 2]
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # + 0: -0 counts as 0
    keys = np.where(bits >> np.uint32(31), bits, ~(bits | np.uint32(0x80000000))).astype(np.uint64)  # descending
    keys <<= np.uint64(32)
    keys |= np.arange(len(scores), dtype=np.uint64)
    keys.sort()
    keys &= np.uint64(0xFFFFFFFF)
    return keys.view(np.int64)


class Tally:
    """Histogram of the scores in FINE equal bins from the best to the worst.

    >>> Tally(np.array([0.5, 0.9, 0.5, 0.7], dtype=np.float32)).places(np.array([0, 2])).tolist()
    [2, 3]
    """

    def __init__(self, scores: Float32Array) -> None:
        self.scores = scores
        self._high = scores.max(initial=np.float32(-np.inf))
        with np.errstate(over="ignore", invalid="ignore"):
            self._width = (self._high - scores.min(initial=np.float32(np.inf))) or np.float32(1)
        self._is_finite = bool(np.isfinite(self._width))
        n_in_step = np.zeros(FINE if self._is_finite else 0, dtype=np.int64)
        for begin in range(0, len(scores) if self._is_finite else 0, BLOCK):
            np.add.at(n_in_step, self._steps(scores[begin : begin + BLOCK]), 1)
        self._ends = np.cumsum(n_in_step, out=n_in_step)

    def places(self, chosen: Int64Array) -> Int64Array:
        """Number of scores before each chosen one; only scores in the same bins are sorted."""
        if not len(chosen):
            return chosen
        if not self._is_finite:
            return np.argsort(best_first(self.scores))[chosen]
        near = self._near(chosen)
        order = best_first(self.scores[near])
        of_near = self._steps(self.scores[near[order]])
        firsts = np.flatnonzero(np.diff(of_near, prepend=-1))  # where each step begins among the near ones
        lengths = np.diff(firsts, append=len(near))
        before = self._ends[of_near[firsts]] - lengths
        places = np.empty(len(near), dtype=np.int64)
        places[order] = np.arange(len(near)) + np.repeat(before - firsts, lengths)
        return places[np.searchsorted(near, chosen)]

    def _near(self, chosen: Int64Array) -> Int64Array:
        """The scores in the bins of the chosen ones."""
        is_wanted = np.zeros(FINE, dtype=bool)
        is_wanted[self._steps(self.scores[chosen])] = True
        parts = (self.scores[begin : begin + BLOCK] for begin in range(0, len(self.scores), BLOCK))
        near = [k * BLOCK + np.flatnonzero(is_wanted[self._steps(part)]) for k, part in enumerate(parts)]
        return np.concatenate(near)

    def _steps(self, scores: Float32Array) -> Int64Array:
        """Bin of each score, best first."""
        steps: Int64Array = ((self._high - scores) / self._width * np.float32(FINE - 1)).astype(np.int64)
        return steps
