"""Encoding of faces and audio of a clip in a prepared store.

Faces: full-range YCrCb (ITU-R BT.601), luma rounded to multiples of 3. A chroma value is updated, rounded in the same
way, only if it deviates by more than 2 from the stored one, so that camera and codec noise costs no space. The
difference from the previous frame (mod 256), as planes (3, n, 96, 96), is compressed: "fast" with LZ4, "small" with
Zstandard. No RGB value is more than `MAX_ERROR` of 255 levels off; benchmarks/README.md has the mean, the size, and
what JPEG, H.264 and FFV1 give instead.

Audio: a 16-bit WAV file at 16 kHz; the error of a sample is at most 1/65536.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Literal

import cv2
import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLE_RATE
from fakespan.errors import MissingExtraError
from fakespan.media.crop import FACE_SIZE

__all__ = [
    "MAX_ERROR",
    "MAX_FRAMES",
    "PARAMETERS",
    "SOUND_HEADER",
    "SUFFIXES",
    "Pack",
    "need_codecs",
    "pack_faces",
    "pack_sound",
    "unpack_faces",
    "unpack_sound",
]

MAX_ERROR = 6
"""Maximum error of an RGB value in levels of 255; docs/store.md has the derivation."""
MAX_FRAMES = 90_000
"""Longest valid clip: one hour."""

_STEP = 3  # levels
_HOLD = 2  # levels by which a chroma value may deviate
Pack = Literal["fast", "small"]
SUFFIXES: dict[Pack, str] = {"fast": "lz4", "small": "zst"}
"""File suffixes of the faces; the command-line programs lz4 and zstd read both."""

_MAGIC = {b"\x04\x22\x4d\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
_LEVEL = 1  # of Zstandard; higher levels do not reduce the size of these data
_GROUP = 7  # frames: fit the cache, and so few that OpenCV starts no threads, which would deadlock a forked worker
_AREA = FACE_SIZE * FACE_SIZE
_FRAME = 3 * _AREA
_ROUNDED = ((np.minimum(np.arange(256), 254) + _STEP // 2) // _STEP * _STEP).astype(np.uint8)
PARAMETERS = {"faces": "ycrcb-delta", "step": _STEP, "hold": _HOLD, "sound": "wav-s16-16000"}
"""Parameters recorded in the header of a store; a store with other values has another format."""

_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
SOUND_HEADER = _WAV.size


def need_codecs() -> None:
    """Raise MissingExtraError if pyarrow, which provides LZ4 and Zstandard, is not installed."""
    _codec("zstd")


def pack_faces(faces: UInt8Array, pack: Pack = "fast") -> bytes:
    """Faces (n, 96, 96, 3) RGB -> one LZ4 or Zstandard frame."""
    change = np.empty((3, len(faces), _AREA), np.uint8)
    ycc = np.empty((_GROUP, _AREA, 3), np.uint8)
    exact = np.empty((3, _GROUP, _AREA), np.uint8)
    kept = np.zeros((3, _GROUP + 1, _AREA), np.uint8)  # the previous frame and the group
    for start in range(0, len(faces), _GROUP):
        group = faces[start : start + _GROUP]
        n = len(group)
        cv2.cvtColor(group.reshape(n, _AREA, 3), cv2.COLOR_RGB2YCrCb, dst=ycc[:n])
        cv2.split(ycc[:n], [plane[:n] for plane in exact])
        for plane in range(3):
            cv2.LUT(exact[plane, :n], _ROUNDED, dst=kept[plane, 1 : n + 1])
        for k in range(0 if start else 1, n):
            _hold(exact[1:, k], kept[1:, k], kept[1:, k + 1])
        np.subtract(kept[:, 1 : n + 1], kept[:, :n], out=change[:, start : start + n])
        kept[:, 0] = kept[:, n]
    return bytes(_codec("lz4" if pack == "fast" else "zstd").compress(change, asbytes=True))


def unpack_faces(packed: bytes | memoryview, n_frames: int) -> UInt8Array:
    """The inverse: (n_frames, 96, 96, 3) uint8.

    Raises:
        ValueError: not the output of `pack_faces` for that many frames.
    """
    if not 0 < n_frames <= MAX_FRAMES:
        raise ValueError(f"{n_frames} frames")
    try:
        raw = _decompressed(packed, n_frames * _FRAME)
    except (OSError, MemoryError) as error:  # pyarrow's errors are of these
        raise ValueError(str(error)) from error
    change = np.frombuffer(raw, np.uint8).reshape(3, n_frames, _AREA)
    faces = np.empty((n_frames, FACE_SIZE, FACE_SIZE, 3), np.uint8)
    planes = np.empty((3, _GROUP, _AREA), np.uint8)
    ycc = np.empty((_GROUP, _AREA, 3), np.uint8)
    previous = np.zeros((3, _AREA), np.uint8)
    for start in range(0, n_frames, _GROUP):
        n = min(_GROUP, n_frames - start)
        for k in range(n):
            previous = np.add(change[:, start + k], previous, out=planes[:, k])
        cv2.merge([plane[:n] for plane in planes], dst=ycc[:n])
        cv2.cvtColor(ycc[:n], cv2.COLOR_YCrCb2RGB, dst=faces[start : start + n].reshape(n, _AREA, 3))
    return faces


def pack_sound(sound: Float32Array) -> bytes:
    """Encode audio (n,) in -1..1 at 16 kHz as a 16-bit mono WAV file."""
    samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes()
    n = len(samples)
    head = _WAV.pack(
        b"RIFF", n + 36, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16, b"data", n
    )  # fmt: skip
    return head + samples


def unpack_sound(packed: bytes | memoryview, n_samples: int) -> Float32Array:
    """The inverse: (n_samples,) float32. Raises ValueError if the number of samples differs."""
    if len(packed) != SOUND_HEADER + 2 * n_samples:
        raise ValueError(f"{len(packed)} bytes of sound for {n_samples} samples")
    sound = np.frombuffer(packed, "<i2", offset=SOUND_HEADER).astype(np.float32)
    sound *= np.float32(1 / 32768)
    return sound


def _hold(exact: UInt8Array, before: UInt8Array, rounded: UInt8Array) -> None:
    """Keep the previous value in `rounded` where it is close enough to the exact one."""
    is_near = cv2.compare(cv2.absdiff(exact, before), float(_HOLD), cv2.CMP_LE)  # type: ignore[call-overload]
    cv2.copyTo(before, is_near, rounded)


def _decompressed(packed: bytes | memoryview, n_bytes: int) -> Any:
    """Decompress to the expected number of bytes; raises ValueError, or OSError of pyarrow, otherwise."""
    name = _MAGIC.get(bytes(packed[:4]))
    if name is None:
        raise ValueError("neither LZ4 nor Zstandard")
    if name == "zstd":
        return _codec(name).decompress(packed, n_bytes)
    import pyarrow  # noqa: PLC0415

    # as a stream: pyarrow's one-shot LZ4 accepts fewer bytes than promised
    raw = pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), name).read_buffer(n_bytes + 1)
    if len(raw) != n_bytes:
        raise ValueError(f"{len(raw)} bytes, not {n_bytes}")
    return raw


@functools.cache
def _codec(name: str) -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - optional, and takes a while
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    return pyarrow.Codec(name, compression_level=_LEVEL) if name == "zstd" else pyarrow.Codec(name)
