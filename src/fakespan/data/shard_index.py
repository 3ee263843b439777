"""The index of a shard: one JSON line per clip with its metadata and the position of its data in the tar file.

Contract: paths are never taken from an index, and every offset and length is validated against the size of the tar
file. An invalid line raises `Unusable` here and DataError outside.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fakespan.config import SAMPLES_PER_FRAME
from fakespan.data.entries import Unusable, count, number, segment, split_of, tidy_name
from fakespan.data.packing import MAX_FRAMES, SOUND_HEADER
from fakespan.errors import DataError
from fakespan.types import Modality, Sample

__all__ = [
    "BLOCK",
    "Part",
    "Row",
    "damaged",
    "index_path",
    "line_of",
    "read_index",
    "row_of",
    "sample_record",
    "shard_name",
    "shard_numbers",
    "tar_path",
]

BLOCK = tarfile.BLOCKSIZE
_NAME = re.compile(r"shard-(\d{5})\.jsonl")
_REDO = "redo this shard: fakespan prepare ... --redo {}"


@dataclass(frozen=True, slots=True)
class Part:
    """A range of bytes in the tar file of a shard."""

    offset: int
    length: int
    crc32: int

    @property
    def end(self) -> int:
        """Offset after the part, including the padding of its last block."""
        return self.offset + -(-self.length // BLOCK) * BLOCK


@dataclass(frozen=True, slots=True)
class Row:
    """One clip of a shard; `sample.path` is the shard's tar file."""

    position: int  # in the whole store
    sample: Sample
    n_frames: int
    start_s: float
    faces: Part | None  # None: no video
    sound: Part | None  # None: no audio
    damaged: tuple[tuple[float, float], ...] = ()  # stretches of the clip's file, in seconds

    @property
    def parts(self) -> tuple[Part, ...]:
        """The existing parts, in the order of the file."""
        return tuple(part for part in (self.faces, self.sound) if part is not None)


def shard_name(number_: int) -> str:
    """Name of a shard, for instance shard-00003."""
    return f"shard-{number_:05d}"


def tar_path(folder: Path, number_: int) -> Path:
    """Path of the tar file."""
    return folder / f"{shard_name(number_)}.tar"


def index_path(folder: Path, number_: int) -> Path:
    """Path of the index."""
    return folder / f"{shard_name(number_)}.jsonl"


def shard_numbers(folder: Path) -> list[int]:
    """Numbers of the shards in a folder, in order."""
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def read_index(folder: Path, number_: int) -> list[Row]:
    """The clips of a shard.

    Raises:
        DataError: a damaged or invalid line.
    """
    rows: list[Row] = []
    try:
        size = tar_path(folder, number_).stat().st_size
        with index_path(folder, number_).open("rb") as file:
            for line in file:
                rows.append(row_of(line, tar_path(folder, number_), size))
    except Unusable as reason:
        raise damaged(folder, number_, f"line {len(rows) + 1} of its index: {reason.message}") from None
    except OSError as error:
        raise damaged(folder, number_, str(error.strerror).lower()) from error
    return rows


def damaged(folder: Path, number_: int, what: str) -> DataError:
    """The error for a damaged shard, with the command that repairs it."""
    name = shard_name(number_)
    return DataError(folder / name, expected="an undamaged shard", got=what, remedy=_REDO.format(name))


def sample_record(sample: Sample) -> dict[str, Any]:
    """A sample as plain values, without its path."""
    return {
        "name": sample.name,
        "split": sample.split,
        "duration_s": sample.duration_s,
        "segments": [[s.start_s, s.end_s, s.modality] for s in sample.segments],
        "original": sample.original,
        "n_frames": sample.n_frames,
        "facts": dict(sample.facts),
    }


def line_of(row: Row) -> bytes:
    """The index line of a clip; the inverse of `row_of`."""
    parts = {
        name: None if part is None else [part.offset, part.length, part.crc32]
        for name, part in (("faces", row.faces), ("sound", row.sound))
    }
    head = {"position": row.position, "n_frames": row.n_frames, "start_s": row.start_s}
    damaged = {"damaged": row.damaged} if row.damaged else {}
    return json.dumps({**head, **parts, **damaged, "sample": sample_record(row.sample)}).encode() + b"\n"


def row_of(line: bytes, tar: Path, size: int) -> Row:
    """Parse an index line; raises Unusable if it is invalid for a tar file of that size."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise Unusable("damage", "not a complete line of JSON")
    n_frames = count(record.get("n_frames"), "n_frames")
    faces, sound = (_part(record.get(name), name, size) for name in ("faces", "sound"))
    if not 0 < n_frames <= MAX_FRAMES:
        raise Unusable("entry", f"a clip of {n_frames} frames")
    if sound is not None and sound.length != SOUND_HEADER + 2 * n_frames * SAMPLES_PER_FRAME:
        raise Unusable("entry", f"{sound.length} bytes of sound for {n_frames} frames")
    if faces is None and sound is None:
        raise Unusable("entry", "neither faces nor sound")
    position, start_s = count(record.get("position"), "position"), number(record.get("start_s"), "start_s")
    stretches = tuple(_stretches(record.get("damaged", [])))
    return Row(position, _sample(record.get("sample"), tar), n_frames, start_s, faces, sound, stretches)


def _stretches(value: Any) -> Iterator[tuple[float, float]]:
    if not isinstance(value, list) or not all(isinstance(entry, list) and len(entry) == 2 for entry in value):
        raise Unusable("entry", "expected damaged stretches of begin and end")
    for begin, end in value:
        yield number(begin, "begin"), number(end, "end")


def _part(value: Any, what: str, size: int) -> Part | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise Unusable("entry", f"expected offset, length and CRC-32 of {what}")
    part = Part(*(count(v, what) for v in value))
    if not part.length or part.offset + part.length > size:
        raise Unusable("entry", f"{what} beyond the end of the tar file")
    return part


def _sample(record: Any, tar: Path) -> Sample:
    if not isinstance(record, dict) or not isinstance(record.get("facts"), dict):
        raise Unusable("entry", "expected an object with the metadata of a clip")
    name = record.get("name")
    if tidy_name(name) != name:
        raise Unusable("name", f"{name!r} is not a normalised name")
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
