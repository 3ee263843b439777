"""Prepared stores: folders of shards from which training reads clips many times faster than from the data set.

`store.json` describes content and parameters, `problems.json` lists clips that could not be prepared; the clips are in
shards (see `shards`), with encoded faces and audio (see `packing`). docs/store.md describes the format. A store is
self-contained: the labels are in the index. Nothing is unpickled, and no paths are taken from files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fakespan.config import FPS, SAMPLES_PER_FRAME, Framing
from fakespan.data.clip import Faces, true_spans
from fakespan.data.entries import Unusable, read_json
from fakespan.data.example import Example
from fakespan.data.packing import PARAMETERS, SUFFIXES, Pack, need_codecs, unpack_faces, unpack_sound
from fakespan.data.shard_index import Row, damaged, read_index, shard_name, shard_numbers, tar_path
from fakespan.data.shards import read_part
from fakespan.errors import DataError, UsageError
from fakespan.files import replacing
from fakespan.media.crop import FACE_SIZE
from fakespan.types import Sample, Subset

__all__ = ["FORMAT", "Header", "Store", "StoreOptions", "check_store", "read_header", "read_problems", "write_json"]

FORMAT = "fakespan.store/2"
"""Name and version; the version increases when older readers would fail."""


@dataclass(frozen=True)
class StoreOptions:
    """Selection and parameters of a store. Raises UsageError for an invalid value."""

    split: str | None = None  # train, validation or test; None for all, as in `Manifest.choose`
    subset: Subset = "full"
    limit: int | None = None  # only the first so many clips
    faces: Faces | None = None  # face mode; None: what the set needs
    framing: Framing = "face"  # part of the face that the models take (`ModelConfig.framing`)
    pack: Pack = "fast"  # fast to read, or "small" (two thirds of the size)

    def __post_init__(self) -> None:
        for name, known in (("pack", tuple(SUFFIXES)), ("framing", get_args(Framing))):
            if getattr(self, name) not in known:
                expected, got = " or ".join(known), repr(getattr(self, name))
                raise UsageError(f"--{name}", expected=expected, got=got, remedy="choose one of them")


@dataclass(frozen=True)
class Header:
    """Description of a store: content and parameters."""

    kind: str  # of the data set, for instance lavdf
    split: str | None
    subset: str
    limit: int | None
    faces: Faces
    framing: Framing  # of the faces
    pack: Pack
    n_clips: int  # of the finished store, including unreadable clips
    clips_per_shard: int
    digest: str  # of names and labels of all clips

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_clips // self.clips_per_shard)

    def record(self) -> dict[str, Any]:
        """The content of `store.json`."""
        clock = {"fps": 25, "sample_rate": 16_000, "face_size": FACE_SIZE}
        return {"format": FORMAT, **asdict(self), **clock, "packing": PARAMETERS}


class Store:
    """The clips of a complete store; picklable, opens a shard only while it reads a clip.

    Attributes:
        header: description of the store.
        samples: in the order of the data set.

    Raises:
        DataError: not a store, an incomplete one, or one with a damaged index.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        need_codecs()
        self.folder, self.header = folder, read_header(folder)
        rows = [(row, k) for k in shard_numbers(folder) for row in read_index(folder, k)]
        rows.sort(key=lambda entry: entry[0].position)
        self._rows = {row.sample.name: (row, k) for row, k in rows}
        self.samples: tuple[Sample, ...] = tuple(row.sample for row, _ in rows)
        n_missing = self.header.n_clips - len(self._rows) - len(read_problems(folder))
        if len(rows) != len(self._rows):
            raise DataError(folder, expected="each clip once", got="a clip in two places", remedy="prepare it again")
        if n_missing or not rows:
            got = f"{len(rows)} of {self.header.n_clips} clips"
            remedy = "repeat the same fakespan prepare; it resumes"
            raise DataError(folder, expected="a complete store", got=got, remedy=remedy)

    def read(self, sample: Sample) -> Example:
        """Read the clip of one of `samples`. Raises DataError, which names the shard, if it is damaged."""
        row, shard = self._rows[sample.name]
        try:
            return _example(row, sample, tar_path(self.folder, shard))
        except Unusable as reason:
            raise damaged(self.folder, shard, f"{sample.name}: {reason.message}") from None
        except OSError as error:
            raise damaged(self.folder, shard, str(error.strerror).lower()) from error


