"""Arithmetic of face tracking: from occasional detections to a stable crop in every frame.

A jittering crop would look like a forged face to the networks, so stability has priority over centring. Three steps: a
running median over five detections removes outliers; a leash keeps the crop fixed while the face stays within a few
percent of it, and moves it no further than necessary beyond; between two detections the crop moves linearly. A person
who sits still gets exactly the same crop in every frame.

A place is (x, y, size): the centre of a face and the square root of its area, in pixels. Works on frame indices only.
"""

from __future__ import annotations

from math import exp, hypot, log

import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float64Array

__all__ = ["FACE_HEIGHT", "FACE_SHARE", "Place", "SteadyPath", "crop_box", "drag", "link", "places_between", "to_place"]

Place = Float64Array

FACE_SHARE = 0.605  # size of MTCNN's face relative to the crop, measured on VoxCeleb2, LRS2 and LRS3
FACE_HEIGHT = 0.345  # centre of those faces below the crop's top, relative to the crop
REACH = 2  # detections to either side in the median
SLACK = 0.10  # how far the face's centre may move before the crop follows, relative to the face
SIZE_SLACK = log(1.12)  # how much the face may grow or shrink before the crop follows


class SteadyPath:
    """The stabilised places of one face, returned once later detections cannot change them (after `REACH` more)."""

    def __init__(self) -> None:
        self._looks: list[tuple[int, Place]] = []  # those that a median still needs
        self._n_done = 0  # number of them already returned
        self._anchor: Place | None = None

    def add(self, index: int, place: Place) -> list[tuple[int, Place]]:
        """Add a detection; return the stabilised places that are now final, each with its frame index."""
        self._looks.append((index, place))
        done = self._give(len(self._looks) - REACH)
        surplus = max(0, self._n_done - REACH)
        del self._looks[:surplus]
        self._n_done -= surplus
        return done

    def finish(self) -> list[tuple[int, Place]]:
        """The remaining places, after the last detection."""
        return self._give(len(self._looks))

    def _give(self, until: int) -> list[tuple[int, Place]]:
        done = []
        for k in range(self._n_done, until):
            near = [place for _, place in self._looks[max(0, k - REACH) : k + REACH + 1]]
            target = np.median(near, axis=0)
            self._anchor = target if self._anchor is None else drag(self._anchor, target)
            done.append((self._looks[k][0], self._anchor))
        self._n_done = max(self._n_done, until)
        return done


def drag(anchor: Place, target: Place) -> Place:
    """Move the anchor towards the target as on a leash: unchanged while the target is near, else just enough.

    >>> drag(np.array([50.0, 50.0, 20.0]), np.array([51.0, 50.0, 21.0])).tolist()
    [50.0, 50.0, 20.0]
    >>> drag(np.array([50.0, 50.0, 20.0]), np.array([60.0, 50.0, 20.0])).tolist()
    [58.0, 50.0, 20.0]
    """
    x, y, size = map(float, anchor)
    dx, dy, growth = float(target[0]) - x, float(target[1]) - y, log(float(target[2]) / size)
    distance, slack = hypot(dx, dy), SLACK * size
    pull = (distance - slack) / distance if distance > slack else 0.0
    excess = np.sign(growth) * max(0.0, abs(growth) - SIZE_SLACK)
    return np.array([x + pull * dx, y + pull * dy, size * exp(excess)])


def places_between(before: tuple[int, Place], after: tuple[int, Place]) -> list[tuple[int, Place]]:
    """Linear interpolation: the place in every frame after `before` up to and including `after`."""
    (first, start), (last, end) = before, after
    n_steps = last - first
    return [(first + k, start + (end - start) * (k / n_steps)) for k in range(1, n_steps + 1)]


def crop_box(place: Place, width: int, height: int) -> tuple[int, int, int, int]:
    """The square crop x0, y0, x1, y1 around a face, framed as in VoxCeleb, shifted and shrunk to fit the picture."""
    side = max(1, min(round(float(place[2]) / FACE_SHARE), width, height))
    x0 = round(float(place[0]) - side / 2)
    y0 = round(float(place[1]) - side * FACE_HEIGHT)
    x0, y0 = min(max(x0, 0), width - side), min(max(y0, 0), height - side)
    return x0, y0, x0 + side, y0 + side


def to_place(box: NDArray[np.floating]) -> Place:
    """Convert a box (4,) of x0, y0, x1, y1 to (x, y, size)."""
    x0, y0, x1, y1 = map(float, box)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, max((x1 - x0) * (y1 - y0), 1.0) ** 0.5])


def link(overlaps: NDArray[np.floating], limit: float) -> list[tuple[int, int]]:
    """Greedy matching of an overlap matrix (R, C): pairs (row, column), largest first, each once, none below the limit.

    >>> link(np.array([[0.9, 0.5], [0.8, 0.1]]), 0.3)
    [(0, 0)]
    """
    pairs: list[tuple[int, int]] = []
    rest = np.array(overlaps, float)
    while rest.size and rest.max() >= limit:
        row, column = np.unravel_index(int(rest.argmax()), rest.shape)
        pairs.append((int(row), int(column)))
        rest[row, :] = rest[:, column] = -1.0
    return pairs
