"""One face in progress: takes the looks at it, gives the steady crops and, at the end, the account of the track.

Crops wait until the track is long enough to be judged, so a face that flits by costs its reader nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, Framing
from fakespan.media.features import CROP_SIZE, prepare_crop
from fakespan.media.tracking import Place, SteadyPath, crop_box, places_between, to_place
from fakespan.types import FaceTrack

__all__ = ["LiveTrack", "Picture", "TrackEnd", "TrackFrame"]


class Picture(Protocol):
    """What faces need of a picture; `fakespan.media.decode.Picture` is one. Pixels are made when asked for."""

    @property
    def index(self) -> int:
        """Its number at 25 frames a second."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> UInt8Array:
        """RGB bytes (y1 - y0, x1 - x0, 3) of a box, which may come scaled down to sides of `at_most`."""

    def thumbnail(self, max_side: int) -> UInt8Array:
        """RGB bytes of the whole, its longer side at most `max_side`."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackFrame:
    """The face of one track in one picture."""

    track: int
    index: int  # of the picture, at 25 frames a second
    face: UInt8Array  # (96, 96, 3) RGB, or of the size asked for


@dataclass(frozen=True, slots=True)
class TrackEnd:
    """A track is over: all its frames have been given."""

    track: FaceTrack


class LiveTrack:
    """A face that is being followed.

    Args:
        box: (4,) x0, y0, x1, y1 of the face when first seen, in pixels.
        index: number of that picture.
        min_frames: a track of fewer frames is reported but gives no frames.
        face_size: pixels; side of the crops given.
        framing: what of a crop is given.
    """

    def __init__(
        self, box: Float32Array, index: int, min_frames: int, face_size: int, framing: Framing = "face"
    ) -> None:
        self.id: int | None = None  # given once the face is believed
        self.box = box
        self.last_seen = self.needed_from = index
        self.n_found, self.n_doubts = 1, 0  # searches that did and did not find it, before it had an id
        self._min_frames, self._face_size, self._framing = min_frames, face_size, framing
        self._path = SteadyPath()
        self._key: tuple[int, Place] | None = None  # the last steady place whose frames are done
        self._held: list[TrackFrame] = []
        self._boxes = array("d")  # x, y, width, height of the crops at the looks, as shares of the picture
        self._span = (index, index - 1)  # first and last frame done
        self._keys = self._path.add(index, to_place(box))

    def see(self, box: Float32Array, index: int) -> None:
        """The face was found at `box` in picture `index`."""
        self.box, self.last_seen = box, index
        self._keys += self._path.add(index, to_place(box))

    def give(self, pictures: Mapping[int, Picture]) -> Iterator[TrackFrame]:
        """Frames that are certain by now. `pictures` must hold those from `needed_from` on."""
        keys, self._keys = self._keys, []
        for key in keys:
            self._crop_until(key, pictures)
        if self.id is not None and self._n_frames >= self._min_frames:
            yield from self._release(self.id)

    def end(self, pictures: Mapping[int, Picture], last: int) -> Iterator[TrackFrame | TrackEnd]:
        """The remaining frames up to picture `last` and the account; nothing when the face was never believed."""
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
            self._held.append(TrackFrame(-1, index, face))
        self._boxes.extend(_shares(box, picture))
        self._key = key
        self._span = (self._span[0], key[0])
        self.needed_from = key[0] + 1

    def _release(self, track: int) -> Iterator[TrackFrame]:
        held, self._held = self._held, []
        for frame in held:
            yield TrackFrame(track, frame.index, frame.face)

    def _account(self, track: int) -> FaceTrack:
        x, y, width, height = map(float, np.median(np.reshape(self._boxes, (-1, 4)), axis=0))
        return FaceTrack(
            id=track,
            start_s=self._span[0] / FPS,
            end_s=(self._span[1] + 1) / FPS,
            box=(x, y, width, height),
            is_scanned=self._n_frames >= self._min_frames,
        )


def _shares(box: tuple[int, int, int, int], picture: Picture) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0 / picture.width, y0 / picture.height, (x1 - x0) / picture.width, (y1 - y0) / picture.height
