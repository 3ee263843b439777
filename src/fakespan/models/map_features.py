"""What a verdict head sees of a boundary map: numbers of one size, whatever the clip's length.

A map of more than the localizer's T frames is looked at in windows (`map_windows`), each of which becomes a row of
`map_features`.

Legend: D longest span in frames, T frames of the localizer's window, n the clip's own frames, F features.
Deviation: nobody published the network's input; the grid and its logarithmic scale are ours.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import AnyArray, Float32Array
from fakespan.errors import UsageError
from fakespan.windows import overlap_frames, windows

__all__ = ["FLOOR", "logit", "map_features", "map_windows", "n_features"]

FLOOR = 1e-3
"""Of a score that the network sees; below it a map holds noise."""


def map_features(score_map: Float32Array, rows: int, columns: int) -> Float32Array:
    """A boundary map of any length as the numbers that `VerdictMLP` sees.

    Group k of `rows` (or `columns`) holds the map's rows from floor(k D / rows) to ceil((k + 1) D / rows): where there
    are fewer than groups, neighbours share them. Of each group of cells the largest score of a span that lies within
    the clip counts, as logit(score), held to 0.001..0.999. Then follow, for each group of lengths, the largest and the
    mean of these numbers over time, which say the same of a forgery wherever it is.

    Args:
        score_map: (D, n) scores in 0..1 of the clip's own n >= 1 frames; no padding.
        rows: groups of lengths.
        columns: groups of time.

    Returns:
        (F,) with F = rows (columns + 2), see `n_features`.

    Raises:
        UsageError: the map is not two-dimensional, or has no frame.

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
    """F, the length of what `map_features` gives."""
    return rows * (columns + 2)


def map_windows(score_map: Float32Array, n_frames: int) -> list[Float32Array]:
    """The map of a long clip, (D, n), in windows of at most T = `n_frames`; a shorter one as it is.

    They lie as `fakespan.windows` lays them, so that every span is whole in one. The score of a video is the largest of
    its windows'.

    >>> [part.shape for part in map_windows(np.zeros((40, 1000), np.float32), 512)]
    [(40, 512), (40, 512), (40, 512)]
    """
    longest, n = score_map.shape
    return [score_map[:, w.begin : w.end] for w in windows(n, n_frames, overlap_frames(longest, n_frames))]


def logit(scores: AnyArray, floor: float) -> AnyArray:
    """log(p / (1 - p)) of scores held to floor..1 - floor."""
    held = np.clip(scores, floor, 1 - floor)
    return np.asarray(np.log(held / (1 - held)))


def _largest(scores: Float32Array, n_groups: int, axis: int) -> Float32Array:
    """The largest of each of so many groups along an axis; groups share neighbours where there are too few."""
    n = scores.shape[axis]
    k = np.arange(n_groups)
    borders = np.stack([k * n // n_groups, -(-(k + 1) * n // n_groups)], axis=1).ravel()
    padded = np.pad(scores, [(0, int(a == axis)) for a in range(2)])  # the end of the last group must be a place
    return np.maximum.reduceat(padded, borders, axis=axis).take(np.arange(0, 2 * n_groups, 2), axis=axis)
