"""Shot boundary detection, by comparing thumbnails of a few hundred pixels.

There is a cut at picture n if n differs from both previous pictures several times more than recent pictures differed
from each other, and more than the next one differs from n. So a flash of one picture, a pan and a shaking camera are
not cuts, and a jump cut within one setting is. Dissolves are not detected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import cv2
import numpy as np

from fakespan.arrays import UInt8Array

__all__ = ["mark_cuts"]

THUMB_SIDE = 32  # pixels
LEAST_CHANGE = 0.03  # mean change of a pixel, of 1, that a cut brings at least
LARGE_CHANGE = 0.08  # that another setting brings
LEAST_RISE = 7.0  # how many times the usual change
LEAST_RISE_OF_LARGE = 3.0
N_USUAL = 8  # pictures that say what is usual


class _Picture(Protocol):
    def thumbnail(self, max_side: int) -> UInt8Array: ...


P = TypeVar("P", bound=_Picture)


def mark_cuts(pictures: Iterable[P]) -> Iterator[tuple[P, bool]]:
    """Yield each picture with True if a new shot begins (not for the first). Reads one picture ahead."""
    usual: deque[float] = deque(maxlen=N_USUAL)
    recent: deque[UInt8Array] = deque(maxlen=4)  # two previous, the current, the next
    current: P | None = None
    for picture in pictures:
        recent.append(picture.thumbnail(THUMB_SIDE))
        if current is not None:
            yield current, _is_cut(list(recent)[:-1], recent[-1], usual)
        current = picture
    if current is not None:
        yield current, _is_cut(list(recent)[-3:], None, usual)


def _difference(one: UInt8Array, other: UInt8Array) -> float:
    """Mean absolute difference of two thumbnails in 0..1; 1 if their sizes differ."""
    return cv2.norm(one, other, cv2.NORM_L1) / (255 * one.size) if one.shape == other.shape else 1.0


def _is_cut(until: list[UInt8Array], after: UInt8Array | None, usual: deque[float]) -> bool:
    """Whether the last of `until` (at most three thumbnails) begins a shot; adds its change to `usual`."""
    if len(until) < 2:
        return False
    *before, here = until
    changes = [_difference(here, earlier) for earlier in before]
    around = max(float(np.mean(usual)) if usual else 0.0, _difference(after, here) if after is not None else 0.0)
    is_cut = min(changes) > min(max(LEAST_CHANGE, LEAST_RISE * around), max(LARGE_CHANGE, LEAST_RISE_OF_LARGE * around))
    if is_cut:
        usual.clear()
    else:
        usual.append(changes[-1])
    return is_cut
