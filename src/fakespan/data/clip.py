"""Reads a `Sample` as an `Example`: 96x96 faces at 25 fps, audio at 16 kHz, and the labels.

Contract: the video determines the length of a clip; its audio is padded with silence or cut to 640 samples per frame. A
clip without usable video has the length of its audio and zeros for faces; one without audio has silence. Spans are
clipped to the clip; for data sets with video-level labels (DFDC) they cover all of it, see `true_spans`. There
are two face modes:

"whole": the picture already is a face crop (LAV-DF, AV-Deepfake1M).
"auto": the longest face track (DFDC, ForgeryNet), or the whole picture if that is a face crop. The example covers the
time of the track: it begins at `Example.start_s` of the file, and its spans are relative to that. For a file without a
face only the audio is used, as in the localizer.

A data set whose labels count frames (facts["clock"] is "frames": ForgeryNet) is read picture by picture, each 1/25 s
long, without audio, and only the annotated part (facts["annotated_frames"]).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from fakespan.arrays import UInt8Array
from fakespan.config import FPS, SAMPLES_PER_FRAME, Framing
from fakespan.data.example import Example, Span
from fakespan.errors import DataError
from fakespan.media.crop import CROP_SIZE, FACE_SIZE, prepare_crop
from fakespan.media.damage import Damage
from fakespan.media.decode import Picture, read_both
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces
from fakespan.media.picture import Source
from fakespan.types import Sample

__all__ = ["Faces", "fit_spans", "read_example", "true_spans"]

Faces = Literal["auto", "whole"]
Seen = tuple[int, list[UInt8Array]]
"""The first frame index, and a face for each frame from there on."""


def read_example(sample: Sample, faces: Faces = "whole", framing: Framing = "face") -> Example:
    """Decode the clip of a sample: whole length, 25 fps.

    Args:
        sample: see `fakespan.types.Sample`.
        faces: face mode, see above.
        framing: part of the face crop, see `crop.prepare_crop`.

    Raises:
        MediaError: the file is missing or cannot be read.
        DataError: it has neither a face nor audio.
    """
    read_faces = functools.partial(_whole if faces == "whole" else _longest_track, framing=framing)
    damage = Damage()
    if sample.facts.get("clock") == "frames":
        begin, images, sound = *_counted(sample, read_faces, damage), np.zeros(0, np.float32)
    else:
        found, sound = read_both(sample.path, read_faces, damage=damage)
        begin, images = found or (0, [])
    n = len(images) or -(-len(sound) // SAMPLES_PER_FRAME)
    if n == 0:
        got, remedy = "neither", "remove this clip, or choose another face mode"
        raise DataError(sample.path, expected="a face or sound", got=got, remedy=remedy)
    part = sound[begin * SAMPLES_PER_FRAME : (begin + n) * SAMPLES_PER_FRAME]
    start_s, method = begin / FPS, sample.facts.get("method", "")
    audio_spans, visual_spans = true_spans(sample, start_s, n / FPS)
    return Example(
        name=sample.name,
        faces=np.stack(images) if images else np.zeros((n, FACE_SIZE, FACE_SIZE, 3), np.uint8),
        sound=np.pad(part, (0, n * SAMPLES_PER_FRAME - len(part))),
        audio_spans=audio_spans,
        visual_spans=visual_spans,
        method=method if isinstance(method, str) else "",
        has_picture=len(images) > 0,
        has_sound=len(part) > 0,
        start_s=start_s,
        damaged=tuple((round(begin_s, 3), round(end_s, 3)) for begin_s, end_s in damage.merged(math.inf)),
    )


def _counted(sample: Sample, read_faces: Callable[[Iterator[Picture]], Seen], damage: Damage) -> Seen:
    """The faces in the annotated pictures, counted one by one."""
    first, end = sample.facts.get("annotated_frames", (0, None))

    def annotated(pictures: Iterator[Picture]) -> Seen:
        stretch = itertools.islice(pictures, first, end)
        return read_faces(Picture(k, k / FPS, picture.source) for k, picture in enumerate(stretch))

    begin, images = read_both(sample.path, annotated, every_picture=True, damage=damage)[0] or (0, [])
    return begin + first, images


def true_spans(sample: Sample, start_s: float, length_s: float) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Audio and visual spans within a part of a sample's file, in seconds from its start.

    A data set with video-level labels does not state lengths (facts["length"] is "nominal": DFDC): a fake is forged
    from begin to end of the part, whatever the length of the file.
    """
    audio, visual = sample.audio_spans, sample.visual_spans
    if sample.facts.get("length") == "nominal":
        whole = ((0.0, length_s),)
        return whole if audio else (), whole if visual else ()
    return fit_spans(audio, start_s, length_s), fit_spans(visual, start_s, length_s)


def fit_spans(spans: tuple[Span, ...], start_s: float, length_s: float) -> tuple[Span, ...]:
    """Clip spans to a part of a file, in seconds from its start.

    >>> fit_spans(((0.5, 1.5), (3.0, 9.0), (8.0, 9.0)), 1.0, 4.0)
    ((0.0, 0.5), (2.0, 4.0))
    """
    moved = ((max(0.0, start - start_s), min(length_s, end - start_s)) for start, end in spans)
    return tuple((start, end) for start, end in moved if start < end)


def _whole(pictures: Iterator[Picture], framing: Framing) -> Seen:
    """The first frame index, and each whole picture as a face."""

    @functools.lru_cache(maxsize=1)  # below 25 fps one source is shown at several time steps
    def face(source: Source) -> UInt8Array:
        picture = Picture(0, 0.0, source)
        if max(picture.width, picture.height) <= CROP_SIZE:
            return prepare_crop(picture.rgb(), FACE_SIZE, framing)
        whole = picture.crop(0, 0, picture.width, picture.height, at_most=CROP_SIZE)
        return prepare_crop(whole, FACE_SIZE, framing)

    return 0, [face(picture.source) for picture in pictures]


def _longest_track(pictures: Iterator[Picture], framing: Framing) -> Seen:
    """The first frame index and the faces of the longest face track, the earliest of ties."""
    tracks: dict[int, list[UInt8Array]] = {}
    begins: dict[int, int] = {}
    for event in follow_faces(pictures, config=FaceConfig(framing=framing)):
        if not isinstance(event, TrackEnd):
            begins.setdefault(event.track, event.index)
            tracks.setdefault(event.track, []).append(event.face)
    if not tracks:
        return 0, []
    longest = max(tracks, key=lambda k: (len(tracks[k]), -begins[k]))
    return begins[longest], tracks[longest]
