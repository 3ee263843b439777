"""Exact Poisson intervals, against tables and their own definition."""

from __future__ import annotations

import math

import pytest

from fakespan.metrics.poisson import poisson_interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.3639, 121.6268)],
)
def test_the_ends_are_those_of_the_tables(count, low, high):
    assert poisson_interval(count) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@pytest.mark.parametrize("mean", [0.7, 4.0, 12.5])
def test_it_holds_the_mean_at_least_as_often_as_it_says(mean):
    chance = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(80)]
    held = [low <= mean <= high for low, high in (poisson_interval(k, level=0.9) for k in range(80))]
    assert sum(p for p, holds in zip(chance, held, strict=True) if holds) >= 0.9


def test_large_counts_come_near_to_the_normal_law():
    low, high = poisson_interval(5000)
    assert (low, high) == (pytest.approx(5000 - 1.96 * 5000**0.5, abs=2), pytest.approx(5000 + 1.96 * 5000**0.5, abs=3))
