"""A public-domain portrait that moves: mouth, eyelids and head, drawn by warping one photograph.

The photograph is scikit-image's `astronaut` (Eileen Collins, NASA, public domain). Every output pixel looks up where
it comes from: picture -> head pose -> lids and lips -> photograph, so that one interpolation is all the blur there is.
Lips and lids move along columns between knots that keep their order, so the picture can fold nowhere. All positions
are pixels of the 512x512 photograph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

__all__ = ["Look", "Motion", "Puppet"]

Array = NDArray[np.floating[Any]]
_MOUTH_X, _MOUTH_Y, _CHIN_Y = 223.5, 145.0, 178.0
_NECK = (222.0, 190.0)
_MOUTH_BOX = (176.0, 126.0, 272.0, 200.0)  # left, top, right, bottom: the lips and the jaw move nothing beyond
_GAP = 6.2  # of the photographed smile

# contours: x, then y of the upper lip's outer and inner edge, the lower lip's inner and outer edge, and the chin
_X = (190, 199, 204, 210, 215, 220, 225, 230, 235, 240, 245.5, 250, 258)
_UPPER_OUTER = (138.5, 139.3, 139.6, 139.0, 138.6, 138.4, 138.4, 138.5, 138.7, 138.6, 138.4, 138.0, 137.5)
_UPPER_INNER = (140.0, 140.6, 141.0, 142.0, 142.9, 143.6, 143.7, 143.0, 142.2, 141.2, 139.6, 139.2, 138.5)
_LOWER_INNER = (140.2, 140.8, 141.3, 146.3, 148.8, 149.8, 149.9, 149.4, 147.5, 144.6, 139.9, 139.4, 138.7)
_LOWER_OUTER = (142.0, 142.4, 143.2, 149.6, 152.8, 154.4, 154.6, 153.4, 151.0, 147.4, 142.0, 141.0, 140.5)
_CHIN = (160.0, 169.0, 172.3, 175.4, 177.0, 177.9, 178.0, 177.5, 176.2, 173.8, 171.0, 168.5, 160.0)
# eyes: centre x, half width, upper lid, lower lid and corner height
_EYES = ((202.3, 10.5, 97.2, 104.2, 100.6), (247.0, 11.0, 99.4, 106.8, 103.2))


@dataclass(frozen=True, slots=True)
class Look:
    """What stays the same through a clip: framing, face and light."""

    centre: tuple[float, float] = (222.0, 122.0)
    side: float = 224.0  # of the square that is shown
    mirrored: bool = False
    jaw_width: float = 1.0
    eye_size: float = 1.0
    face_length: float = 1.0
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # red, green, blue
    gamma: float = 1.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What changes from frame to frame."""

    gap: float  # between the lips, pixels of the photograph
    width: float  # of the mouth, as a share
    blink: float = 0.0  # 0 open, 1 shut
    shift: tuple[float, float] = (0.0, 0.0)  # of the head
    roll_rad: float = 0.0
    turn: tuple[float, float] = (0.0, 0.0)  # of the face against its outline, a hint of yaw and pitch
    camera: tuple[float, float] = (0.0, 0.0)


