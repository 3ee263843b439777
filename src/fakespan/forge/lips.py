"""Forges the video of a span: which mouth to show (donor frames), with the artefacts of a generator.

Faces are square crops (n, S, S, 3) uint8. The region (mouth or whole face) is blended over the original with a soft
mask, so that the rest of the picture is untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from fakespan.arrays import Float32Array, Float64Array, UInt8Array

__all__ = ["LipsLook", "draw_look", "forge_faces"]


@dataclass(frozen=True)
class LipsLook:
    """Parameters and artefacts of a simulated tool for one span. Lengths are relative to the side of the crop."""

    region: Literal["mouth", "face"] = "mouth"
    centre: tuple[float, float] = (0.5, 0.66)
    radii: tuple[float, float] = (0.20, 0.14)
    feather: float = 0.05
    shrink: float = 1.0  # the generator's resolution: 1 none, 3 a third
    noise: float = 0.0  # added, in grey levels
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)  # added to each channel, in grey levels
    contrast: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the pasted region
    scale: float = 1.0


def draw_look(rng: np.random.Generator, has_donor: bool) -> LipsLook:
    """Random region and strength; without donor frames there is at least a change of sharpness or colour."""
    region: Literal["mouth", "face"] = "mouth" if rng.random() < 0.7 else "face"
    wide = region == "face"
    shrink = float(rng.uniform(1.6, 4.0)) if rng.random() < (0.75 if has_donor else 0.85) else 1.0
    tint = rng.normal(0, 4.0 if has_donor else 7.0, 3)
    return LipsLook(
        region=region,
        centre=(float(rng.normal(0.5, 0.02)), float(rng.normal(0.56 if wide else 0.66, 0.03))),
        radii=(
            float(rng.uniform(0.26, 0.36) if wide else rng.uniform(0.15, 0.25)),
            float(rng.uniform(0.30, 0.42) if wide else rng.uniform(0.10, 0.17)),
        ),
        feather=float(rng.uniform(0.02, 0.10)),
        shrink=shrink,
        noise=float(rng.uniform(1, 5)) if rng.random() < 0.25 else 0.0,
        colour=(float(tint[0]), float(tint[1]), float(tint[2])) if shrink == 1.0 or rng.random() < 0.5 else (0.0,) * 3,
        contrast=float(rng.normal(1.0, 0.06)),
        shift=(float(rng.normal(0, 0.006)), float(rng.normal(0, 0.006))),
        scale=float(rng.normal(1.0, 0.012)),
    )


def forge_faces(faces: UInt8Array, donor: UInt8Array | None, look: LipsLook, rng: np.random.Generator) -> UInt8Array:
    """Replace the mouths (or faces) of a span.

    Args:
        faces: (n, S, S, 3) the originals of the span.
        donor: (n, S, S, 3) source of the region; None: re-render the originals.
        look: region and artefacts.
        rng: random noise.

    Returns:
        (n, S, S, 3) new faces; outside the mask they equal the originals.
    """
    side = faces.shape[1]
    mask = _mask(look, side)
    matrix = _matrix(look, side)
    base = faces if donor is None else donor
    out = np.empty_like(faces)
    gap = np.zeros(3, np.float32) if donor is None else _colour_gap(faces, donor, mask)
    for k, (face, source) in enumerate(zip(faces, base, strict=True)):
        moved: Any = cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        region = _render(moved, look, gap, rng)
        out[k] = np.clip(mask * region + (1 - mask) * face + 0.5, 0, 255).astype(np.uint8)
    return out


def _render(face: UInt8Array, look: LipsLook, gap: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The face with the artefacts of a generator."""
    side = face.shape[0]
    region: Any = face.astype(np.float32)
    if look.shrink > 1.0:
        small = max(8, round(side / look.shrink))
        region = cv2.resize(region, (small, small), interpolation=cv2.INTER_AREA)
        region = cv2.resize(region, (side, side), interpolation=cv2.INTER_LINEAR)
    region = 128 + look.contrast * (region - 128) + np.asarray(look.colour, np.float32) + gap
    if look.noise > 0:
        region = region + rng.normal(0, look.noise, region.shape).astype(np.float32)
    return np.asarray(region, np.float32)


def _mask(look: LipsLook, side: int) -> Float32Array:
    """Soft ellipse, (S, S, 1) in 0..1."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    distance = np.hypot((x - look.centre[0]) / look.radii[0], (y - look.centre[1]) / look.radii[1])
    soft = look.feather / min(look.radii)
    return np.asarray(np.clip((1 - distance) / soft + 0.5, 0, 1)[:, :, None], np.float32)


def _matrix(look: LipsLook, side: int) -> Float64Array:
    """Affine matrix that scales around the centre of the region and shifts it."""
    x, y = look.centre[0] * side, look.centre[1] * side
    s = look.scale
    return np.array([[s, 0, (1 - s) * x + look.shift[0] * side], [0, s, (1 - s) * y + look.shift[1] * side]])


def _colour_gap(faces: UInt8Array, donor: UInt8Array, mask: Float32Array) -> Float32Array:
    """Colour offset that matches the mean colour of the donor's region to the originals."""
    middle = len(faces) // 2
    weight = mask / max(float(mask.sum()), 1e-6)
    both = [(weight * group[middle].astype(np.float32)).sum(axis=(0, 1)) for group in (faces, donor)]
    return np.asarray(both[0] - both[1], np.float32)
