"""Genuine clips, decoded once, as the source of practice forgeries.

The longest face track of each clip is stored as square crops with the audio of the same time: in memory (0.15 MB per
frame, shared by forked workers), and in a cache folder for the next run. Clips without a face or audio are skipped.
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
    """A genuine clip at the model's clock: face crops with their audio."""

    name: str
    speaker: str  # clips of one speaker are donors for each other
    faces: UInt8Array  # (n, 224, 224, 3)
    sound: Float32Array  # (640 n,)


def load_bank(
    files: Sequence[Path], cache: Path, progress: Callable[[Iterable[Path]], Iterable[Path]] | None = None
) -> list[Clip]:
    """The clips of these files, in their order, decoded or read from the cache.

    A folder whose name starts with "grid" is one speaker; any other file is a separate speaker.

    Raises:
        DataError: no file has a usable clip.
    """
    cache.mkdir(parents=True, exist_ok=True)
    clips = [clip for path in (progress or iter)(files) if (clip := _load(path, cache)) is not None]
    if not clips:
        raise DataError(cache, expected="clips with a face and audio", got="none", remedy="check the data folders")
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
    """The cached clip; None if it is missing or damaged."""
    try:
        faces, sound = np.load(faces_file), np.load(sound_file)
    except (OSError, ValueError, EOFError):
        return None
    return (faces, sound) if len(sound) == len(faces) * SAMPLES_PER_FRAME else None


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


def _decode(path: Path) -> tuple[UInt8Array, Float32Array]:
    """Faces and audio of `read_track`; empty arrays if there are none."""
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
