"""One shard of a prepared store: a tar file of clips and, beside it, its index in JSON lines.

Contract: a clip's line is written after its data, so whatever the moment at which a writer is killed, at most the clip
in hand is lost; the next writer cuts off what no line vouches for and goes on there. Names in the tar are made of
numbers, paths are never taken from an index, and every offset and length is checked against the file before it is used.
Each part has its CRC-32, which is looked at whenever the part is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, get_args

from fakespan.config import SAMPLES_PER_FRAME
from fakespan.data.entries import Unusable, count, number, segment, split_of, tidy_name
from fakespan.data.example import Example
from fakespan.data.packing import MAX_FRAMES, SOUND_HEADER, SUFFIXES, Pack, pack_faces, pack_sound
from fakespan.errors import DataError
from fakespan.files import try_lock
from fakespan.types import Modality, Sample

__all__ = [
    "Part",
    "Row",
    "ShardWriter",
    "index_path",
    "read_index",
    "read_part",
    "shard_name",
    "shard_numbers",
    "tar_path",
]

_BLOCK = tarfile.BLOCKSIZE
_SYNC_EVERY = 32  # clips; no more than these are lost when the power fails
_NAME = re.compile(r"shard-(\d{5})\.jsonl")
_REDO = "redo this shard: fakespan prepare ... --redo {}"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a shard's tar file."""

    offset: int
    length: int
    crc32: int

    @property
    def end(self) -> int:
        """Offset after it, and after the zeros that fill its last block."""
        return self.offset + -(-self.length // _BLOCK) * _BLOCK


@dataclass(frozen=True, slots=True)
class Row:
    """One clip of a shard; `sample.path` is the shard's tar file."""

    position: int  # in the whole store
    sample: Sample
    n_frames: int
    start_s: float
    faces: Part | None  # None: without a picture
    sound: Part | None  # None: without sound

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that there are, in the order of the file."""
        return tuple(part for part in (self.faces, self.sound) if part is not None)


def shard_name(number_: int) -> str:
    """For instance shard-00003."""
    return f"shard-{number_:05d}"


def tar_path(folder: Path, number_: int) -> Path:
    """Where the clips are."""
    return folder / f"{shard_name(number_)}.tar"


def index_path(folder: Path, number_: int) -> Path:
    """Where it says which clips there are."""
    return folder / f"{shard_name(number_)}.jsonl"


def shard_numbers(folder: Path) -> list[int]:
    """Of the shards in a folder, in order."""
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def read_index(folder: Path, number_: int) -> list[Row]:
    """The clips of a shard.

    Raises:
        DataError: a line that is damaged, or that its tar file cannot hold.
    """
    rows: list[Row] = []
    try:
        size = tar_path(folder, number_).stat().st_size
        with index_path(folder, number_).open("rb") as file:
            for line in file:
                rows.append(_row(line, tar_path(folder, number_), size))
    except Unusable as reason:
        raise damaged(folder, number_, f"line {len(rows) + 1} of its index: {reason.message}") from None
    except OSError as error:
        raise damaged(folder, number_, str(error.strerror).lower()) from error
    return rows


def read_part(file: IO[bytes], part: Part) -> bytes:
    """The bytes of a part. Raises Unusable where they are not those that were written."""
    file.seek(part.offset)
    data = file.read(part.length)
    if len(data) != part.length or zlib.crc32(data) != part.crc32:
        raise Unusable("damage", "its bytes have changed (CRC-32)")
    return data


def damaged(folder: Path, number_: int, what: str) -> DataError:
    """The error that names a damaged shard and says how it is mended."""
    name = shard_name(number_)
    return DataError(folder / name, expected="an undamaged shard", got=what, remedy=_REDO.format(name))


class ShardWriter:
    """Adds clips to a shard, after those that it has already.

    Only one writer at a time: the index is locked where the system can do that. `rows` are the clips that are there.

    Raises:
        DataError: another process is writing this shard.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, number_: int, n_wanted: int) -> None:
        self._folder, self._number = folder, number_
        self._index = index_path(folder, number_).open("a+b")
        self._lock()
        self._tar = tar_path(folder, number_).open("a+b")
        self.rows, n_index_bytes = self._sound_rows(n_wanted)
        self._end = self._at = max((part.end for row in self.rows for part in row.parts), default=0)
        self.is_whole = len(self.rows) == n_wanted
        if not self.is_whole:
            self._index.truncate(n_index_bytes)
            self._tar.truncate(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it; what has been added stays."""
        for file in (self._tar, self._index):
            with contextlib.suppress(OSError):
                file.close()

    def add(self, position: int, sample: Sample, example: Example, pack: Pack = "fast") -> None:
        """Writes a clip: first its data, then its line.

        Raises:
            OSError: it cannot be written; nothing of it is left.
        """
        members = {
            f"faces.ycc.{SUFFIXES[pack]}": pack_faces(example.faces, pack) if example.has_picture else None,
            "sound.wav": pack_sound(example.sound) if example.has_sound else None,
        }
        try:
            faces, sound = (self._write(f"{position:06d}.{name}", data) for name, data in members.items())
            row = Row(position, sample, len(example.faces), example.start_s, faces, sound)
            self._tar.flush()
            if len(self.rows) % _SYNC_EVERY == 0:
                os.fsync(self._tar.fileno())
            self._index.write(_line(row))
            self._index.flush()
        except OSError:
            self._cut_back()
            raise
        self._end = self._at
        self.rows.append(row)

    def finish(self) -> None:
        """Ends the tar file as its format wants it, and sees to it that all is on the disk."""
        if self._tar.seek(0, os.SEEK_END) == self._end:
            self._tar.write(bytes(2 * _BLOCK))
        for file in (self._tar, self._index):
            file.flush()
            os.fsync(file.fileno())

    def _write(self, name: str, data: bytes | None) -> Part | None:
        """Appends a member; gives where its data lie."""
        if data is None:
            return None
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.write(info.tobuf(tarfile.USTAR_FORMAT))
        part = Part(self._at + _BLOCK, len(data), zlib.crc32(data))
        self._tar.write(data)
        self._tar.write(bytes(part.end - part.offset - part.length))
        self._at = part.end
        return part

    def _cut_back(self) -> None:
        """Takes away what was half written, as far as the disk lets it."""
        n_index_bytes = sum(len(_line(row)) for row in self.rows)
        for path, size in ((index_path(self._folder, self._number), n_index_bytes), (Path(self._tar.name), self._end)):
            with contextlib.suppress(OSError):
                os.truncate(path, size)

    def _sound_rows(self, n_wanted: int) -> tuple[list[Row], int]:
        """The rows up to the first that is not whole, and the bytes of their lines.

        Data are only looked at where the shard is unfinished: there the power may have failed.
        """
        rows: list[Row] = []
        size, n_bytes, end = self._tar.seek(0, os.SEEK_END), 0, 0
        self._index.seek(0)
        lines = self._index.readlines()
        with contextlib.suppress(Unusable):
            for line in lines:
                row = _row(line, Path(self._tar.name), size)
                if any(part.offset < end for part in row.parts):
                    raise Unusable("damage", "parts that overlap")
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
            got = "one that another process is writing"
            path = self._folder / shard_name(self._number)
            raise DataError(path, expected="a free shard", got=got, remedy="wait until it is done")


def sample_record(sample: Sample) -> dict[str, Any]:
    """The truth of a sample as plain values, without its path."""
    return {
        "name": sample.name,
        "split": sample.split,
        "duration_s": sample.duration_s,
        "segments": [[s.start_s, s.end_s, s.modality] for s in sample.segments],
        "original": sample.original,
        "n_frames": sample.n_frames,
        "facts": dict(sample.facts),
    }


def _line(row: Row) -> bytes:
    parts = {
        name: None if part is None else [part.offset, part.length, part.crc32]
        for name, part in (("faces", row.faces), ("sound", row.sound))
    }
    head = {"position": row.position, "n_frames": row.n_frames, "start_s": row.start_s}
    return json.dumps({**head, **parts, "sample": sample_record(row.sample)}).encode() + b"\n"


def _row(line: bytes, tar: Path, size: int) -> Row:
    """The clip of a line; raises Unusable for anything that the tar file of that size cannot hold."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise Unusable("damage", "no complete line of JSON")
    n_frames = count(record.get("n_frames"), "n_frames")
    faces, sound = (_part(record.get(name), name, size) for name in ("faces", "sound"))
    if not 0 < n_frames <= MAX_FRAMES:
        raise Unusable("entry", f"a clip of {n_frames} frames")
    if sound is not None and sound.length != SOUND_HEADER + 2 * n_frames * SAMPLES_PER_FRAME:
        raise Unusable("entry", f"{sound.length} bytes of sound for {n_frames} frames")
    if faces is None and sound is None:
        raise Unusable("entry", "neither faces nor sound")
    position, start_s = count(record.get("position"), "position"), number(record.get("start_s"), "start_s")
    return Row(position, _sample(record.get("sample"), tar), n_frames, start_s, faces, sound)


def _part(value: Any, what: str, size: int) -> Part | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise Unusable("entry", f"expected offset, length and CRC-32 of {what}")
    part = Part(*(count(v, what) for v in value))
    if not part.length or part.offset + part.length > size:
        raise Unusable("entry", f"{what} that reach beyond the end of the tar file")
    return part


def _sample(record: Any, tar: Path) -> Sample:
    if not isinstance(record, dict) or not isinstance(record.get("facts"), dict):
        raise Unusable("entry", "expected an object with the truth of a clip")
    name = record.get("name")
    if tidy_name(name) != name:
        raise Unusable("name", f"{name!r} is no tidy name")
    n_frames, original = record.get("n_frames"), record.get("original")
    return Sample(
        name=name,
        path=tar,
        split=split_of(record.get("split")),
        duration_s=number(record.get("duration_s"), "duration_s"),
        segments=tuple(_segments(record.get("segments"))),
        original=original if isinstance(original, str) else None,
        n_frames=None if n_frames is None else count(n_frames, "n_frames"),
        facts=record["facts"],
    )


def _segments(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        raise Unusable("span", "expected a list of segments")
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 3 or entry[2] not in get_args(Modality):
            raise Unusable("span", "expected segments of begin, end and modality")
        yield segment(number(entry[0], "begin"), number(entry[1], "end"), entry[2])
