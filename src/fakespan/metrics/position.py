"""Baselines by position alone: forged words rarely begin a clip, so even a guess without looking at it finds some.

`position_floor` is the AP of such a guess, for comparison with a detector's AP. `position_auc` is the AUC of frames
among those at the same relative position of their clips, which no such guess can raise above one half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import BoolArray, Float64Array
from fakespan.metrics.precision import average_precision
from fakespan.metrics.ranking import auc

__all__ = ["position_auc", "position_floor"]

N_GUESSES = 40  # spans of other clips that are used as guesses for each clip
NEAR = 0.2  # IoU from which two guesses count as the same
FPS = 25.0  # frame rate of the frame-level scores


def position_floor(
    spans: Mapping[str, ArrayLike], durations_s: Mapping[str, float], ious: Sequence[float] = (0.5,), seed: int = 0
) -> dict[float, float]:
    """AP of a guess based on position and length of the forged spans in other clips, without information on the clip.

    The guesses are spans of up to 40 other clips, with their relative position and length. Each is scored by its mean
    IoU with the others; of those that overlap each other only the best is proposed.

    Args:
        spans: name -> (k, 2) forged spans in seconds; k may be 0.
        durations_s: name -> length of the clip in seconds.
        ious: thresholds.
        seed: seed of the random choice.

    Returns:
        IoU -> AP, all 0 if fewer than two clips have a span.
    """
    middles, lengths, owners = _relative(spans, durations_s)
    if len(set(owners)) < 2:
        return dict.fromkeys(ious, 0.0)
    rng, proposals = np.random.default_rng(seed), {}
    for name, duration_s in durations_s.items():
        others = np.flatnonzero(owners != name)
        chosen = rng.permutation(others)[:N_GUESSES]
        start = middles[chosen] * duration_s - lengths[chosen] / 2
        guesses = np.stack([start, start + lengths[chosen]], axis=1).clip(0, duration_s)
        proposals[name] = _apart(guesses)
    return average_precision(proposals, spans, ious)


def position_auc(
    proposals: Mapping[str, ArrayLike],
    spans: Mapping[str, ArrayLike],
    durations_s: Mapping[str, float],
    n_bins: int = 10,
) -> float:
    """AUC of frames within equal relative positions of forged clips, averaged over the positions by their frames.

    The score of a frame is that of the best proposal that covers it.

    Args:
        proposals: name -> (n, 3) score, start, end in seconds.
        spans: name -> (k, 2) forged spans in seconds.
        durations_s: name -> length of the clip in seconds.
        n_bins: number of relative positions.

    Returns:
        0..1; NaN if no position has both forged and genuine frames.
    """
    scores, labels, bins = [], [], []
    for name, duration_s in durations_s.items():
        forged = np.asarray(spans.get(name, ()), np.float64).reshape(-1, 2)
        times_s = np.asarray((np.arange(max(1, round(duration_s * FPS))) + 0.5) / FPS, np.float64)
        if not len(forged):
            continue
        found = np.asarray(proposals.get(name, ()), np.float64).reshape(-1, 3)
        scores.append(_best_cover(found, times_s))
        labels.append(_inside(forged, times_s).any(axis=0))
        bins.append(np.minimum(times_s / duration_s * n_bins, n_bins - 1).astype(np.int64))
    if not scores:
        return float("nan")
    return _mean_auc(np.concatenate(scores), np.concatenate(labels), np.concatenate(bins))


def _mean_auc(scores: Float64Array, labels: BoolArray, bins: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    values, weights = [], []
    for k in np.unique(bins):
        here = bins == k
        if labels[here].any() and not labels[here].all():
            values.append(auc(scores[here], labels[here]))
            weights.append(int(here.sum()))
    return float(np.average(values, weights=weights)) if values else float("nan")


def _relative(
    spans: Mapping[str, ArrayLike], durations_s: Mapping[str, float]
) -> tuple[Float64Array, Float64Array, np.ndarray[tuple[int], np.dtype[np.str_]]]:
    """Middle of each span relative to its clip, its length in seconds, and the index of its clip."""
    rows = [
        ((start + end) / 2 / durations_s[name], end - start, name)
        for name, own in spans.items()
        for start, end in np.asarray(own, np.float64).reshape(-1, 2)
        if name in durations_s
    ]
    middles, lengths, owners = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(middles, np.float64), np.array(lengths, np.float64), np.array(owners, np.str_)


def _apart(guesses: Float64Array) -> Float64Array:
    """The guesses with the largest mean IoU with the others, (k, 3), after NMS."""
    overlaps = _overlaps(guesses)
    scores = overlaps.mean(axis=1)
    kept: list[int] = []
    for k in np.argsort(-scores):
        if all(overlaps[k, other] < NEAR for other in kept):
            kept.append(int(k))
    return np.column_stack([scores, guesses])[kept]


def _overlaps(spans: Float64Array) -> Float64Array:
    """IoU of every two spans, (n, 2) -> (n, n)."""
    start, end = spans[:, :1], spans[:, 1:]
    shared = (np.minimum(end, end.T) - np.maximum(start, start.T)).clip(0)
    union = (end - start) + (end - start).T - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def _inside(spans: Float64Array, times_s: Float64Array) -> BoolArray:
    """(k, 2) and (n,) -> (k, n)."""
    return np.asarray((times_s >= spans[:, :1]) & (times_s < spans[:, 1:]), np.bool_)


def _best_cover(found: Float64Array, times_s: Float64Array) -> Float64Array:
    if not len(found):
        return np.zeros(len(times_s))
    return np.asarray(np.where(_inside(found[:, 1:], times_s), found[:, :1], 0.0).max(axis=0), np.float64)
