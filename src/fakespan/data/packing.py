"""Faces and sound of a clip <-> the bytes that a prepared store keeps.

Faces: YCrCb of full range (ITU-R BT.601), luma rounded to multiples of 3; a colour difference is taken anew, rounded in
the same way, where it strays by more than 2 from what is held, so that noise of camera and codec costs nothing. What
changed since the frame before (mod 256), as planes (3, n, 96, 96), is compressed: "fast" by
LZ4, "small" by Zstandard. No RGB value is more than
`MAX_ERROR` of 255 levels off; benchmarks/README.md has the mean, the size, and what JPEG, H.264 and FFV1 give instead.

Sound: a WAV file of 16 bits and 16 kHz; a sample is at most 1/65536 off.
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
from fakespan.media.features import FACE_SIZE

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
"""Levels of 255 by which an RGB value may be off; docs/store.md has the sum."""
MAX_FRAMES = 90_000
"""Of one clip, an hour; more is not believed."""

_STEP = 3  # levels
_HOLD = 2  # levels by which a colour difference may stray
Pack = Literal["fast", "small"]
SUFFIXES: dict[Pack, str] = {"fast": "lz4", "small": "zst"}
"""What the files of the faces end with; both are frames that the programs of these names read."""

_MAGIC = {b"\x04\x22\x4d\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd"}
_LEVEL = 1  # of Zstandard; higher ones make these data no smaller
_GROUP = 7  # frames: they fit the cache, and OpenCV starts no threads for so few, which a forked worker would wait for
_AREA = FACE_SIZE * FACE_SIZE
_FRAME = 3 * _AREA
_ROUNDED = ((np.minimum(np.arange(256), 254) + _STEP // 2) // _STEP * _STEP).astype(np.uint8)
PARAMETERS = {"faces": "ycrcb-delta", "step": _STEP, "hold": _HOLD, "sound": "wav-s16-16000"}
"""What a store's header says of all this; a store with others is of another format."""

_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
SOUND_HEADER = _WAV.size


def need_codecs() -> None:
    """Raises MissingExtraError where pyarrow, which brings LZ4 and Zstandard along, is not installed."""
    _codec("zstd")


def pack_faces(faces: UInt8Array, pack: Pack = "fast") -> bytes:
    """Faces (n, 96, 96, 3) RGB -> one LZ4 or Zstandard frame."""
    change = np.empty((3, len(faces), _AREA), np.uint8)
    ycc = np.empty((_GROUP, _AREA, 3), np.uint8)
    exact = np.empty((3, _GROUP, _AREA), np.uint8)
    kept = np.zeros((3, _GROUP + 1, _AREA), np.uint8)  # the frame before the group, and the group
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
        ValueError: not what `pack_faces` gives for that many frames.
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
    held = np.zeros((3, _AREA), np.uint8)
    for start in range(0, n_frames, _GROUP):
        n = min(_GROUP, n_frames - start)
        for k in range(n):
            held = np.add(change[:, start + k], held, out=planes[:, k])
        cv2.merge([plane[:n] for plane in planes], dst=ycc[:n])
        cv2.cvtColor(ycc[:n], cv2.COLOR_YCrCb2RGB, dst=faces[start : start + n].reshape(n, _AREA, 3))
    return faces


def pack_sound(sound: Float32Array) -> bytes:
    """Sound (n,) in -1..1 at 16 kHz -> a WAV file, mono, 16 bits."""
    samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes()
    n = len(samples)
    head = _WAV.pack(
        b"RIFF", n + 36, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16, b"data", n
    )  # fmt: skip
    return head + samples


def unpack_sound(packed: bytes | memoryview, n_samples: int) -> Float32Array:
    """The inverse: (n_samples,) float32. Raises ValueError when it holds another number of samples."""
    if len(packed) != SOUND_HEADER + 2 * n_samples:
        raise ValueError(f"{len(packed)} bytes of sound for {n_samples} samples")
    sound = np.frombuffer(packed, "<i2", offset=SOUND_HEADER).astype(np.float32)
    sound *= np.float32(1 / 32768)
    return sound


def _hold(exact: UInt8Array, before: UInt8Array, rounded: UInt8Array) -> None:
    """Puts what was held before into `rounded` wherever it is still near enough to the exact values."""
    is_near = cv2.compare(cv2.absdiff(exact, before), float(_HOLD), cv2.CMP_LE)  # type: ignore[call-overload]
    cv2.copyTo(before, is_near, rounded)


def _decompressed(packed: bytes | memoryview, n_bytes: int) -> Any:
    """A buffer of so many bytes; raises ValueError, or OSError of pyarrow, for anything else."""
    name = _MAGIC.get(bytes(packed[:4]))
    if name is None:
        raise ValueError("neither LZ4 nor Zstandard")
    if name == "zstd":
        return _codec(name).decompress(packed, n_bytes)
    import pyarrow  # noqa: PLC0415

    # as a stream: pyarrow's one-shot LZ4 takes fewer bytes than promised for enough
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
