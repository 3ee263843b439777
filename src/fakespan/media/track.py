"""A face being tracked: takes its detections, yields stabilised crops and, at the end, the summary of the track.

Crops are buffered until the track is long enough to be scanned, so short appearances cost nothing downstream.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, Framing
from fakespan.media.crop import CROP_SIZE, prepare_crop
from fakespan.media.tracking import Place, SteadyPath, crop_box, places_between, to_place
from fakespan.types import FaceTrack

__all__ = ["LiveTrack", "Picture", "TrackEnd", "TrackFrame"]


class Picture(Protocol):
    """The picture interface that face tracking needs; `fakespan.media.decode.Picture` implements it, lazily."""

    @property
    def index(self) -> int:
        """Frame index at 25 fps."""

    @property
    def is_after_hole(self) -> bool:
        """Whether nothing earlier is its context."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> UInt8Array:
        """RGB bytes (y1 - y0, x1 - x0, 3) of a box, possibly scaled down to sides of `at_most`."""

    def thumbnail(self, max_side: int) -> UInt8Array:
        """RGB bytes of the whole picture, its longer side at most `max_side`."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackFrame:
    """The face of one track in one picture."""

    track: int
    index: int  # frame index at 25 fps
    face: UInt8Array  # (96, 96, 3) RGB, or the requested size


@dataclass(frozen=True, slots=True)
class TrackEnd:
    """The end of a track: all its frames have been yielded."""

    track: FaceTrack


class LiveTrack:
    """A face that is being tracked.

    Args:
        box: (4,) x0, y0, x1, y1 of the first detection, in pixels.
        index: its frame index.
        min_frames: shorter tracks are reported but yield no frames.
        face_size: side of the crops in pixels.
        framing: part of the crop to return.
        min_side: in pixels; tracks whose crops are smaller in their first frames are reported but yield no frames.
    """

    def __init__(
        self,
        box: Float32Array,
        index: int,
        min_frames: int,
        face_size: int,
        *,
        framing: Framing = "face",
        min_side: int = 0,
    ) -> None:
        self.id: int | None = None  # assigned when the face is confirmed
        self.box = box
        self.last_seen = self.needed_from = index
        self.n_found, self.n_doubts = 1, 0  # detections and misses before confirmation
        self._min_frames, self._face_size, self._framing = min_frames, face_size, framing
        self._path = SteadyPath()
        self._key: tuple[int, Place] | None = None  # the last stabilised place whose frames are done
        self._buffer: list[TrackFrame] = []
        self._boxes = array("d")  # x, y, width, height of the crops at the detections, relative to the picture
        self._min_side = min_side
        self._is_small: bool | None = None  # known from its first frames on
        self._sides = array("l")  # of the same crops, in pixels
        self._span = (index, index - 1)  # first and last finished frame
        self._keys = self._path.add(index, to_place(box))

    def update(self, box: Float32Array, index: int) -> None:
        """Add a detection at `box` in picture `index`."""
        self.box, self.last_seen = box, index
        self._keys += self._path.add(index, to_place(box))

    def give(self, pictures: Mapping[int, Picture]) -> Iterator[TrackFrame]:
        """Frames that are final by now. `pictures` must include those from `needed_from` on."""
        keys, self._keys = self._keys, []
        for key in keys:
            self._crop_until(key, pictures)
        if self.id is not None and self._n_frames >= self._min_frames:
            if self._is_small is None:
                self._is_small = bool(np.median(self._sides) < self._min_side)
            yield from self._release(self.id)

    def end(self, pictures: Mapping[int, Picture], last: int) -> Iterator[TrackFrame | TrackEnd]:
        """The remaining frames up to picture `last` and the summary; nothing if the face was never confirmed."""
        if self.id is None:
            return
        self._keys += self._path.finish()
        if self._keys and last > self._keys[-1][0]:
            self._keys.append((last, self._keys[-1][1]))
        yield from self.give(pictures)
        yield TrackEnd(self._account(self.id))

    @property
    def _n_frames(self) -> int:
        return self._span[1] - self._span[0] + 1

    def _crop_until(self, key: tuple[int, Place], pictures: Mapping[int, Picture]) -> None:
        steps: Iterable[tuple[int, Place]] = [key] if self._key is None else places_between(self._key, key)
        for index, place in steps:
            picture = pictures[index]
            box = crop_box(place, picture.width, picture.height)
            face = prepare_crop(picture.crop(*box, at_most=CROP_SIZE), self._face_size, self._framing)
            self._buffer.append(TrackFrame(-1, index, face))
        self._boxes.extend(_shares(box, picture))
        self._sides.append(box[2] - box[0])
        self._key = key
        self._span = (self._span[0], key[0])
        self.needed_from = key[0] + 1

    def _release(self, track: int) -> Iterator[TrackFrame]:
        frames, self._buffer = self._buffer, []
        for frame in () if self._is_small else frames:
            yield TrackFrame(track, frame.index, frame.face)

    def _account(self, track: int) -> FaceTrack:
        x, y, width, height = map(float, np.median(np.reshape(self._boxes, (-1, 4)), axis=0))
        return FaceTrack(
            id=track,
            start_s=self._span[0] / FPS,
            end_s=(self._span[1] + 1) / FPS,
            box=(x, y, width, height),
            is_scanned=self._n_frames >= self._min_frames and not self._is_small,
            is_small=bool(self._is_small),
        )


def _shares(box: tuple[int, int, int, int], picture: Picture) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0 / picture.width, y0 / picture.height, (x1 - x0) / picture.width, (y1 - y0) / picture.height
