"""What can be judged of the face of a track, frame by frame: not where it is out of focus, nor where it stands still.

A face that is much softer than around looks forged to the picture expert (`models.picture`), and in a photo or a frozen
picture no mouth moves: there is nothing to judge.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import AnyArray, BoolArray, Float32Array, Int64Array, UInt8Array
from fakespan.config import SOFT
from fakespan.localizer.hearing import runs
from fakespan.types import Reason

__all__ = ["LABELS", "Seeing", "change", "sharpness", "soft_frames", "still_frames"]

LABELS: tuple[Reason | None, ...] = (None, "face_too_soft", "face_still")
"""Why the face of a frame is not judged, by label; None: it is."""

_SOFT, _STILL = 1, 2
_SMOOTHED = 9  # frames
_STILL_LEVELS = 0.3  # mean change of the pixels, of 255: beyond what codecs add to a photo
_SHORTEST_STILL = 10  # frames; of genuine talking people it were three at most (docs/scan.md)


class Seeing:
    """Measures the faces (S, S, 3) of one track in turn."""

    def __init__(self) -> None:
        self._sharpness: list[float] = []
        self._changes: list[float] = []
        self._before: AnyArray | None = None

    def push(self, face: UInt8Array) -> None:
        """Add the next face."""
        total = _total(face)
        self._sharpness.append(sharpness(total))
        self._changes.append(np.inf if self._before is None else change(self._before, total))
        self._before = total

    def labels(self, window: int) -> Int64Array:
        """(n,) see `LABELS`; sharpness is compared with the mean of so many frames around each."""
        labels = np.zeros(len(self._sharpness), np.int64)
        labels[soft_frames(np.array(self._sharpness, np.float32), window)] = _SOFT
        labels[still_frames(np.array(self._changes, np.float32))] = _STILL
        return labels


def _total(face: UInt8Array) -> AnyArray:
    """The three colours together, (S, S) int16; five times as fast as a mean."""
    total = np.add(face[..., 0], face[..., 1], dtype=np.int16)
    total += face[..., 2]
    return total


def sharpness(total: AnyArray) -> float:
    """Log of the mean strength of edges, as `models.picture.log_sharpness`.

    Args:
        total: sum of the three colours, (S, S) int16.
    """
    around = total[:-2, 1:-1] + total[2:, 1:-1] + total[1:-1, :-2] + total[1:-1, 2:]
    return float(np.log(np.abs(4 * total[1:-1, 1:-1] - around).mean() / 3 + 0.5))


def change(one: AnyArray, other: AnyArray) -> float:
    """Mean change of a pixel between two sums of three colours (S, S) int16, in levels."""
    return float(np.abs(one - other).mean() / 3)


def soft_frames(sharp: Float32Array, window: int) -> BoolArray:
    """Which of the frames (n,) are much softer than the mean of so many around them."""
    return _moving_mean(sharp, _SMOOTHED) - _moving_mean(sharp, window) < SOFT


def still_frames(changes: Float32Array) -> BoolArray:
    """Which of the frames (n,) lie in 0.4 s or more in which nothing changes, with the frame that is repeated."""
    is_still = np.zeros(len(changes), bool)
    for begin, end in runs(changes < _STILL_LEVELS):
        if end - begin >= _SHORTEST_STILL:
            is_still[max(0, begin - 1) : end] = True
    return is_still


def _moving_mean(curve: Float32Array, n: int) -> Float32Array:
    """Mean of the up to n frames around each frame."""
    sums = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
    at = np.arange(len(curve))
    begin, end = np.maximum(at - n // 2, 0), np.minimum(at + (n + 1) // 2, len(curve))
    return np.asarray((sums[end] - sums[begin]) / (end - begin), np.float32)
