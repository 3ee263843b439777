"""Boxes of MP4 files (ISO/IEC 14496-12), as far as FFmpeg does not show them. Nothing in the file is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fakespan.types import EditList

__all__ = ["edit_lists", "movie_index"]

_MOST_INDEX_BYTES = 32 << 20
_MOST_BOXES = 1000  # within one box
_MOST_BEFORE = 100_000  # boxes before the index; fragments come after it
_ENTRY_BYTES = {0: 12, 1: 20}  # of an edit list, by its version


def movie_index(path: Path) -> bytes:
    """Content of the box `moov` of a file, at most 32 MiB of it; empty if there is none. OSError is propagated."""
    with path.open("rb") as file:
        size, at = path.stat().st_size, 0
        for _ in range(_MOST_BEFORE):
            file.seek(at)
            start = file.read(16)
            n_bytes, n_head = int.from_bytes(start[:4], "big"), 8
            if n_bytes == 1:  # a 64-bit length follows
                n_bytes, n_head = int.from_bytes(start[8:], "big"), 16
            if start[4:8] == b"moov":
                file.seek(at + n_head)
                return file.read(min(max(n_bytes - n_head, 0) or size, _MOST_INDEX_BYTES))
            at += n_bytes
            if n_bytes < 8 or at >= size:  # it was the last one, or is damaged
                break
    return b""


def edit_lists(index: bytes) -> tuple[EditList, ...]:
    """The edit lists of all tracks that have one, as stated in the content of a box `moov`."""
    found = []
    for number, track in enumerate(_boxes(index, b"trak"), 1):
        for edits in _boxes(track, b"edts"):
            found += [EditList(number, _n_entries(content)) for content in _boxes(edits, b"elst")]
    return tuple(found)


def _boxes(content: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of the boxes of a kind that lie directly in `content`."""
    at = 0
    for _ in range(_MOST_BOXES):
        n_bytes = int.from_bytes(content[at : at + 4], "big")
        if n_bytes < 8:
            return
        if content[at + 4 : at + 8] == kind:
            yield content[at + 8 : at + n_bytes]
        at += n_bytes


def _n_entries(content: bytes) -> int:
    """Number of entries of an edit list, as many as there is room for."""
    entry_bytes = _ENTRY_BYTES.get(content[0] if content else 0, 20)
    return min(int.from_bytes(content[4:8], "big"), max(len(content) - 8, 0) // entry_bytes)
