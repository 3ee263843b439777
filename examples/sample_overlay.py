"""Lays one face over another with a soft edge, as a face-swapping program of low resolution would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Overlay", "lay_over"]

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Overlay:
    """Place and look of the face that is laid over. Lengths are shares of the picture's side."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    feather: float
    shrink: float = 1.0  # the generator's resolution: 1 none, 3 a third
    noise: float = 0.0  # added, in grey levels
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)  # added to each channel, in grey levels
    contrast: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


def lay_over(frames: Frames, donor: Frames, overlay: Overlay, rng: np.random.Generator) -> Frames:
    """Frames (n, S, S, 3) whose faces are the donor's (n, S, S, 3), at the original's mean colour; noise from `rng`.

    Outside the ellipse they equal the originals.
    """
    side = frames.shape[1]
    mask = _ellipse(overlay, side)
    matrix = np.array([[1.0, 0.0, overlay.shift[0] * side], [0.0, 1.0, overlay.shift[1] * side]])
    gap = _colour_gap(frames, donor, mask)
    out = np.empty_like(frames)
    for k, (frame, source) in enumerate(zip(frames, donor, strict=True)):
        moved: Any = cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        face = _generated(moved, overlay, gap, rng)
        out[k] = np.clip(mask * face + (1 - mask) * frame + 0.5, 0, 255).astype(np.uint8)
    return out


def _generated(face: Frames, overlay: Overlay, gap: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """The face with a generator's lost detail, contrast, colour and noise."""
    side = face.shape[0]
    region: Any = face.astype(np.float32)
    if overlay.shrink > 1.0:
        small = max(8, round(side / overlay.shrink))
        region = cv2.resize(region, (small, small), interpolation=cv2.INTER_AREA)
        region = cv2.resize(region, (side, side), interpolation=cv2.INTER_LINEAR)
    region = 128 + overlay.contrast * (region - 128) + np.asarray(overlay.colour, np.float32) + gap
    if overlay.noise > 0:
        region = region + rng.normal(0, overlay.noise, region.shape).astype(np.float32)
    return np.asarray(region, np.float32)


def _ellipse(overlay: Overlay, side: int) -> NDArray[np.float32]:
    """Soft ellipse, (S, S, 1) in 0..1."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    distance = np.hypot((x - overlay.centre[0]) / overlay.radii[0], (y - overlay.centre[1]) / overlay.radii[1])
    soft = overlay.feather / min(overlay.radii)
    return np.asarray(np.clip((1 - distance) / soft + 0.5, 0, 1)[:, :, None], np.float32)


def _colour_gap(frames: Frames, donor: Frames, mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """What must be added to the donor's face so that its mean colour is that of the original's."""
    middle = len(frames) // 2
    weight = mask / max(float(mask.sum()), 1e-6)
    own, theirs = ((weight * group[middle].astype(np.float32)).sum(axis=(0, 1)) for group in (frames, donor))
    return np.asarray(own - theirs, np.float32)
