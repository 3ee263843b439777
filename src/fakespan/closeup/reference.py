"""Compares the scanned file with an untouched take: where it lies in it, where they differ, and its close-ups."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from fakespan.arrays import AnyArray, Float64Array
from fakespan.closeup.alignment import align, differing, sound_distances, stretches
from fakespan.config import FPS
from fakespan.media.container import Tracks
from fakespan.media.decode import Picture, read_pictures, read_sound
from fakespan.media.jumps import Jumps
from fakespan.media.probe import probe
from fakespan.report.closeups import Difference, Reference
from fakespan.types import Scan

__all__ = ["compare", "moved"]

_LEAST_LIKENESS = 0.2  # of aligned sounds; of unrelated ones it is below 0.05
_LEAST_DB, _LEAST_LEVELS = 6.0, 4.0  # in the sound; in the picture, of 255
_VIEW_SIDE, _BLOCK = 192, 4  # pixels
_STRONGEST = 20  # blocks of a picture: a mouth is small


def compare(path: Path, tracks: Tracks, other: Path, scan: Scan) -> Reference:
    """Align the sound of another take with that of the scanned file, and list where sound and picture differ.

    Raises:
        MediaError: one of the files cannot be decoded.
    """
    info = probe(other)
    sound, take = read_sound(path, tracks=tracks), read_sound(other)
    offset_s, likeness = align(sound, take)
    between_s = offset_s + info.starts_at_s - scan.media.starts_at_s  # by the clocks of a player
    if likeness < _LEAST_LIKENESS:
        return Reference(str(other), info.has_video, None, round(likeness, 3))
    found: list[Difference] = [
        Difference(*_at(scan, span), "audio")
        for span in stretches(differing(sound_distances(sound, take, offset_s), _LEAST_DB))
    ]
    if scan.media.has_video and info.has_video:
        distances = _picture_distances(path, tracks, other, offset_s)
        found += [Difference(*_at(scan, span), "visual") for span in stretches(differing(distances, _LEAST_LEVELS))]
    found.sort(key=lambda difference: difference.start_s)
    return Reference(str(other), info.has_video, round(between_s, 4), round(likeness, 3), tuple(found))


def moved(scan: Scan, other: Path, offset_s: float) -> Scan:
    """The same segments and faces, at the times of the other take."""
    segments = (dataclasses.replace(s, start_s=s.start_s + offset_s, end_s=s.end_s + offset_s) for s in scan.segments)
    tracks = (dataclasses.replace(t, start_s=t.start_s + offset_s, end_s=t.end_s + offset_s) for t in scan.tracks)
    return dataclasses.replace(
        scan, file=str(other), media=probe(other), segments=tuple(segments), tracks=tuple(tracks), evidence=None
    )


def _at(scan: Scan, span: tuple[float, float]) -> tuple[float, float]:
    start_s, end_s = (round(scan.media.starts_at_s + time_s, 2) for time_s in span)
    return start_s, end_s


def _picture_distances(path: Path, tracks: Tracks, other: Path, offset_s: float) -> Float64Array:
    """For each picture, the mean of its most different blocks, in levels; NaN where the other take has none."""
    distances: list[float] = []
    with closing(_views(path, tracks)) as mine, closing(_views(other, Tracks())) as theirs:
        time_s, view = next(theirs, (np.inf, None))
        for at_s, own in mine:
            while time_s < at_s + offset_s - 0.5 / FPS:
                time_s, view = next(theirs, (np.inf, None))
            is_there = view is not None and time_s <= at_s + offset_s + 0.5 / FPS
            distances.append(_distance(own, view) if is_there and view is not None else np.nan)
    return np.array(distances)


def _views(path: Path, tracks: Tracks) -> Generator[tuple[float, AnyArray], None, None]:
    jumps = Jumps()
    with closing(read_pictures(path, jumps=jumps, tracks=tracks)) as pictures:
        for picture in pictures:
            yield jumps.file_s(picture.index), _view(picture)


def _view(picture: Picture) -> AnyArray:
    """Grey, of at most 192 pixels a side."""
    return np.asarray(cv2.cvtColor(picture.thumbnail(_VIEW_SIDE), cv2.COLOR_RGB2GRAY), np.float32)


def _distance(one: AnyArray, two: AnyArray) -> float:
    """In blocks of the smaller one: an enlarged picture would differ everywhere."""
    height, width = (max(1, min(sides) // _BLOCK) for sides in zip(one.shape, two.shape, strict=True))
    mine, theirs = (cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA) for view in (one, two))
    return float(np.sort(np.abs(mine - theirs), axis=None)[-_STRONGEST:].mean())
