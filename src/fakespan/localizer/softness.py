"""Where a face is much softer than around it: the picture expert does not judge it there (`models.picture`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakespan.arrays import BoolArray, Float32Array, UInt8Array
from fakespan.config import SOFT

__all__ = ["sharpness", "soft_frames"]

SMOOTHED = 9  # frames


def sharpness(face: UInt8Array) -> float:
    """Log of the mean strength of edges in a crop (S, S, 3), as `models.picture.log_sharpness`."""
    total = np.add(face[..., 0], face[..., 1], dtype=np.int16)  # five times as fast as a mean
    total += face[..., 2]
    around = total[:-2, 1:-1] + total[2:, 1:-1] + total[1:-1, :-2] + total[1:-1, 2:]
    return float(np.log(np.abs(4 * total[1:-1, 1:-1] - around).mean() / 3 + 0.5))


def soft_frames(values: Sequence[float], window: int) -> BoolArray:
    """Whether each frame of a track is not judged, by its sharpness against the mean of so many frames around it."""
    curve = np.asarray(values, np.float32)
    return _moving_mean(curve, SMOOTHED) - _moving_mean(curve, window) < SOFT


def _moving_mean(curve: Float32Array, n: int) -> Float32Array:
    """Mean of the up to n frames around each frame."""
    sums = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
    at = np.arange(len(curve))
    begin, end = np.maximum(at - n // 2, 0), np.minimum(at + (n + 1) // 2, len(curve))
    return np.asarray((sums[end] - sums[begin]) / (end - begin), np.float32)
