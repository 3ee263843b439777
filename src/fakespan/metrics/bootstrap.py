"""Percentile bootstrap intervals over videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Int64Array
from fakespan.errors import DataError

__all__ = ["bootstrap_interval", "draws", "interval"]


def bootstrap_interval(
    statistic: Callable[[Int64Array], float], n: int, *, level: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of n videos.

    Args:
        statistic: takes (n,) counts, how often each video was drawn, and returns the statistic of that draw, for
            instance `lambda counts: matches.average_precision(0.5, counts)`. Draws with NaN are ignored.
        n: number of videos.
        level: share of the draws inside the interval.
        n_resamples: number of draws.
        seed: seed of the draws; the same seed gives the same interval.

    Returns:
        Lower and upper end of the interval.

    Raises:
        DataError: there are no videos, or all draws gave NaN.

    >>> values = np.array([0.2, 0.4, 0.6, 0.8])
    >>> low, high = bootstrap_interval(lambda counts: float(counts @ values / 4), 4)
    >>> 0.2 <= low < 0.5 < high <= 0.8
    True
    """
    if n < 1:
        raise DataError("bootstrap", expected="at least one video", got=str(n), remedy="evaluate a set with videos")
    found = interval([statistic(counts) for counts in draws(n, n_resamples, seed)], level)
    if np.isnan(found).any():
        raise DataError("bootstrap", expected="a number", got="none in any draw", remedy="evaluate a larger set")
    return found


def draws(n: int, n_resamples: int, seed: int = 0) -> Iterator[Int64Array]:
    """Resamples of n videos: each (n,) counts, how often each video was drawn; the same seed gives the same."""
    generator = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.bincount(generator.integers(n, size=n), minlength=n)


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The central share of the values, ignoring NaN; NaN, NaN if none is left."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return float("nan"), float("nan")
    low, high = np.quantile(numbers, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
