"""Names files that are no media, by their bytes, so that errors say what they are."""

from __future__ import annotations

import re
from pathlib import Path

from fakespan.media.boxes import movie_index

__all__ = ["has_endless_texts", "is_animated_webp", "is_encrypted_mp4", "named_kind"]

_SEARCHED_BYTES = 1 << 16  # at both ends of a file: such lists lie there
_LARGE_BYTES = 1 << 26
_PACKED, _PICTURE, _PDF = "unpack it first", "give a video or sound file", "give the video itself"
_BY_START = {
    b"\x1f\x8b": ("a gzip archive", _PACKED),
    b"PK\x03\x04": ("a ZIP archive", _PACKED),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _PACKED),
    b"Rar!": ("a RAR archive", _PACKED),
    b"BZh": ("a bzip2 archive", _PACKED),
    b"\xfd7zXZ\x00": ("an xz archive", _PACKED),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", _PACKED),
    b"\xff\xd8\xff": ("a still picture (JPEG)", _PICTURE),
    b"\x89PNG": ("a still picture (PNG)", _PICTURE),
    b"%PDF": ("a PDF document", _PDF),
}


def named_kind(head: bytes) -> tuple[str, str] | None:
    """What a file is by its first bytes, and what to do about it; None if it is not a known kind.

    >>> named_kind(bytes([0x1f, 0x8b, 8]))
    ('a gzip archive', 'unpack it first')
    """
    return next((kind for start, kind in _BY_START.items() if head.startswith(start)), None)


def is_animated_webp(path: Path) -> bool:
    """Whether the extended header of a WebP file announces an animation (RFC 9649, 2.7)."""
    with path.open("rb") as file:
        head = file.read(21)
    return head[12:16] == b"VP8X" and len(head) == 21 and bool(head[20] & 0x02)


def has_endless_texts(path: Path) -> bool:
    """Whether an AVI or WAV file states a large list of texts (LIST, INFO) that is longer than the whole file.

    FFmpeg takes the memory for a text before it reads it.
    """
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SEARCHED_BYTES)
        if not head.startswith((b"RIFF", b"RF64")):
            return False
        file.seek(max(0, n_bytes - _SEARCHED_BYTES))
        lists = re.findall(rb"LIST(.{4})INFO", head + file.read(), re.DOTALL)
    return any(int.from_bytes(size, "little") > max(n_bytes, _LARGE_BYTES) for size in lists)


def is_encrypted_mp4(path: Path) -> bool:
    """Whether the index of an MP4 file says that a stream is encrypted (ISO/IEC 23001-7: the boxes encv, enca)."""
    index = movie_index(path)
    return b"sinf" in index and (b"encv" in index or b"enca" in index)
