"""Cumulative counts of true positives and of all proposals for resampled videos, for AP and its bootstrap.

Contract: the proposals, best first, are cut after each true positive of any of the matches. A resample then costs one
sum per cut, instead of a cumulative sum over all proposals for each method and IoU threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Int32Array, Int64Array
from fakespan.metrics.precision import Matches

__all__ = ["HitCounts"]


class HitCounts:
    """Ranks of the true positives of several matches of the same pairs among all proposals, best first.

    >>> from fakespan.metrics import match_proposals
    >>> found = {"a": [[0.9, 1, 2], [0.8, 5, 6]], "b": [[0.7, 3, 4]]}
    >>> counts = HitCounts([match_proposals(found, {"a": [[1, 2]], "b": [[3, 4]]}, [0.5])])
    >>> [(found.tolist(), seen.tolist()) for _, _, found, seen in counts.steps([1, 2])]
    [([1, 3], [1, 4])]
    """

    def __init__(self, matches: Sequence[Matches]) -> None:
        self.matches = tuple(matches)
        ranks = [r for m in self.matches for r in m.ranks.values()]
        self._ends = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *ranks]))
        n = int(self._ends[-1]) + 1 if len(self._ends) else 0
        pairs = self.matches[0].pairs
        self._video = pairs.video_by_score[:n].astype(np.intp)  # (n,) those after the last true positive do not matter
        self._weights = np.empty(n, dtype=np.int32)  # reused by each draw
        self._places = [np.searchsorted(self._ends, rank) for rank in ranks]
        self._right = [self._video[rank] for rank in ranks]

    def steps(self, counts: ArrayLike) -> Iterator[tuple[Matches, float, Int64Array, Int64Array]]:
        """For each of the matches and thresholds: true positives, and all proposals, up to each true positive.

        Args:
            counts: (V,) how often each video is taken.
        """
        taken = np.asarray(counts, dtype=np.int32)
        n_seen = self._n_seen(taken)
        ways = [(m, threshold) for m in self.matches for threshold in m.ranks]
        for (way, threshold), places, video in zip(ways, self._places, self._right, strict=True):
            weights = taken[video]
            is_taken = weights > 0
            yield way, threshold, np.cumsum(weights[is_taken], dtype=np.int64), n_seen[places[is_taken]]

    def _n_seen(self, counts: Int32Array) -> Int64Array:
        """Number of proposals up to and including each cut."""
        if not len(self._ends):
            return self._ends
        np.take(counts, self._video, out=self._weights, mode="clip")  # clip: numpy copies otherwise
        firsts = np.concatenate([[0], self._ends[:-1] + 1])
        return np.cumsum(np.add.reduceat(self._weights, firsts), dtype=np.int64)
