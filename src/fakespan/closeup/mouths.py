"""Stills of a mouth at given times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fakespan.arrays import UInt8Array
from fakespan.config import FPS
from fakespan.media.container import Tracks
from fakespan.media.crop import MOUTH_BOX
from fakespan.media.decode import Picture, read_pictures
from fakespan.media.detect import FaceDetector
from fakespan.media.jumps import Jumps
from fakespan.media.tracking import FACE_HEIGHT, FACE_SHARE, Place, crop_box, drag, to_place
from fakespan.types import FaceTrack

__all__ = ["Moment", "mouths"]

_SIDE, _QUALITY = 128, 70  # pixels of a still; of WebP
_ROOM = 0.3  # margin around a crop in which its face is looked for, in sides of the crop
_VIEW_SIDE = 240  # pixels of that region
_LEAST_FACE = 0.2  # of its side


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by the clock of a player at which a face's mouth is wanted, for a segment."""

    time_s: float
    number: int
    face: FaceTrack


def mouths(path: Path, wanted: Sequence[Moment], starts_at_s: float, tracks: Tracks) -> Iterator[tuple[Moment, bytes]]:
    """The moments in order of time, each with its still as WebP; none before the first picture or after the last.

    Raises:
        MediaError: the file cannot be decoded.
    """
    within = (moment for moment in wanted if moment.time_s >= starts_at_s - 0.5 / FPS)
    left = sorted(within, key=lambda moment: moment.time_s)
    if not left:
        return
    jumps, camera = Jumps(), _Camera()
    with closing(read_pictures(path, jumps=jumps, tracks=tracks)) as pictures:
        for picture in pictures:
            reached_s = starts_at_s + jumps.file_s(picture.index) + 0.5 / FPS
            while left and left[0].time_s < reached_s:
                moment = left.pop(0)
                yield moment, camera.still(picture, moment)
            if not left:
                return


class _Camera:
    """Takes stills that stay steady within a segment: they follow the face no further than the network's crops do."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._places: dict[int, Place] = {}  # of the face, by the number of the segment

    def still(self, picture: Picture, moment: Moment) -> bytes:
        """The mouth of the moment's face in this picture, as WebP."""
        x0, y0, x1, y1 = self._crop(picture, moment)
        corners = zip((x0, y0, x0, y0), (x1 - x0, y1 - y0) * 2, MOUTH_BOX, strict=True)
        left, top, right, bottom = (begin + round(share * side) for begin, side, share in corners)
        image = picture.crop(left, top, max(right, left + 1), max(bottom, top + 1))
        method = cv2.INTER_AREA if image.shape[0] > _SIDE else cv2.INTER_CUBIC
        small = cv2.resize(image, (_SIDE, _SIDE), interpolation=method)
        _, data = cv2.imencode(".webp", small[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
        return data.tobytes()

    def _crop(self, picture: Picture, moment: Moment) -> tuple[int, int, int, int]:
        """The face's crop x0, y0, x1, y1: the last one (at first the median of the track), dragged to the face."""
        width, height = picture.width, picture.height
        if moment.face.is_whole:
            return 0, 0, width, height
        last = self._places.get(moment.number)
        place = _median(moment.face, width, height) if last is None else last
        found = self._places_near(picture, crop_box(place, width, height))
        if found:
            distances = [float(np.abs(other - place).sum()) for other in found]
            place = drag(place, found[int(np.argmin(distances))])
        self._places[moment.number] = place
        return crop_box(place, width, height)

    def _places_near(self, picture: Picture, crop: tuple[int, int, int, int]) -> list[Place]:
        """The faces that are detected in and around a crop, no farther from it than a face moves between two stills."""
        x0, y0, x1, y1 = crop
        margin = round((x1 - x0) * _ROOM)
        left, top = max(x0 - margin, 0), max(y0 - margin, 0)
        region = picture.crop(left, top, min(x1 + margin, picture.width), min(y1 + margin, picture.height))
        view, scale = _small(region)
        places = [
            to_place(box * scale + (left, top, left, top))
            for box in self._detector.detect(view, min_face=_LEAST_FACE * min(view.shape[:2])).boxes
        ]
        return [p for p in places if x0 < p[0] < x1 and y0 < p[1] < y1 and 0.3 < p[2] / (x1 - x0) < 1.0]


def _median(face: FaceTrack, width: int, height: int) -> Place:
    """The place of a face in its median crop."""
    x, y, w, h = (share * size for share, size in zip(face.box, (width, height) * 2, strict=True))
    side = max(min(w, h), 1.0)
    return np.array([x + w / 2, y + side * FACE_HEIGHT, side * FACE_SHARE])


def _small(region: UInt8Array) -> tuple[UInt8Array, float]:
    """The region scaled to the size at which faces are looked for, and the factor back to its pixels."""
    scale = max(region.shape[:2]) / _VIEW_SIDE
    size = (max(1, round(region.shape[1] / scale)), max(1, round(region.shape[0] / scale)))
    return np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8), scale
