"""Input features of a verdict head: a fixed-size vector from a boundary map of any length.

A map with more than the localizer's T frames is split into windows (`map_windows`), each of which gives one vector.

Legend: D longest span in frames, T frames of the localizer's window, n frames of the clip, F features.
Deviation: the network's input is unpublished; the grid and its logarithmic scale are ours.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import AnyArray, Float32Array
from fakespan.errors import UsageError
from fakespan.windows import overlap_frames, windows

__all__ = ["FLOOR", "logit", "map_features", "map_windows", "n_features"]

FLOOR = 1e-3
"""Lower limit of scores in the features; smaller values are noise."""


def map_features(score_map: Float32Array, rows: int, columns: int) -> Float32Array:
    """Convert a boundary map of any length to the input of `VerdictMLP`.

    Group k of `rows` (or `columns`) covers the map's rows from floor(k D / rows) to ceil((k + 1) D / rows); if there
    are fewer rows than groups, neighbouring groups share them. The value of a group of cells is the largest score of a
    span within the clip, as logit(score), clipped to 0.001..0.999. Then follow, for each group of lengths, the maximum
    and the mean of these values over time, which do not depend on the position of a forgery.

    Args:
        score_map: (D, n) scores in 0..1 of the n >= 1 frames of the clip, without padding.
        rows: groups of lengths.
        columns: groups of time.

    Returns:
        (F,) with F = rows (columns + 2), see `n_features`.

    Raises:
        UsageError: the map is not two-dimensional, or has no frames.

    >>> map_features(np.full((2, 4), 0.5, np.float32), rows=1, columns=2).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    if score_map.ndim != 2 or 0 in score_map.shape:
        got = f"{score_map.shape}"
        raise UsageError("map", expected="an array (D, n), n > 0", got=got, remedy="pass one clip's map at a time")
    longest, n = score_map.shape
    fits = np.arange(n) + np.arange(longest)[:, None] < n
    largest = _largest(_largest(np.where(fits, score_map, 0), rows, axis=0), columns, axis=1)
    grid = logit(largest, FLOOR)
    return np.concatenate([grid.ravel(), grid.max(axis=1), grid.mean(axis=1)]).astype(np.float32)


def n_features(rows: int, columns: int) -> int:
    """F, the number of features of `map_features`."""
    return rows * (columns + 2)


def map_windows(score_map: Float32Array, n_frames: int) -> list[Float32Array]:
    """Split the map of a long clip, (D, n), into windows of at most T = `n_frames`; shorter maps are unchanged.

    The windows are those of `fakespan.windows`, so that one contains every span. The score of a video is the maximum
    over its windows.

    >>> [part.shape for part in map_windows(np.zeros((40, 1000), np.float32), 512)]
    [(40, 512), (40, 512), (40, 512)]
    """
    longest, n = score_map.shape
    return [score_map[:, w.begin : w.end] for w in windows(n, n_frames, overlap_frames(longest, n_frames))]


def logit(scores: AnyArray, floor: float) -> AnyArray:
    """log(p / (1 - p)) of scores clipped to floor..1 - floor."""
    clipped = np.clip(scores, floor, 1 - floor)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _largest(scores: Float32Array, n_groups: int, axis: int) -> Float32Array:
    """Maximum of each of so many groups along an axis; groups overlap if there are too few entries."""
    n = scores.shape[axis]
    k = np.arange(n_groups)
    borders = np.stack([k * n // n_groups, -(-(k + 1) * n // n_groups)], axis=1).ravel()
    padded = np.pad(
        scores, [(0, int(a == axis)) for a in range(2)]
    )  # reduceat needs the end of the last group as an index
    return np.maximum.reduceat(padded, borders, axis=axis).take(np.arange(0, 2 * n_groups, 2), axis=axis)
