"""The picture of a sample clip: the puppet filmed by a cheap camera, and what an attacker does to some frames of it.

The attacker draws the lower face anew for other words, with a generator of low resolution and slightly wrong colours,
and blends it into the recorded frames under a soft mask. All other frames stay as recorded, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sample_face import Look, Motion, Puppet

__all__ = ["FPS", "Takes", "film", "forge_picture"]

FPS = 25


@dataclass(frozen=True, slots=True)
class Takes:
    """A recording, and what is needed to draw it again."""

    frames: NDArray[np.uint8]  # (n, size, size, 3) RGB
    motions: tuple[Motion, ...]
    puppet: Puppet


def film(mouth: NDArray[np.float64], size: int, seed: int, *, is_plain: bool) -> Takes:
    """Record the puppet.

    Args:
        mouth: (frames, 2) gap and width from `mouth_track`.
        size: height and width, pixels.
        seed: of pose, light, blinking and noise.
        is_plain: the portrait's own framing, face and light, not drawn from the seed.
    """
    rng = np.random.default_rng(seed)
    puppet = Puppet(Look() if is_plain else _look(rng), size)
    motions = _motions(mouth, rng)
    camera = _Noise(size, rng)
    frames = np.stack([camera(puppet.draw(motion)) for motion in motions])
    return Takes(frames, motions, puppet)


def forge_picture(
    takes: Takes, mouth: NDArray[np.float64], touched: Iterable[int], seed: int, *, is_plain: bool
) -> NDArray[np.uint8]:
    """A copy of the recording in which the mouth follows `mouth` on the touched frames."""
    rng = np.random.default_rng(seed)
    detail = 0.42 if is_plain else rng.uniform(0.3, 0.6)  # share of the resolution that the generator has
    tint = rng.uniform(-3, 3, 3).astype(np.float32) + np.float32(rng.choice([-2, 2]))
    frames = takes.frames.copy()
    for k in touched:
        motion = replace(takes.motions[k], gap=float(mouth[k, 0]), width=float(mouth[k, 1]))
        drawn = _by_generator(takes.puppet.draw(motion), detail, tint)
        mask = takes.puppet.mouth_mask(motion)[..., None]
        mixed = frames[k] + (drawn - frames[k]) * mask
        frames[k] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return frames


def _by_generator(picture: NDArray[np.uint8], detail: float, tint: NDArray[np.float32]) -> NDArray[np.float32]:
    small = cv2.resize(picture, None, fx=detail, fy=detail, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return large.astype(np.float32) + tint


def _look(rng: np.random.Generator) -> Look:
    side = rng.uniform(176, 236)
    warmth, brightness = rng.uniform(-0.08, 0.08), rng.uniform(0.8, 1.1)
    return Look(
        centre=(222 + rng.uniform(-14, 14), max(side / 2 + 8, 112 + rng.uniform(-4, 12))),
        side=side,
        mirrored=bool(rng.random() < 0.5),
        jaw_width=rng.uniform(0.93, 1.08),
        eye_size=rng.uniform(0.94, 1.12),
        face_length=rng.uniform(0.95, 1.05),
        gain=(brightness * (1 + warmth), brightness, brightness * (1 - warmth)),
        gamma=rng.uniform(0.8, 1.3),
    )


def _motions(mouth: NDArray[np.float64], rng: np.random.Generator) -> tuple[Motion, ...]:
    n = len(mouth)
    shift_x, shift_y = _sway(n, 2.6, 2.0, rng), _sway(n, 1.6, 1.4, rng)
    turn_x, turn_y = _sway(n, 2.2, 1.6, rng), _sway(n, 1.5, 1.2, rng)
    roll, hand_x, hand_y = _sway(n, 0.025, 2.0, rng), _sway(n, 0.5, 0.8, rng), _sway(n, 0.5, 0.8, rng)
    nod = 0.12 * (mouth[:, 0] - mouth[:, 0].mean())  # heads move a little with what they stress
    blink = _blinks(n, rng)
    return tuple(
        Motion(
            gap=float(mouth[k, 0]),
            width=float(mouth[k, 1]),
            blink=float(blink[k]),
            shift=(float(shift_x[k]), float(shift_y[k] + nod[k])),
            roll_rad=float(roll[k]),
            turn=(float(turn_x[k]), float(turn_y[k])),
            camera=(float(hand_x[k]), float(hand_y[k])),
        )
        for k in range(n)
    )


def _sway(n_frames: int, size: float, period_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A slow random movement: smoothed noise with a standard deviation near `size`."""
    sigma = period_s * FPS / 4
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.convolve(rng.standard_normal(n_frames + 2 * reach), kernel / np.sqrt(np.sum(kernel**2)), "valid") * size


def _blinks(n_frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """0 open to 1 shut; a blink every few seconds, about a quarter of a second long."""
    shape = np.array([0.35, 0.9, 1.0, 0.75, 0.4, 0.12])
    closed = np.zeros(n_frames)
    k = int(rng.uniform(0.6, 2.0) * FPS)
    while k + len(shape) < n_frames:
        closed[k : k + len(shape)] = shape
        k += int(rng.uniform(1.8, 4.5) * FPS)
    return closed


class _Noise:
    """Sensor noise, fresh in every frame, and a faint flicker of the light."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size, self._rng, self._reach = size, rng, 48
        grain = rng.standard_normal((size + self._reach, size + self._reach, 3)).astype(np.float32)
        self._grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * np.float32(rng.uniform(2.0, 4.5))

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        top, left = self._rng.integers(self._reach, size=2)
        grain = self._grain[top : top + self._size, left : left + self._size]
        light = np.float32(1 + 0.004 * self._rng.standard_normal())
        return np.clip(np.rint(picture * light + grain), 0, 255).astype(np.uint8)
