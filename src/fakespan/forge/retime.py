"""Resamples pictures in time by optical-flow interpolation.

If a forged word is longer or shorter than the original, LAV-DF resamples the video in time to follow the audio
(2204.06228, section 3). Repeated or dropped frames would be visible; here a frame between two is interpolated from
both, each warped along the flow.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from fakespan.arrays import Float32Array, UInt8Array

__all__ = ["retime"]

NEAR = 0.12  # in frames: times this close to a frame use it unchanged


def retime(faces: UInt8Array, n_wanted: int) -> UInt8Array:
    """Pictures (n, S, S, 3) -> (n_wanted, S, S, 3), evenly spaced; the first and the last picture are kept.

    >>> retime(np.zeros((4, 16, 16, 3), np.uint8), 6).shape
    (6, 16, 16, 3)
    """
    if len(faces) == n_wanted:
        return faces
    places = np.linspace(0, len(faces) - 1, n_wanted)
    return np.stack([_at(faces, float(place)) for place in places]) if n_wanted else faces[:0]


def _at(faces: UInt8Array, place: float) -> UInt8Array:
    before = min(int(place), len(faces) - 1)
    share = place - before
    if share < NEAR or before + 1 >= len(faces):
        return np.asarray(faces[before])
    return np.asarray(faces[before + 1]) if share > 1 - NEAR else _between(faces[before], faces[before + 1], share)


def _between(a: UInt8Array, b: UInt8Array, share: float) -> UInt8Array:
    """Interpolate at `share` of the way from a to b."""
    grey_a, grey_b = (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in (a, b))
    method: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # type: ignore[attr-defined]
    forth, back = method.calc(grey_a, grey_b, None), method.calc(grey_b, grey_a, None)
    # source of each pixel: backwards along the flow, scaled by its share
    moved_a, moved_b = _moved(a, -share * forth), _moved(b, -(1 - share) * back)
    return np.asarray(np.clip((1 - share) * moved_a + share * moved_b + 0.5, 0, 255), np.uint8)


def _moved(face: UInt8Array, shift: Float32Array) -> Float32Array:
    y, x = np.mgrid[: face.shape[0], : face.shape[1]].astype(np.float32)
    moved = cv2.remap(face, x + shift[..., 0], y + shift[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
