"""Average recall of the first N proposals per video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float32Array, Float64Array
from fakespan.metrics.pairs import Pairs

__all__ = ["N_PROPOSALS", "RECALL_THRESHOLDS", "average_recall", "best_shares", "found_shares"]

N_PROPOSALS = (100, 50, 20, 10)
RECALL_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))


def average_recall(
    proposals: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike], n_proposals: Sequence[int] = N_PROPOSALS
) -> dict[int, float]:
    """AR@N: share of labels matched by one of the first N proposals, averaged over IoU 0.5, 0.55 ... 0.95.

    A label is matched if its best IoU among the first N proposals of its video, in the order of the list, is strictly
    above the threshold.

    Args:
        proposals: name -> (n, 3) score, begin, end in seconds.
        labels: name -> (m, 2) start and end in seconds.
        n_proposals: the values of N (AV-Deepfake1M: 50, 30, 20, 10, 5).

    Returns:
        N -> AR in 0..1.

    Raises:
        DataError: as `average_precision`.

    >>> average_recall({"a": [[0.9, 1, 2], [0.8, 4, 5]]}, {"a": [[1, 2], [4, 5]]}, [2, 1])
    {2: 1.0, 1: 0.5}
    """
    pairs = Pairs.of(proposals, labels, min(RECALL_THRESHOLDS))
    return {n: float(found_shares(best).mean()) for n, best in best_shares(pairs, n_proposals).items()}


def best_shares(pairs: Pairs, n_proposals: Sequence[int] = N_PROPOSALS) -> dict[int, Float32Array]:
    """N -> (L,) best IoU of each label with one of the first N proposals; 0 below the floor of the pairs."""
    rank, found = pairs.rank, {}
    for n in n_proposals:
        first = np.flatnonzero(rank < n)
        starts = np.flatnonzero(np.diff(pairs.label[first], prepend=-1))
        best = np.zeros(pairs.labels.n_labels, dtype=np.float32)
        if len(first):
            best[pairs.label[first[starts]]] = np.maximum.reduceat(pairs.share[first], starts)
        found[n] = best
    return found


def found_shares(best: Float32Array) -> Float64Array:
    """(L,) share of the thresholds at which each label is matched."""
    thresholds = np.array(RECALL_THRESHOLDS, dtype=np.float32)
    return np.searchsorted(thresholds, best, side="left") / len(thresholds)
