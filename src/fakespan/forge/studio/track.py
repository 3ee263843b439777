"""The longest face track of a file, with the audio of the same time: the source of the clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME
from fakespan.media.crop import CROP_SIZE
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces

__all__ = ["Track", "read_track"]


@dataclass(frozen=True)
class Track:
    """The longest face track of a file, with the audio of the same time."""

    faces: UInt8Array  # (n, 224, 224, 3)
    sound: Float32Array  # (640 n,)
    first_frame: int  # of the track in the file


def read_track(path: Path) -> Track | None:
    """The longest face track of a file with its audio; None without a face or audio.

    Raises:
        MediaError: the file cannot be read.
    """
    sound = read_sound(path)
    tracks: dict[int, list[UInt8Array]] = {}
    begins: dict[int, int] = {}
    for event in follow_faces(read_pictures(path), config=FaceConfig(face_size=CROP_SIZE)):
        if not isinstance(event, TrackEnd):
            begins.setdefault(event.track, event.index)
            tracks.setdefault(event.track, []).append(event.face)
    if not tracks or len(sound) == 0:
        return None
    longest = max(tracks, key=lambda k: len(tracks[k]))
    first = begins[longest]
    n = min(len(tracks[longest]), len(sound) // SAMPLES_PER_FRAME - first)
    if n < 1:
        return None
    audio = sound[first * SAMPLES_PER_FRAME : (first + n) * SAMPLES_PER_FRAME]
    return Track(np.stack(tracks[longest][:n]), audio, first)
