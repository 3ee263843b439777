"""Artefacts of generators in face crops, and benign changes of genuine video.

Faces are (n, S, S, 3) uint8 of a bank (`picture_bank`). A `Look` is one set of parameters for a whole span. The same
rendering of the whole crop is benign (a soft lens, another encoder), of the mouth alone it is a forgery: pairs of both
teach a network to look for differences *within* a picture, not for softness.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from fakespan.arrays import Float32Array, Float64Array, UInt8Array
from fakespan.media.encode import roundtrip_video

__all__ = ["Look", "draw_look", "mouth_mask", "null_event", "render"]

Shape = Literal["ellipse", "box", "lower"]
CENTRE = (0.5, 0.62)  # of the mouth, as shares of a bank's picture
FILTERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_NEAREST)


@dataclass(frozen=True)
class Look:
    """Artefacts of a simulated generator. Lengths are relative to the side of the picture, levels are of 255."""

    shrink: float = 1.0  # downscaling factor: 1 none, 3 to a third
    filter_: int = cv2.INTER_LINEAR  # interpolation for enlarging it again
    median: bool = False  # median filter: removes noise, keeps edges
    blur: float = 0.0  # sigma in pixels
    sharpen: float = 0.0
    noise: float = 0.0
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)
    contrast: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    jitter: float = 0.0  # frame-to-frame variation of the shift
    smear: int = 0  # frames averaged in time to either side
    components: int = 0  # number of principal components of the clip that are kept; 0: all
    quantise: float = 0.0  # quantisation step of 8x8 DCT coefficients
    lattice: float = 0.0  # level of a pattern of `period` pixels, as from transposed convolutions
    period: int = 2

    @property
    def honest(self) -> Look:
        """Only the effects that lenses, encoders and players have too, without generator artefacts."""
        return dataclasses.replace(self, components=0, quantise=0.0, lattice=0.0)


def draw_look(rng: np.random.Generator, strength: float = 1.0) -> Look:
    """Random artefacts, at least one. `strength` scales the light ones."""
    chosen = rng.random(11) < (0.45, 0.12, 0.15, 0.15, 0.15, 0.35, 0.3, 0.15, 0.3, 0.15, 0.15)
    if not chosen[[0, 1, 2, 3, 8, 9]].any():
        chosen[0] = True
    tint = rng.normal(0, 4, 3) + rng.normal(0, 3) if chosen[5] else np.zeros(3)
    return Look(
        shrink=float(rng.uniform(1.4, 4.0)) if chosen[0] else 1.0,
        filter_=int(FILTERS[rng.choice(4, p=(0.5, 0.3, 0.12, 0.08))]),
        median=bool(chosen[1]),
        blur=float(rng.uniform(0.5, 1.6)) if chosen[2] else 0.0,
        sharpen=float(rng.uniform(0.3, 1.5)) if chosen[3] else 0.0,
        noise=float(rng.uniform(1, 5)) if chosen[4] else 0.0,
        tint=(float(strength * tint[0]), float(strength * tint[1]), float(strength * tint[2])),
        contrast=float(np.exp(rng.normal(0, 0.08 * strength))) if chosen[6] else 1.0,
        shift=(float(rng.normal(0, 0.006)), float(rng.normal(0, 0.008))),
        scale=float(np.exp(rng.normal(0, 0.015))),
        jitter=float(rng.uniform(0.001, 0.005)) if rng.random() < 0.3 else 0.0,
        smear=int(rng.integers(1, 3)) if chosen[7] else 0,
        components=int(rng.integers(3, 24)) if chosen[8] else 0,
        quantise=float(rng.uniform(8, 30)) if chosen[9] else 0.0,
        lattice=float(rng.uniform(0.7, 3)) if chosen[10] else 0.0,
        period=int(rng.choice((2, 4))),
    )


def render(
    faces: UInt8Array, look: Look, rng: np.random.Generator, move: bool = True, clip: UInt8Array | None = None
) -> Float32Array:
    """Apply the artefacts to every pixel, (n, S, S, 3) float32 in 0..255.

    Args:
        faces: (n, S, S, 3).
        look: the artefacts.
        rng: random noise and jitter.
        move: whether to apply shifts.
        clip: (m, S, S, 3) pictures for the principal components; default: `faces`.
    """
    out = faces.astype(np.float32)
    if look.components:
        out = _few_components(out, faces if clip is None else clip, look.components)
    if look.smear:
        out = _smeared(out, look.smear)
    n, side = out.shape[:2]
    for k in range(n):
        image: Any = out[k]
        if move:
            image = cv2.warpAffine(image, _matrix(look, side, rng), (side, side), borderMode=cv2.BORDER_REFLECT)
        out[k] = _filtered(image, look)
    out = 128 + look.contrast * (out - 128) + np.asarray(look.tint, np.float32)
    if look.lattice:
        y, x = np.mgrid[:side, :side] % look.period
        out += look.lattice * rng.normal(0, 1, (look.period, look.period)).astype(np.float32)[y, x][..., None]
    if look.noise:
        out += rng.normal(0, look.noise, out.shape[:3]).astype(np.float32)[..., None]
    return np.asarray(np.clip(out, 0, 255), np.float32)


def mouth_mask(rng: np.random.Generator, side: int) -> Float32Array:
    """A random soft mask of the mouth region, (S, S, 1) in 0..1: an ellipse, a box, or all below the nose."""
    shapes: tuple[Shape, ...] = ("ellipse", "box", "lower")
    shape = shapes[rng.choice(3, p=(0.5, 0.25, 0.25))]
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    x, y = x - CENTRE[0] - np.float32(rng.normal(0, 0.02)), y - CENTRE[1] - np.float32(rng.normal(0, 0.03))
    feather = rng.uniform(0.01, 0.12)
    if shape == "ellipse":
        distance = np.hypot(x / rng.uniform(0.2, 0.4), y / rng.uniform(0.16, 0.34)) - 1
        distance = distance * 0.25
    elif shape == "box":
        distance = np.maximum(np.abs(x) - rng.uniform(0.2, 0.42), np.abs(y) - rng.uniform(0.15, 0.36))
    else:
        distance = np.maximum(np.abs(x) - rng.uniform(0.3, 0.48), -y - rng.uniform(0.08, 0.22))
    return np.asarray(np.clip(0.5 - distance / feather, 0, 1)[..., None], np.float32)


def null_event(
    faces: UInt8Array, begin: int, end: int, rng: np.random.Generator, look: Look | None = None
) -> UInt8Array:
    """Apply a benign change to these frames: the same length, nothing forged, the rest unchanged.

    With a look, it is applied to the whole crop, without generator artefacts.
    """
    if look is not None:
        return _relook(faces, begin, end, rng, look)
    events: tuple[Callable[..., UInt8Array], ...] = (_relook, _reencode, _jump, _freeze, _flash, _push, _overlay)
    event = events[rng.choice(len(events), p=(0.50, 0.12, 0.12, 0.04, 0.08, 0.07, 0.07))]
    return event(faces, begin, end, rng)


def _relook(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator, look: Look | None = None) -> UInt8Array:
    """Change sharpness, noise or colour of the whole crop: a lens, another encoder, an insert."""
    out = faces.copy()
    out[begin:end] = render(faces[begin:end], (look or draw_look(rng)).honest, rng, move=False).astype(np.uint8)
    return out


def _reencode(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    out = faces.copy()
    out[begin:end] = roundtrip_video(faces[begin:end], crf=int(rng.integers(26, 42)))
    return out


def _jump(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    """Jump cut: a part of the clip from somewhere else."""
    order = np.arange(len(faces))
    order[begin:end] = (order[begin:end] + int(rng.integers(3, 40))) % len(faces)
    return np.asarray(faces[order])


def _freeze(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    """Repeated frames, as in a stalling stream."""
    order = np.arange(len(faces))
    step = int(rng.integers(2, 6))
    order[begin:end] = begin + (np.arange(end - begin) // step) * step
    return np.asarray(faces[order])


def _flash(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    """Temporary change of brightness."""
    out = faces.copy()
    gain, lift = np.exp(rng.normal(0, 0.2)), rng.normal(0, 14)
    ramp = np.minimum(np.arange(1, end - begin + 1), np.arange(end - begin, 0, -1)) / rng.integers(1, 6)
    for k, share in zip(range(begin, end), np.minimum(ramp, 1), strict=True):
        lit = faces[k].astype(np.float32)
        out[k] = np.clip(lit + share * (lit * (gain - 1) + lift), 0, 255).astype(np.uint8)
    return out


def _push(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    """Motion blur."""
    out = faces.copy()
    side = faces.shape[1]
    way = np.sin(np.linspace(0, np.pi * rng.integers(1, 4), end - begin))
    dx, dy, zoom = rng.normal(0, 0.06) * side, rng.normal(0, 0.05) * side, rng.normal(0, 0.05)
    for k, share in zip(range(begin, end), way, strict=True):
        scale = 1 + zoom * share
        matrix = np.array(
            [
                [scale, 0, (1 - scale) * side / 2 + dx * share],
                [0, scale, (1 - scale) * side / 2 + dy * share],
            ]
        )
        out[k] = cv2.warpAffine(faces[k], matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    return out


def _overlay(faces: UInt8Array, begin: int, end: int, rng: np.random.Generator) -> UInt8Array:
    """A subtitle or a logo over it."""
    out = faces.copy()
    side = faces.shape[1]
    text = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(3, 12))))
    place = (int(rng.integers(-10, side // 2)), int(rng.integers(side // 4, side)))
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    scale, weight = float(rng.uniform(0.5, 1.6)), int(rng.integers(1, 4))
    for k in range(begin, end):
        image = np.ascontiguousarray(out[k])
        if weight > 1:
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, (0, 0, 0), weight + 2, cv2.LINE_AA)
        out[k] = cv2.putText(image, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, colour, weight, cv2.LINE_AA)
    return out


def _few_components(out: Float32Array, clip: UInt8Array, n: int) -> Float32Array:
    """Reconstruct from a few principal components of the clip."""
    side = out.shape[1]
    half = side // 2
    small, all_small = _small(out, half), _small(clip.astype(np.float32), half)
    mean = all_small.mean(axis=0)
    rows = (all_small - mean).reshape(len(clip), -1)
    n = min(n, len(rows) - 1)
    if n < 1:
        return out
    weights, vectors = np.linalg.eigh(rows @ rows.T)
    basis = vectors[:, -n:].T @ rows / np.sqrt(np.maximum(weights[-n:, None], 1e-3))
    shown = (small - mean).reshape(len(out), -1) @ basis.T @ basis
    shown = (mean + shown.reshape(small.shape)).astype(np.float32)
    fine = clip[:: max(1, len(clip) // 12)].astype(np.float32).mean(axis=0)
    fine -= cv2.resize(cv2.resize(fine, (half, half), interpolation=cv2.INTER_AREA), (side, side))
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) + fine for image in shown])


def _small(faces: Float32Array, side: int) -> Float32Array:
    small: list[Any] = [cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack(small)


def _quantised(image: Any, step: float) -> Any:
    """Quantise the DCT coefficients of 8x8 blocks, high frequencies more coarsely."""
    k = np.arange(8)
    turn = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / 8) * np.where(k == 0, np.sqrt(1 / 8), 0.5)[:, None]
    turn = turn.astype(np.float32)
    side = image.shape[0] // 8 * 8
    blocks = image[:side, :side].reshape(side // 8, 8, side // 8, 8, 3)
    steps = (step * (1 + 0.5 * (k[:, None] + k[None]))).astype(np.float32)
    codes = np.einsum("ai,xiyjc,bj->xaybc", turn, blocks, turn, optimize=True)
    codes = np.round(codes / steps[None, :, None, :, None]) * steps[None, :, None, :, None]
    out = image.copy()
    out[:side, :side] = np.einsum("ai,xaybc,bj->xiyjc", turn, codes, turn, optimize=True).reshape(side, side, 3)
    return out


def _smeared(faces: Float32Array, radius: int) -> Float32Array:
    index = np.arange(len(faces))[:, None] + np.arange(-radius, radius + 1)
    return np.asarray(faces[np.clip(index, 0, len(faces) - 1)].mean(axis=1, dtype=np.float32), np.float32)


def _filtered(image: Any, look: Look) -> Any:
    side = image.shape[0]
    if look.shrink > 1:
        small = max(12, round(side / look.shrink))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (side, side), interpolation=look.filter_)
    if look.median:
        image = cv2.medianBlur(np.clip(image, 0, 255).astype(np.uint8), 5).astype(np.float32)
    if look.quantise:
        image = _quantised(image, look.quantise)
    if look.blur:
        image = cv2.GaussianBlur(image, (0, 0), look.blur)
    if look.sharpen:
        image = image + look.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.5))
    return image


def _matrix(look: Look, side: int, rng: np.random.Generator) -> Float64Array:
    x, y, s = CENTRE[0] * side, CENTRE[1] * side, look.scale
    dx, dy = np.asarray(look.shift) * side + rng.normal(0, look.jitter * side + 1e-9, 2)
    return np.array([[s, 0, (1 - s) * x + dx], [0, s, (1 - s) * y + dy]])
