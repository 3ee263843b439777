"""Face tracking: from the pictures of a video to a stabilised face crop per frame and person, as a stream.

Contract: pictures arrive in order, at 25 fps, without gaps; a few dozen are buffered, so an hour of 1080p needs no more
memory than a minute. Crops are framed as in VoxCeleb2 and LAV-DF: the top of the face at the top of the crop, 60
percent of its side. Faces are detected every `detect_every` pictures and refined in between by the last stage of the
cascade; crops stay fixed while the face stays near, and end at a cut. Identities are not recognised: a person who
reappears after a cut or a second's absence gets a new track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import numpy as np

from fakespan.arrays import BoolArray, Float32Array, UInt8Array
from fakespan.config import FPS, Framing
from fakespan.errors import ConfigError
from fakespan.media.crop import CROP_SIZE, FACE_SIZE, prepare_crop
from fakespan.media.cuts import mark_cuts
from fakespan.media.detect import FaceDetector, Found, iou
from fakespan.media.track import LiveTrack, Picture, TrackEnd, TrackFrame
from fakespan.media.tracking import link, to_place
from fakespan.types import FaceTrack

__all__ = ["FaceConfig", "FaceMode", "TrackEnd", "TrackFrame", "follow_faces", "is_face_crop"]

FaceMode = Literal["auto", "whole", "none"]

VIEW_SIDE = 480  # pixels; size at which pictures are searched
WIDE_VIEW_SIDE = 960  # pixels; the same if nothing was found
WIDE_VIEW_EVERY = 4  # one of so many unsuccessful searches uses the wide view
LEAST_FACE = 20.0  # pixels of the view
SAME_FACE = 0.3  # IoU from which two boxes show the same face
STILL_A_FACE = 0.7  # score from which a tracked face counts as detected
CALM = 2  # factor between searches while all visible faces are confirmed
N_BELIEVED = 3  # detections that confirm a face
MIN_VISIBLE = 0.7  # share of a new face's box that must lie in the picture


@dataclass(frozen=True)
class FaceConfig:
    """Options of face tracking."""

    detect_every: int = 12  # frames between two searches of the whole picture
    look_every: int = 6  # frames between two refinements of a known face; divides detect_every
    min_confidence: float = 0.9  # detector score of a new face
    min_track_s: float = 1.0  # shorter tracks are reported but not scanned
    min_side: int = 0  # pixels; tracks whose crops are smaller are reported but not scanned
    max_gap_s: float = 1.0  # a track ends after a longer absence
    max_faces: int = 6  # at a time; the largest
    whole_max_side: int = 320  # pixels; larger pictures are never treated as face crops
    face_size: int = FACE_SIZE  # pixels; side of the crops
    framing: Framing = "face"  # part of the crop, see `crop.prepare_crop`

    def __post_init__(self) -> None:
        if self.look_every < 1 or self.detect_every % self.look_every or self.detect_every < 1:
            raise _bad_value("detect_every", f"a multiple of look_every ({self.look_every})", self.detect_every)
        if not 0 < self.min_confidence < 1:
            raise _bad_value("min_confidence", "a number in 0..1", self.min_confidence)
        for key in ("min_track_s", "max_gap_s"):
            if getattr(self, key) < 0:
                raise _bad_value(key, "a number of at least 0", getattr(self, key))
        if self.max_faces < 1:
            raise _bad_value("max_faces", "a number of at least 1", self.max_faces)


DEFAULT = FaceConfig()


def follow_faces(
    pictures: Iterable[Picture], mode: FaceMode = "auto", config: FaceConfig = DEFAULT
) -> Iterator[TrackFrame | TrackEnd]:
    """The face crops of a video: for each track many `TrackFrame` and one `TrackEnd`.

    The frames of one track are in order of time and without gaps; several tracks interleave. Every track has a
    `TrackEnd`, also if it is too short to yield frames; a video without a face yields nothing.

    Args:
        pictures: in order, at 25 fps.
        mode: "auto" tracks faces, or uses the whole picture if the video already is a face crop; "whole" always uses
            the whole picture; "none" yields nothing (and reads nothing).
        config: see `FaceConfig`.
    """
    if mode == "none":
        return
    stream = iter(pictures)
    if mode == "whole":
        yield from _whole(stream, config)
        return
    detector = FaceDetector()
    head = list(islice(stream, 1))
    if head and _may_be_crop(head[0], config):
        head += islice(stream, 2 * config.detect_every)
        if is_face_crop(head[:: config.detect_every], detector):
            yield from _whole(chain(head, stream), config)
            return
    follower = _Follower(detector, config)
    for picture, is_cut in mark_cuts(chain(head, stream)):
        if is_cut or picture.is_after_hole:
            yield from follower.end_shot()
        yield from follower.push(picture)
    yield from follower.end_shot()


def is_face_crop(looks: Iterable[Picture], detector: FaceDetector) -> bool:
    """Whether most of these pictures show one face at the position and size typical of face crops."""
    votes = [_shows_crop(picture.thumbnail(VIEW_SIDE), detector) for picture in looks]
    return sum(votes) * 2 > len(votes)


def _may_be_crop(picture: Picture, config: FaceConfig) -> bool:
    return max(picture.width, picture.height) <= config.whole_max_side and 0.8 <= picture.width / picture.height <= 1.25


def _shows_crop(view: UInt8Array, detector: FaceDetector) -> bool:
    height, width = view.shape[:2]
    found = detector.detect(view, min_face=0.3 * min(height, width))
    if len(found) == 0:
        return False
    x, y, size = to_place(found.boxes[0]) / (width, height, (width * height) ** 0.5)
    return bool(0.3 < x < 0.7 and 0.2 < y < 0.65 and 0.48 < size < 0.85)


def _whole(pictures: Iterable[Picture], config: FaceConfig) -> Iterator[TrackFrame | TrackEnd]:
    """Use the whole picture as the face, from the first picture to the last; each hole begins another track."""
    first = last = None
    number = 0
    for picture in pictures:
        if picture.is_after_hole and first is not None and last is not None:
            yield _whole_end(number, first, last)
            first, number = None, number + 1
        last = picture.index
        first = last if first is None else first
        crop = picture.crop(0, 0, picture.width, picture.height, at_most=CROP_SIZE)
        yield TrackFrame(number, last, prepare_crop(crop, config.face_size, config.framing))
    if first is not None and last is not None:
        yield _whole_end(number, first, last)


def _whole_end(number: int, first: int, last: int) -> TrackEnd:
    return TrackEnd(FaceTrack(number, first / FPS, (last + 1) / FPS, (0.0, 0.0, 1.0, 1.0), is_whole=True))


class _Follower:
    """All faces in the current shot."""

    def __init__(self, detector: FaceDetector, config: FaceConfig) -> None:
        self._detector, self._config = detector, config
        self._pictures: dict[int, Picture] = {}  # those that a track still needs
        self._tracks: list[LiveTrack] = []
        self._n_ids = 0
        self._shown: tuple[int, int, UInt8Array] | None = None  # index, side, the view
        self._begin_shot()

    def _begin_shot(self) -> None:
        self._n_pictures, self._last = 0, -1
        self._view_side, self._n_vain = VIEW_SIDE, 0

    def push(self, picture: Picture) -> Iterator[TrackFrame | TrackEnd]:
        """Add the next picture of the shot; yield what has become final."""
        self._pictures[picture.index] = picture
        self._last = picture.index
        if self._n_pictures % self._config.look_every == 0:
            self._look(picture)
            yield from self._give()
        self._n_pictures += 1

    def end_shot(self) -> Iterator[TrackFrame | TrackEnd]:
        """End all tracks; one that was detected at the last look extends to the last picture of the shot."""
        for track in self._tracks:
            is_there = self._last - track.last_seen < self._config.look_every
            yield from track.end(self._pictures, self._last if is_there else track.last_seen)
        self._tracks, self._pictures = [], {}
        self._begin_shot()

    def _give(self) -> Iterator[TrackFrame | TrackEnd]:
        for track in list(self._tracks):
            if self._last - track.last_seen > self._config.max_gap_s * FPS or track.n_doubts > 1:
                self._tracks.remove(track)
                yield from track.end(self._pictures, track.last_seen)
            else:
                yield from track.give(self._pictures)
        needed = min((track.needed_from for track in self._tracks), default=self._last + 1)
        self._pictures = {index: picture for index, picture in self._pictures.items() if index >= needed}

    def _look(self, picture: Picture) -> None:
        """Refine the known faces near their last position, and search for others if it is time."""
        lost = self._refind(picture)
        is_calm = bool(self._tracks) and all(track.id is not None for track in self._tracks)
        if self._n_pictures % (self._config.detect_every * (CALM if is_calm else 1)) and not lost:
            return
        found = self._search(picture)
        overlaps = np.array([iou(track.box, found.boxes) for track in self._tracks]).reshape(
            len(self._tracks), len(found)
        )
        pairs = dict(link(overlaps, SAME_FACE))
        for row, track in enumerate(self._tracks):
            if row in pairs and track in lost:
                track.update(found.boxes[pairs[row]], picture.index)
            self._settle(track, row in pairs)
        self._welcome(found, overlaps, picture)

    def _refind(self, picture: Picture) -> list[LiveTrack]:
        """Refine every known face; returns those that were not found near their last position."""
        if not self._tracks:
            return []
        view, scale = self._view(picture, self._view_side)
        boxes = np.array([track.box for track in self._tracks], np.float32).reshape(-1, 4)
        found = self._detector.refine(view, boxes / scale)
        lost: list[LiveTrack] = []
        for track, box, score in zip(list(self._tracks), found.boxes * scale, found.scores, strict=True):
            others = [t.box for t in self._tracks if t is not track and t.last_seen == picture.index]
            if others and iou(box, np.array(others)).max() > SAME_FACE:
                self._tracks.remove(track) if track.id is None else lost.append(track)
            elif score >= STILL_A_FACE and iou(box, track.box[None])[0] > SAME_FACE:
                track.update(box, picture.index)
            else:
                lost.append(track)
        return lost

    def _search(self, picture: Picture) -> Found:
        """Detect faces in the whole picture, occasionally in the wide view while there are none."""
        found = self._search_at(picture, self._view_side)
        if len(found) or self._tracks or max(picture.width, picture.height) <= self._view_side:
            return found
        self._n_vain += 1
        if self._n_vain % WIDE_VIEW_EVERY == 1:
            found = self._search_at(picture, WIDE_VIEW_SIDE)
            self._view_side = WIDE_VIEW_SIDE if len(found) else VIEW_SIDE
        return found

    def _search_at(self, picture: Picture, side: int) -> Found:
        view, scale = self._view(picture, side)
        largest = max((to_place(track.box)[2] / scale for track in self._tracks), default=0.0)
        found = self._detector.detect(view, min_face=float(np.clip(0.4 * largest, LEAST_FACE, 4 * LEAST_FACE)))
        boxes = found.boxes * np.float32(scale)
        good = (found.scores >= self._config.min_confidence) & _is_visible(boxes, picture)
        return Found(boxes[good], found.scores[good])

    def _settle(self, track: LiveTrack, is_found: bool) -> None:
        """Confirm a new face when further searches detect it too; false detections rarely persist."""
        if track.id is not None:
            return
        track.n_found += is_found
        track.n_doubts += not is_found
        if track.n_found == N_BELIEVED:
            track.id, self._n_ids = self._n_ids, self._n_ids + 1

    def _welcome(self, found: Found, overlaps: Float32Array, picture: Picture) -> None:
        """Start a track for each face without one, the largest first, up to the maximum."""
        is_new = overlaps.max(axis=0, initial=0.0) < SAME_FACE
        order = sorted(np.flatnonzero(is_new), key=lambda k: -to_place(found.boxes[k])[2])
        n_free = self._config.max_faces - len(self._tracks)
        for k in order[: max(0, n_free)]:
            config = self._config
            n_least, size = round(config.min_track_s * FPS), config.face_size
            track = LiveTrack(
                found.boxes[k], picture.index, n_least, size, framing=config.framing, min_side=config.min_side
            )
            self._tracks.append(track)

    def _view(self, picture: Picture, side: int) -> tuple[UInt8Array, float]:
        """The picture scaled to at most `side`, and the scale factor back to its pixels; kept, as it is asked twice."""
        if self._shown is None or self._shown[:2] != (picture.index, side):
            self._shown = (picture.index, side, picture.thumbnail(side))
        view = self._shown[2]
        return view, picture.width / view.shape[1]


def _is_visible(boxes: Float32Array, picture: Picture) -> BoolArray:
    frame = np.array([0, 0, picture.width, picture.height], np.float32)
    inner = np.minimum(boxes[:, 2:], frame[2:]) - np.maximum(boxes[:, :2], frame[:2])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(np.prod(np.maximum(inner, 0), axis=1) >= MIN_VISIBLE * area, np.bool_)


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(key, expected=expected, got=repr(got), remedy="change this key in the config")
