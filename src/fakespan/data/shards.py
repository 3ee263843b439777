"""A shard of a prepared store: a tar file of clips and its index in JSON lines (see `shard_index`).

Contract: the index line of a clip is written after its data, so an interruption at any moment loses at most the current
clip; the next writer truncates data without an index line and resumes there. Names in the tar file are numbers. Each
part has a CRC-32, which is verified whenever the part is read.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, Self

from fakespan.data.entries import Unusable
from fakespan.data.example import Example
from fakespan.data.packing import SUFFIXES, Pack, pack_faces, pack_sound
from fakespan.data.shard_index import BLOCK, Part, Row, index_path, line_of, row_of, shard_name, tar_path
from fakespan.errors import DataError
from fakespan.files import try_lock
from fakespan.types import Sample

__all__ = ["ShardWriter", "read_part"]

_SYNC_EVERY = 32  # clips; at most so many are lost after a power failure


def read_part(file: IO[bytes], part: Part) -> bytes:
    """Read the bytes of a part. Raises Unusable if they differ from those written."""
    file.seek(part.offset)
    data = file.read(part.length)
    if len(data) != part.length or zlib.crc32(data) != part.crc32:
        raise Unusable("damage", "its bytes have changed (CRC-32)")
    return data


class ShardWriter:
    """Appends clips to a shard.

    Only one writer at a time: the index is locked if the system supports it. `rows` are the existing clips.

    Args:
        folder: of the store.
        number_: of the shard.
        n_wanted: its clips, if all of them are there.
        strict: the first clip that is damaged or cut short, and those behind it, are to be written again.

    Raises:
        DataError: another process is writing this shard.
        OSError: the folder is not writable.
    """

    def __init__(self, folder: Path, number_: int, n_wanted: int, *, strict: bool = False) -> None:
        self._folder, self._number = folder, number_
        self._index = index_path(folder, number_).open("a+b")
        self._lock()
        self._tar = tar_path(folder, number_).open("a+b")
        self.rows, n_index_bytes = self._sound_rows(n_wanted, strict)
        self._end = self._at = max((part.end for row in self.rows for part in row.parts), default=0)
        self.is_whole = len(self.rows) == n_wanted
        if not self.is_whole:
            self._index.truncate(n_index_bytes)
            self._tar.truncate(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; added clips are kept."""
        for file in (self._tar, self._index):
            with contextlib.suppress(OSError):
                file.close()

    def add(self, position: int, sample: Sample, example: Example, pack: Pack = "fast") -> None:
        """Write a clip: first its data, then its index line.

        Raises:
            OSError: it cannot be written; it is rolled back.
        """
        members = {
            f"faces.ycc.{SUFFIXES[pack]}": pack_faces(example.faces, pack) if example.has_picture else None,
            "sound.wav": pack_sound(example.sound) if example.has_sound else None,
        }
        try:
            faces, sound = (self._write(f"{position:06d}.{name}", data) for name, data in members.items())
            row = Row(position, sample, len(example.faces), example.start_s, faces, sound, example.damaged)
            self._tar.flush()
            if len(self.rows) % _SYNC_EVERY == 0:
                os.fsync(self._tar.fileno())
            self._index.write(line_of(row))
            self._index.flush()
        except OSError:
            self._cut_back()
            raise
        self._end = self._at
        self.rows.append(row)

    def finish(self) -> None:
        """Write the end of the tar file and sync it to disk."""
        if self._tar.seek(0, os.SEEK_END) < self._end + 2 * BLOCK:
            self._tar.truncate(self._end)  # a full disk may have left a part of it
            self._tar.write(bytes(2 * BLOCK))
        for file in (self._tar, self._index):
            file.flush()
            os.fsync(file.fileno())

    def _write(self, name: str, data: bytes | None) -> Part | None:
        """Append a member; returns the position of its data."""
        if data is None:
            return None
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.write(info.tobuf(tarfile.USTAR_FORMAT))
        part = Part(self._at + BLOCK, len(data), zlib.crc32(data))
        self._tar.write(data)
        self._tar.write(bytes(part.end - part.offset - part.length))
        self._at = part.end
        return part

    def _cut_back(self) -> None:
        """Roll back a partial write, as far as the disk permits."""
        n_index_bytes = sum(len(line_of(row)) for row in self.rows)
        for path, size in ((index_path(self._folder, self._number), n_index_bytes), (Path(self._tar.name), self._end)):
            with contextlib.suppress(OSError):
                os.truncate(path, size)

    def _sound_rows(self, n_wanted: int, strict: bool) -> tuple[list[Row], int]:
        """The rows up to the first damaged one, and the size of their lines in bytes.

        Data are only verified if the shard is unfinished, where the power may have failed.
        """
        rows: list[Row] = []
        size, n_bytes, end = self._tar.seek(0, os.SEEK_END), 0, 0
        self._index.seek(0)
        lines = self._index.readlines()
        with contextlib.suppress(Unusable):
            for line in lines:
                row = row_of(line, Path(self._tar.name), size)
                if any(part.offset < end for part in row.parts):
                    raise Unusable("damage", "parts that overlap")
                if strict and row.damaged:
                    raise Unusable("damage", "a clip that is damaged or cut short")
                if len(lines) < n_wanted:
                    for part in row.parts:
                        read_part(self._tar, part)
                end = max((part.end for part in row.parts), default=end)
                n_bytes += len(line)
                rows.append(row)
        return rows, n_bytes

    def _lock(self) -> None:
        if not try_lock(self._index):
            self._index.close()
            got = "a shard that another process is writing"
            path = self._folder / shard_name(self._number)
            raise DataError(path, expected="a free shard", got=got, remedy="wait until it is done")
