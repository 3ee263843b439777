"""Real clips, decoded once, from which practice forgeries are made.

Each clip's longest face track is kept as square crops beside the sound of the same time: in memory (0.15 MB a frame,
shared by forked workers), and in a cache folder for the next run. Clips without a face or sound are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME
from fakespan.errors import DataError, MediaError
from fakespan.files import replacing
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces

__all__ = ["Clip", "Track", "load_bank", "read_track"]

CROP_SIZE = 224  # as in VoxCeleb2 and LAV-DF
MIN_FRAMES = 22


@dataclass(frozen=True)
class Clip:
    """A real clip at the model's clock: face crops and the sound that goes with them."""

    name: str
    speaker: str  # clips of one speaker lend each other words
    faces: UInt8Array  # (n, 224, 224, 3)
    sound: Float32Array  # (640 n,)


def load_bank(
    files: Sequence[Path], cache: Path, progress: Callable[[Iterable[Path]], Iterable[Path]] | None = None
) -> list[Clip]:
    """The clips of these files, in their order, decoded now or taken from the cache.

    The folder of a file names its speaker where it starts with "grid"; any other file is a speaker of its own.

    Raises:
        DataError: no file gave a clip.
    """
    cache.mkdir(parents=True, exist_ok=True)
    clips = [clip for path in (progress or iter)(files) if (clip := _load(path, cache)) is not None]
    if not clips:
        raise DataError(cache, expected="clips with a face and sound", got="none", remedy="check the data folders")
    return clips


def _load(path: Path, cache: Path) -> Clip | None:
    key = hashlib.sha256(f"{path.resolve()} {path.stat().st_size} {CROP_SIZE}".encode()).hexdigest()[:16]
    faces_file, sound_file = (cache / f"{path.stem}-{key}-{part}.npy" for part in ("faces", "sound"))
    kept = _read(faces_file, sound_file)
    if kept is None:
        kept = _decode(path)
        _save(faces_file, kept[0])
        _save(sound_file, kept[1])
    faces, sound = kept
    if len(faces) < MIN_FRAMES:
        return None
    folder = path.parent.name
    speaker = folder if folder.startswith("grid") else path.stem
    return Clip(f"{folder}/{path.name}", speaker, faces, sound)


def _read(faces_file: Path, sound_file: Path) -> tuple[UInt8Array, Float32Array] | None:
    """What the cache holds; None when it is not there, or damaged."""
    try:
        faces, sound = np.load(faces_file), np.load(sound_file)
    except (OSError, ValueError, EOFError):
        return None
    return (faces, sound) if len(sound) == len(faces) * SAMPLES_PER_FRAME else None


@dataclass(frozen=True)
class Track:
    """The longest face track of a file, and the sound of the same time."""

    faces: UInt8Array  # (n, 224, 224, 3)
    sound: Float32Array  # (640 n,)
    first_frame: int  # of the file, where the track begins


def read_track(path: Path) -> Track | None:
    """The longest face track of a file with its sound; None when there is no face, or no sound with it.

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
    heard = sound[first * SAMPLES_PER_FRAME : (first + n) * SAMPLES_PER_FRAME]
    return Track(np.stack(tracks[longest][:n]), heard, first)


def _decode(path: Path) -> tuple[UInt8Array, Float32Array]:
    """Faces and sound of `read_track`; empty arrays when there are none."""
    try:
        track = read_track(path)
    except MediaError:
        track = None
    if track is None:
        return np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8), np.zeros(0, np.float32)
    return track.faces, track.sound


def _save(path: Path, array: NDArray[np.generic]) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, array)
