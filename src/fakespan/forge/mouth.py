"""Replaces the mouth in a face: donor frames are aligned by landmarks, matched in colour and blended.

Faces are square crops (n, S, S, 3) uint8 framed as in LAV-DF. The donor has the same number of frames as the original
(see `retime`). Only the region (mouth, lower face or whole face) changes; the artefacts of a generator (lost detail,
noise, colour) come from a `Look`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import AnyArray, Float32Array, Float64Array, UInt8Array
from fakespan.errors import DataError
from fakespan.media.detect import FaceDetector

__all__ = ["Look", "draw_look", "find_landmarks", "swap_mouth"]

Region = Literal["mouth", "lower", "face"]

# centre below the mouth's centre, half width, half height; in units of the distance between the eyes
REGIONS: dict[Region, tuple[float, float, float]] = {
    "mouth": (0.06, 0.62, 0.42),
    "lower": (0.12, 0.86, 0.66),
    "face": (-0.55, 1.15, 1.35),
}
WEIGHTS = np.array([1.0, 1.0, 1.0, 0.3, 0.3])[:, None]  # of the five landmarks in the alignment: the lips move


@dataclass(frozen=True)
class Look:
    """Parameters and artefacts of a simulated tool. Lengths are in units of the distance between the eyes."""

    region: Region = "lower"
    blend: Literal["soft", "poisson"] = "soft"
    size: float = 1.0  # of the region
    feather: float = 0.25
    shrink: float = 1.0  # the generator's resolution: 1 none, 3 a third
    sharpen: float = 0.0  # unsharp mask afterwards
    noise: float = 0.0  # added, in grey levels
    colour: tuple[float, float, float] = (0.0, 0.0, 0.0)  # added to each channel, in grey levels
    contrast: float = 1.0


def draw_look(rng: np.random.Generator, *, region: Region | None = None, is_generated: bool = True) -> Look:
    """Random parameters.

    Args:
        rng: source of randomness.
        region: the region; None: random.
        is_generated: whether to add a generator's artefacts (lost detail, noise, colour) besides the seams.
    """
    regions: tuple[Region, ...] = ("mouth", "lower", "face")
    chosen = region or regions[rng.choice(3, p=(0.4, 0.4, 0.2))]
    tint = rng.normal(0, 2.5, 3) if is_generated and rng.random() < 0.6 else np.zeros(3)
    return Look(
        region=chosen,
        blend="poisson"
        if chosen == "mouth" and rng.random() < 0.5
        else "soft",  # a larger region would absorb the background
        size=float(rng.uniform(0.88, 1.12)),
        feather=float(rng.uniform(0.15, 0.35)),
        shrink=float(rng.uniform(1.3, 3.2)) if is_generated else 1.0,
        sharpen=float(rng.uniform(0.2, 0.8)) if is_generated and rng.random() < 0.3 else 0.0,
        noise=float(rng.uniform(0.5, 3)) if is_generated and rng.random() < 0.3 else 0.0,
        colour=(float(tint[0]), float(tint[1]), float(tint[2])),
        contrast=float(rng.normal(1.0, 0.04)) if is_generated else 1.0,
    )


def find_landmarks(faces: UInt8Array, detector: FaceDetector) -> Float32Array:
    """Eyes, nose and mouth corners of every frame, (n, 5, 2) pixels, smoothed over time.

    Raises:
        DataError: no face is detected in the first frame that should show one.
    """
    side = faces.shape[1]
    found = detector.detect(faces[len(faces) // 2], 0.25 * side)
    if not len(found):
        raise DataError("face crop", expected="a face", got="none that the detector sees", remedy="use another clip")
    box = found.boxes[0]
    points = np.empty((len(faces), 5, 2), np.float32)
    for order in (range(len(faces) // 2, len(faces)), range(len(faces) // 2 - 1, -1, -1)):
        place = box
        for k in order:  # outwards from the middle: each face is near the previous one
            points[k] = detector.landmarks(faces[k], place)
            near = detector.refine(faces[k], place[None])
            place = near.boxes[0] if near.scores[0] > 0.5 else place
    return _steady(points)


def swap_mouth(
    faces: UInt8Array, donor: UInt8Array, look: Look, rng: np.random.Generator, detector: FaceDetector
) -> UInt8Array:
    """Replace the region of the faces by the donor's.

    Args:
        faces: (n, S, S, 3) originals.
        donor: (n, S, S, 3) of the same person, the content of the region frame by frame.
        look: parameters.
        rng: random noise.
        detector: detects the landmarks.

    Returns:
        (n, S, S, 3); outside the region each frame equals the original.

    Raises:
        DataError: no face is detected in either.
    """
    own, theirs = find_landmarks(faces, detector), find_landmarks(donor, detector)
    matrices = _steady(np.stack([_similarity(b, a) for a, b in zip(own, theirs, strict=True)]))
    side = faces.shape[1]
    moved = np.stack([_warped(f, m, side) for f, m in zip(donor, matrices, strict=True)])
    masks = [_mask(points, look, side) for points in own]
    gaps = _steady(np.stack([_colour_gap(f, d, m) for f, d, m in zip(faces, moved, masks, strict=True)]), 2.0)
    out = np.empty_like(faces)
    for k, (face, mask) in enumerate(zip(faces, masks, strict=True)):
        region = _rendered(moved[k], look, gaps[k], rng)
        if look.blend == "poisson":
            region = _poisson(face, region, mask)
        weight = mask * _entrance(k, len(faces))
        out[k] = np.clip(weight * region + (1 - weight) * face + 0.5, 0, 255).astype(np.uint8)
    return out


def _entrance(k: int, n: int) -> float:
    """The first and the last frame are mixed with the original, to avoid jumps."""
    return 0.55 if n > 3 and k in (0, n - 1) else 1.0


def _rendered(face: UInt8Array, look: Look, gap: Float32Array, rng: np.random.Generator) -> Float32Array:
    """The face with the artefacts of a generator."""
    side = face.shape[0]
    region: Any = face.astype(np.float32)
    if look.shrink > 1.0:
        small = max(8, round(side / look.shrink))
        region = cv2.resize(region, (small, small), interpolation=cv2.INTER_AREA)
        region = cv2.resize(region, (side, side), interpolation=cv2.INTER_CUBIC)
    if look.sharpen > 0:
        region = region + look.sharpen * (region - cv2.GaussianBlur(region, (0, 0), 1.5))
    region = 128 + look.contrast * (region - 128) + np.asarray(look.colour, np.float32) + gap
    if look.noise > 0:
        region = region + rng.normal(0, look.noise, region.shape[:2]).astype(np.float32)[:, :, None]
    return np.asarray(region, np.float32)


def _poisson(face: UInt8Array, region: Float32Array, mask: Float32Array) -> Float32Array:
    """Poisson blending of the region into the face (Perez et al. 2003, by OpenCV)."""
    inside = (mask[:, :, 0] > 0.5).astype(np.uint8) * 255
    y, x = np.nonzero(inside)
    if len(y) == 0 or min(y.min(), x.min()) < 2 or max(y.max(), x.max()) > len(inside) - 3:
        return region  # it would cross the edge of the picture
    centre = (int(x.min() + x.max() + 1) // 2, int(y.min() + y.max() + 1) // 2)
    source = np.clip(region, 0, 255).astype(np.uint8)
    return np.asarray(cv2.seamlessClone(source, face, inside, centre, cv2.NORMAL_CLONE), np.float32)


def _mask(points: Float32Array, look: Look, side: int) -> Float32Array:
    """Soft ellipse rotated with the eyes, (S, S, 1) in 0..1."""
    eyes = points[1] - points[0]
    unit = max(float(np.hypot(*eyes)), side / 12)
    across = eyes / max(float(np.hypot(*eyes)), 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    below, width, height = REGIONS[look.region]
    centre = points[3:].mean(0) + below * unit * down
    y, x = np.mgrid[:side, :side].astype(np.float32)
    offset = np.stack([x - centre[0], y - centre[1]], axis=-1)
    half = look.size * unit * np.array([width, height], np.float32)
    distance = np.hypot(offset @ across / half[0], offset @ down / half[1])
    soft = look.feather * unit / float(half.min())
    ramp = np.clip((1 - distance) / soft + 0.5, 0, 1)
    return np.asarray((ramp * ramp * (3 - 2 * ramp))[:, :, None], np.float32)


def _colour_gap(face: UInt8Array, donor: UInt8Array, mask: Float32Array) -> Float32Array:
    """Colour offset (3,) that matches the donor's skin to the face around the border of the region."""
    border = mask * (1 - mask)
    weight = border / max(float(border.sum()), 1e-6)
    return np.asarray((weight * (face.astype(np.float32) - donor)).sum(axis=(0, 1)), np.float32)


def _similarity(source: Float32Array, target: Float32Array) -> Float64Array:
    """Similarity transform (2, 3) that maps the source's landmarks to the target's (Umeyama 1991)."""
    share = WEIGHTS / WEIGHTS.sum()
    a, b = (share * source).sum(0), (share * target).sum(0)
    p, q = (source - a) @ (1, 1j), (target - b) @ (1, 1j)  # a similarity is a complex factor
    factor = (share[:, 0] * q * p.conj()).sum() / (share[:, 0] * abs(p) ** 2).sum()
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (b - turn @ a)[:, None]], axis=1)


def _warped(face: UInt8Array, matrix: NDArray[np.floating[Any]], side: int) -> UInt8Array:
    warped = cv2.warpAffine(
        face, matrix.astype(float), (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.uint8)


def _steady(values: AnyArray, sigma: float = 1.0) -> Float32Array:
    """Gaussian smoothing along the first axis, `sigma` in frames, ends repeated."""
    reach = int(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([values[:1].repeat(reach, 0), values, values[-1:].repeat(reach, 0)]).astype(np.float32)
    parts = [w * padded[k : k + len(values)] for k, w in enumerate(weights / weights.sum())]
    return np.asarray(np.sum(parts, axis=0), np.float32)