def check_store(folder: Path, progress: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """Verify all data against their checksums.

    Returns:
        Shard name -> problem; empty if everything is intact.

    Raises:
        DataError: not a store.
    """
    header, wrong = read_header(folder), {}
    for k in range(header.n_shards):
        if what := _damage(folder, k):
            wrong[shard_name(k)] = what
        if progress is not None:
            progress(k + 1, header.n_shards)
    return wrong


def _damage(folder: Path, shard: int) -> str:
    """The problem of a shard, all of which is read; empty if it is intact."""
    try:
        rows = read_index(folder, shard)
        with tar_path(folder, shard).open("rb") as file:
            for row in rows:
                for part in row.parts:
                    read_part(file, part)
    except Unusable as reason:
        return f"{row.sample.name}: {reason.message}"
    except (DataError, OSError) as error:
        return error.got if isinstance(error, DataError) else str(error.strerror).lower()
    return ""


def read_header(folder: Path) -> Header:
    """Read `store.json`. Raises DataError if it is missing, damaged or of another format."""
    path = folder / "store.json"
    if not path.is_file():
        remedy = "create one: fakespan prepare --data KIND:ROOT --out FOLDER"
        got = "a folder without store.json" if folder.is_dir() else "no such folder"
        raise DataError(folder, expected="a prepared store", got=got, remedy=remedy)
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("packing") != PARAMETERS:
        got = repr(record.get("format")) if isinstance(record, dict) else "not an object"
        expected = f"a store of format {FORMAT} with the packing of this version"
        raise DataError(path, expected=expected, got=got, remedy="prepare it again with this version of fakespan")
    try:
        header = Header(**{name: record[name] for name in Header.__dataclass_fields__})
    except KeyError as error:
        raise DataError(path, expected=f"the entry {error}", got="none", remedy="prepare it again") from error
    counts = (header.n_clips, header.clips_per_shard)
    for name, known in (("faces", get_args(Faces)), ("framing", get_args(Framing))):
        if (value := getattr(header, name)) not in known:
            expected, got = f"{name} that are one of {', '.join(known)}", repr(value)
            raise DataError(path, expected=expected, got=got, remedy="prepare it again with this version of fakespan")
    if not all(isinstance(n, int) and 0 < n < 1 << 32 for n in counts):
        raise DataError(path, expected="counts from 1 on", got=repr(counts), remedy="prepare it again")
    return header


def read_problems(folder: Path) -> list[dict[str, str]]:
    """Names and messages of the clips that could not be prepared. Raises DataError if the list is damaged."""
    path = folder / "problems.json"
    record = read_json(path) if path.is_file() else []
    if not isinstance(record, list) or not all(isinstance(entry, dict) for entry in record):
        raise DataError(path, expected="a list of problems", got="something else", remedy="prepare it again")
    return record


def write_json(path: Path, record: Any) -> None:
    """Write atomically. Raises OSError."""
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _example(row: Row, sample: Sample, tar: Path) -> Example:
    """Read the clip of a row; raises Unusable or OSError."""
    n, method = row.n_frames, sample.facts.get("method", "")
    audio_spans, visual_spans = true_spans(sample, row.start_s, n / FPS)
    with tar.open("rb") as file:
        faces, sound = (None if part is None else read_part(file, part) for part in (row.faces, row.sound))
    try:
        return Example(
            name=sample.name,
            faces=np.zeros((n, FACE_SIZE, FACE_SIZE, 3), np.uint8) if faces is None else unpack_faces(faces, n),
            sound=_silence(n) if sound is None else unpack_sound(sound, n * SAMPLES_PER_FRAME),
            audio_spans=audio_spans,
            visual_spans=visual_spans,
            method=method if isinstance(method, str) else "",
            has_picture=faces is not None,
            has_sound=sound is not None,
            start_s=row.start_s,
            damaged=row.damaged,
        )
    except ValueError as error:
        raise Unusable("damage", str(error)) from error


def _silence(n_frames: int) -> Any:
    return np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
