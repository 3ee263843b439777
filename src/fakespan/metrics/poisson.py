"""Exact interval for the mean of a Poisson count (Garwood, Biometrika 28, 1936)."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["poisson_interval"]

N_HALVINGS = 100  # ends when floats cannot be halved any more


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Means that are compatible with a count: each end leaves half of the rest to one side.

    Args:
        count: events that were counted, 0 or more.
        level: share of the counts for which the interval holds the mean, at least.

    >>> [round(end, 2) for end in poisson_interval(1)]
    [0.03, 5.57]
    """
    tail = (1 - level) / 2
    most = count + 10 * math.sqrt(count + 1) + 20
    low = _crossing(lambda mean: 1 - _at_most(count - 1, mean) < tail, most) if count else 0.0
    return low, _crossing(lambda mean: _at_most(count, mean) > tail, most)


def _at_most(count: int, mean: float) -> float:
    """Probability of at most so many events."""
    if mean == 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _crossing(is_below: Callable[[float], bool], most: float) -> float:
    """The mean from which on `is_below` does not hold, between 0 and `most`."""
    low, high = 0.0, most
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
