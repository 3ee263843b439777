"""Sampling points of proposals: N points in time for each (duration, begin) cell of the boundary map. Pure numpy.

BMN (1907.09702, section 3.2) samples N evenly spaced points over a proposal extended by half its length on both sides,
each by linear interpolation between two frames. Sampling is linear, so it is a sparse matrix: cell k is the weighted
sum of a few rows of a matrix whose row `frame * N + n` belongs to sample n at that frame.

Two kinds:

- `bmn`: cell (d, t) is the span [t, t + d + 1] and samples nothing if that span ends after frame T - 1.
- `reference`: the sampling that the published BA-TFD and BA-TFD+ weights were trained with. Cell (d, t) samples the
span
  from t to d + 1 (not t + d + 1), lengths may be negative, a point that coincides with a frame counts it twice, and a
  span that ends with the last frame is omitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakespan.arrays import Float32Array, Float64Array, Int32Array, Int64Array

__all__ = ["Bags", "sample_points", "sampling_bags", "transpose"]


@dataclass(frozen=True)
class Bags:
    """A sparse matrix in CSR form: row k is sum(weights[j] * source[rows[j]]) for j in offsets[k] to offsets[k + 1]."""

    rows: Int32Array
    weights: Float32Array
    offsets: Int32Array  # (number of bags + 1,)

    def dense(self, n_rows: int) -> Float32Array:
        """The dense matrix (bags, n_rows), for tests."""
        matrix = np.zeros((len(self.offsets) - 1, n_rows), np.float32)
        np.add.at(matrix, (self._bag_of_entry(), self.rows), self.weights)
        return matrix

    def _bag_of_entry(self) -> Int32Array:
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int32), np.diff(self.offsets))


def sample_points(
    n_frames: int,
    durations: Int64Array,
    n_samples: int,
    kind: Literal["bmn", "reference"],
    n_begins: int | None = None,
) -> Float64Array:
    """Positions in frames, (len(durations), T or n_begins, N); NaN for invalid cells.

    >>> sample_points(8, np.array([1]), 3, "bmn")[0, 2]
    array([1., 3., 5.])
    """
    d = durations[:, None].astype(np.float64)
    t = np.arange(n_begins or n_frames, dtype=np.float64)[None, :]
    if kind == "reference":
        end, valid = d + 1, t + d + 1 <= n_frames - 1
    else:
        end, valid = t + d + 1, t + d + 1 <= n_frames
    length = end - t
    start = t - length * 0.5
    step = (length + 2 * (length * 0.5)) / max(n_samples - 1, 1)
    points = start[..., None] + step[..., None] * np.arange(n_samples)
    return np.where(valid[..., None], points, np.nan)


def sampling_bags(
    n_frames: int,
    durations: Int64Array,
    n_samples: int,
    kind: Literal["bmn", "reference"],
    n_begins: int | None = None,
) -> Bags:
    """One bag per cell (d, t), d over `durations` (outer), t (inner) over all frames, or the first `n_begins`.

    Row `frame * N + n` of the source is sample n at that frame.
    """
    points = sample_points(n_frames, durations, n_samples, kind, n_begins).reshape(-1, n_samples)
    inside = (points >= 0) & (points <= n_frames - 1)  # false for NaN
    points = np.where(inside, points, 0.0)
    low, high = np.floor(points).astype(np.int32), np.ceil(points).astype(np.int32)
    share = points - low
    # On an exact hit low == high: `reference` counts the frame twice, `bmn` once.
    exact_weight = 2.0 if kind == "reference" else 1.0
    low_weight = np.where(low == high, exact_weight, 1.0 - share) * inside
    weights = np.stack([low_weight, share * inside], axis=-1).reshape(len(points), -1)
    rows = (np.stack([low, high], axis=-1) * n_samples + np.arange(n_samples)[:, None]).reshape(len(points), -1)
    keep = weights != 0
    offsets = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return Bags(rows[keep].astype(np.int32), weights[keep].astype(np.float32), offsets.astype(np.int32))


def transpose(bags: Bags, n_rows: int) -> Bags:
    """The transposed matrix, for the gradient: bag r sums weight * cell over the cells that use row r."""
    order = np.argsort(bags.rows, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(bags.rows, minlength=n_rows))])
    return Bags(bags._bag_of_entry()[order], bags.weights[order], offsets.astype(np.int32))