class Puppet:
    """Draws the portrait at a fixed size.

    Args:
        look: framing, face and light.
        size: height and width of the frames, pixels.
    """

    def __init__(self, look: Look, size: int) -> None:
        self.look, self.size = look, size
        photo: NDArray[np.uint8] = data.astronaut()  # type: ignore[no-untyped-call]
        light = (photo / 255.0) ** look.gamma * np.array(look.gain)
        self._photo = np.clip(light * 255, 0, 255).astype(np.uint8)
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size * look.side - look.side / 2
        self._grid = np.meshgrid(axis + look.centre[0], axis + look.centre[1])

    def draw(self, motion: Motion) -> NDArray[np.uint8]:
        """One frame, (size, size, 3) RGB."""
        x, y = self._posed(motion)
        inside = _in_box(x, y, _MOUTH_BOX)
        source_x, source_y, opening, mouth_x, mouth_y = _lips(x[inside], y[inside], motion, self.look.jaw_width)
        eyes_x, eyes_y = _lids(x, y, motion.blink, self.look.eye_size)
        map_x, map_y = eyes_x, eyes_y
        map_x[inside], map_y[inside] = source_x, source_y
        picture = self._look_up(map_x, map_y)
        weight = np.zeros(x.shape, np.float32)
        weight[inside] = opening
        if weight.any():
            cavity = self._cavity(inside, x, y, mouth_x, mouth_y)
            picture = _blend(picture, cavity, weight)
        return picture[:, ::-1].copy() if self.look.mirrored else picture

    def mouth_mask(self, motion: Motion) -> Array:
        """Where a face forger would paint: 1 on the lower face, soft to 0 around it, (size, size)."""
        x, y = self._posed(motion)
        distance = np.hypot((x - _MOUTH_X) / 36, (y - 153) / 29)
        mask = np.clip((1.0 - distance) / 0.28, 0, 1).astype(np.float32)
        mask = mask * mask * (3 - 2 * mask)
        return mask[:, ::-1].copy() if self.look.mirrored else mask

    def _look_up(self, map_x: Array, map_y: Array) -> NDArray[np.uint8]:
        picture = cv2.remap(self._photo, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(picture, np.uint8)

    def _posed(self, motion: Motion) -> tuple[Array, Array]:
        """Where each output pixel lies on the still head, before lids and lips."""
        x = self._grid[0] - np.float32(motion.camera[0])
        y = self._grid[1] - np.float32(motion.camera[1])
        head = _head_weight(x, y)
        dx, dy = x - _NECK[0], y - _NECK[1]
        face = np.exp(-0.5 * (((x - 222) / 34) ** 2 + ((y - 125) / 42) ** 2))
        moved_x = motion.roll_rad * dy - motion.shift[0] - motion.turn[0] * face
        moved_y = -motion.roll_rad * dx - motion.shift[1] - motion.turn[1] * face
        longer = (1 / self.look.face_length - 1) * head * (y - 120)
        return (x + head * moved_x).astype(np.float32), (y + head * moved_y + longer).astype(np.float32)

    def _cavity(
        self, inside: NDArray[np.bool_], x: Array, y: Array, mouth_x: Array, mouth_y: Array
    ) -> NDArray[np.uint8]:
        """The open mouth: the photograph's upper teeth, which stay with the skull, over a dark red."""
        top, bottom = np.interp(mouth_x, _X, _UPPER_INNER), np.interp(mouth_x, _X, _LOWER_INNER)
        teeth_y = np.maximum(mouth_y + 1.4, top + 1.2)
        map_x, map_y = x.copy(), y.copy()
        map_x[inside], map_y[inside] = mouth_x, teeth_y
        teeth = self._look_up(map_x, map_y).astype(np.float32)
        shown = np.zeros(x.shape, np.float32)
        shown[inside] = np.clip((bottom - 0.9 - teeth_y) / 1.2, 0, 1) * _fall(mouth_x - _MOUTH_X, 20, 5)
        depth = np.zeros(x.shape, np.float32)
        depth[inside] = np.clip((mouth_y - bottom + 1.5) / 9, 0, 1)
        dark = np.array([52, 20, 20], np.float32) + depth[..., None] * np.array([70, 30, 32], np.float32)
        return _blend(np.clip(dark, 0, 255).astype(np.uint8), np.clip(teeth * 0.88, 0, 255).astype(np.uint8), shown)


def _lips(x: Array, y: Array, motion: Motion, jaw_width: float) -> tuple[Array, Array, Array, Array, Array]:
    """Where pixels of the lower face come from, and how much of the open mouth shows there (0..1)."""
    window = np.exp(-0.5 * (((x - _MOUTH_X) / 27) ** 2 + ((y - _MOUTH_Y - 3) / 15) ** 2)) * _edge(x, y)
    jaw = np.exp(-0.5 * (((x - _MOUTH_X) / 40) ** 2 + ((y - 165) / 16) ** 2)) * _edge(x, y)
    stretch = (1 / motion.width - 1) * window + (1 / jaw_width - 1) * jaw
    column = x + (x - _MOUTH_X) * stretch
    outer_u, inner_u, inner_l, outer_l, chin = (
        np.interp(column, _X, curve) for curve in (_UPPER_OUTER, _UPPER_INNER, _LOWER_INNER, _LOWER_OUTER, _CHIN)
    )
    gap_here = inner_l - inner_u
    half = 20.5
    round_shape = np.sqrt(np.clip(1 - ((column - 224.5) / half) ** 2, 0, 1))
    opening = motion.gap * (0.5 * gap_here / _GAP + 0.5 * round_shape * np.minimum(1, gap_here / 1.5))
    line = inner_u + 0.3 * gap_here
    new_u, new_l = line - 0.2 * opening, line + 0.8 * opening
    drop = (motion.gap * 0.8 - 0.7 * _GAP) * np.exp(-0.5 * ((column - _MOUTH_X) / 24) ** 2)
    top, bottom = np.full_like(column, 127.0), np.full_like(column, 199.0)
    targets = np.stack(
        [top, new_u - 0.95 * (inner_u - outer_u), new_u, new_l, new_l + (outer_l - inner_l), chin + 0.7 * drop, bottom]
    )
    sources = np.stack([top, outer_u, inner_u, inner_l, outer_l, chin, bottom])
    row = _between(y, np.maximum.accumulate(targets + 1e-3 * np.arange(7)[:, None], axis=0), sources)
    # between the lips nothing of the photographed smile must show through: the cavity goes there
    middle = (new_u + new_l) / 2
    row = np.where((y > new_u) & (y < new_l), np.where(y < middle, inner_u - 0.7, inner_l + 0.7), row)
    edge = _edge(x, y)
    shown = np.clip((y - new_u) / 0.8, 0, 1) * np.clip((new_l - y) / 0.8, 0, 1) * np.clip(opening / 1.2, 0, 1)
    seam = np.clip(1 - np.abs(y - middle) / (0.5 * opening + 0.8), 0, 1) * _fall(column - 224.5, half, 5)
    shown = np.maximum(shown, 0.5 * seam)
    return (
        column.astype(np.float32),
        (y + (row - y) * edge).astype(np.float32),
        shown.astype(np.float32),
        (x + (column - x) * 0.4).astype(np.float32),
        y,
    )


def _lids(x: Array, y: Array, blink: float, eye_size: float) -> tuple[Array, Array]:
    """Where pixels around the eyes come from."""
    map_x, map_y = x.copy(), y.copy()
    for centre, half, upper, lower, corner in _EYES:
        middle = (upper + lower) / 2
        inside = (np.abs(x - centre) < 24) & (np.abs(y - middle) < 20)
        near = np.exp(-0.5 * (((x - centre) / 9) ** 2 + ((y - middle) / 7) ** 2))
        near *= _fall(x - centre, 24, 4) * _fall(y - middle, 20, 4)
        scale = 1 + (1 / eye_size - 1) * near
        map_x = np.where(inside, centre + (x - centre) * scale, map_x)
        ey = np.where(inside, middle + (y - middle) * scale, map_y)
        bow = np.sqrt(np.clip(1 - ((map_x - centre) / half) ** 2, 0, 1))
        lid_u, lid_l = corner + (upper - corner) * bow, corner + (lower - corner) * bow
        new_l = lid_l - 0.12 * blink * (lid_l - lid_u)
        new_u = lid_u + blink * 0.97 * (new_l - lid_u)
        brow, cheek = upper - 7.5, lower + 9
        targets = np.stack([np.full_like(ey, brow), new_u, new_l + 1e-3, np.full_like(ey, cheek)])
        sources = np.stack([np.full_like(ey, brow), lid_u, lid_l + 1e-3, np.full_like(ey, cheek)])
        row = _between(ey, targets, sources)
        shut = (ey > new_u) & (ey < new_l) & (new_l - new_u < 1.6)  # a squeezed iris would glitter
        map_y = np.where(inside, np.where(shut, lid_u - 0.3, row), map_y)
    return map_x.astype(np.float32), map_y.astype(np.float32)


def _between(y: Array, targets: Array, sources: Array) -> Array:
    """Piecewise linear from knots `targets` to `sources`, both (knots, ...), for each element of y; as is outside."""
    result = y.copy()
    for a in range(len(targets) - 1):
        low, high = targets[a], targets[a + 1]
        share = (y - low) / np.maximum(high - low, 1e-4)
        result = np.where((y >= low) & (y < high), sources[a] + share * (sources[a + 1] - sources[a]), result)
    return result


def _head_weight(x: Array, y: Array) -> Array:
    """1 on the head, falling softly to 0 around it and down the neck."""
    distance = np.hypot((x - 222) / 82, (y - 95) / 100)
    around = np.clip((1.75 - distance) / 0.75, 0, 1)
    below = np.clip((232 - y) / 60, 0, 1)
    weight = np.minimum(around, below)
    return np.asarray(weight * weight * (3 - 2 * weight))


def _edge(x: Array, y: Array) -> Array:
    """1 inside the mouth box, 0 on its border."""
    left, top, right, bottom = _MOUTH_BOX
    side = np.clip(np.minimum(x - left, right - x) / 14, 0, 1)
    return np.asarray(side * side * (3 - 2 * side) * np.clip(np.minimum(y - top, bottom - y) / 2, 0, 1))


def _fall(distance: Array, reach: float, softness: float) -> Array:
    """1 near 0, falling to 0 over the last `softness` pixels before `reach`."""
    return np.clip((reach - np.abs(distance)) / softness, 0, 1)


def _in_box(x: Array, y: Array, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    return (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])


def _blend(below: NDArray[np.uint8], above: NDArray[np.uint8], weight: Array) -> NDArray[np.uint8]:
    mixed = below + (above.astype(np.float32) - below) * weight[..., None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
