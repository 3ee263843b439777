"""Writes a folder of maps clip by clip; it can be resumed after an interruption at any byte.

Contract: the line of a clip is written after its maps. The next writer keeps the lines, from the first on, that are
complete and whose data have the right checksums, and truncates the rest. So at most the current clip is lost, and
damage in the middle also discards what follows. Only one writer at a time uses a folder (it is locked if the system
supports that). A folder with other maps, or with unknown files, is refused and left unchanged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.data.sets import named
from fakespan.errors import DataError
from fakespan.files import differences, sweep, told_of_disk, try_lock
from fakespan.localizer import ClipMaps, Localizer
from fakespan.types import Sample
from fakespan.verdict.maps_format import (
    PARTS,
    Damage,
    MapEntry,
    MapsHeader,
    MapsModel,
    bytes_a_frame,
    entry_of,
    line_of,
    part_path,
    read_header,
    write_header,
)

__all__ = ["MapWriter", "header_for"]

_OTHER = "use another --out, or remove this folder"


def header_for(localizer: Localizer, source: str, samples: Sequence[Sample], about: Mapping[str, Any]) -> MapsHeader:
    """The description of the maps of these clips by this network."""
    sizes, splits = localizer.model, {sample.split for sample in samples}
    digest = hashlib.sha256()
    for s in samples:
        digest.update(json.dumps([s.name, s.split, s.kind, s.original]).encode())
    return MapsHeader(
        MapsModel(
            name=localizer.name,
            digest=localizer.digest,
            family=sizes.family,
            max_duration=sizes.max_duration,
            n_frames=sizes.n_frames,
            clock=sizes.clock,
        ),
        data=named(source),
        split=splits.pop() if len(splits) == 1 else None,
        about=dict(about),
        n_wanted=len(samples),
        clips=digest.hexdigest(),
    )


class MapWriter:
    """Appends clips to a folder of maps, after the existing `entries`.

    Raises:
        DataError: the folder has other maps, or another process is writing to it.
        UsageError: it is not writable.
    """

    def __init__(self, folder: Path, header: MapsHeader) -> None:
        self.folder, self.header = folder, header
        self.entries: list[MapEntry] = []
        self._parts: dict[str, IO[bytes]] = {}
        self._refuse_others()
        with told_of_disk(self.folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._index = (folder / "index.jsonl").open("a+b")
        try:
            self._lock()
            self._refuse_others()  # the previous holder of the lock may have written other maps
            self._begin()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; added clips are kept."""
        for file in (*self._parts.values(), self._index):
            with contextlib.suppress(OSError):
                file.close()

    @property
    def n_frames(self) -> int:
        """Number of frames of all stored clips."""
        return self.entries[-1].offset + self.entries[-1].n_frames if self.entries else 0

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the folder."""
        return (self.folder / "maps.json", self.folder / "index.jsonl", *(part_path(self.folder, p) for p in PARTS))

    def add(self, number: int, sample: Sample, maps: ClipMaps) -> None:
        """Write a clip: first its maps, then its line.

        Raises:
            DataError: a map has NaN, or the disk is full.
        """
        curves = [None if curve is None else curve[None] for curve in (maps.visual_frames, maps.audio_frames)]
        rows: dict[str, Sequence[Float32Array | None]]
        rows = {"fused": [maps.score], "visual": [maps.visual], "audio": [maps.audio], "frames": curves}
        blocks = [_block(sample.name, part, pieces, maps.score.shape) for part, pieces in rows.items()]
        entry = MapEntry(
            number=number,
            name=sample.name,
            label=int(sample.is_fake),
            kind=sample.kind,
            original=sample.original,
            n_frames=maps.n_steps,
            offset=self.n_frames,
            fps=float(maps.fps),
            has_picture=maps.visual is not None,
            has_sound=maps.audio is not None,
            crc32=tuple(zlib.crc32(block) for block in blocks),
        )
        self._reopen()
        with told_of_disk(self.folder):
            for part, block in zip(PARTS, blocks, strict=True):
                self._parts[part].write(block)
                self._parts[part].flush()
            self._index.write(line_of(entry))
            self._index.flush()
        self.entries.append(entry)

    def finish(self, unreadable: Mapping[str, str]) -> None:
        """Sync everything to disk, then mark the folder as done."""
        with told_of_disk(self.folder):
            for file in (*self._parts.values(), self._index):
                file.flush()
                os.fsync(file.fileno())
        n_clips, n_frames = len(self.entries), self.n_frames
        self._say(
            dataclasses.replace(self.header, done=True, n_clips=n_clips, n_frames=n_frames, unreadable=dict(unreadable))
        )

    def _refuse_others(self) -> None:
        """Raise DataError if the folder has other maps, or files without a maps.json."""
        if not (self.folder / "maps.json").exists():
            there = [path.name for path in self.paths if path.is_file() and path.stat().st_size]
            if there:
                expected, got = "an empty folder, or one with maps.json", f"{there[0]} of unknown maps"
                raise DataError(self.folder, expected=expected, got=got, remedy=_OTHER)
            return
        different = differences(read_header(self.folder).begun(), self.header.begun())
        for key, before, now in sorted(
            different, key=lambda item: item[0] == "model.digest"
        ):  # last: the least informative
            expected, got = f"maps with {key} {json.dumps(now)}", f"maps with {json.dumps(before)}"
            raise DataError(self.folder, expected=expected, got=got, remedy=_OTHER)

    def _begin(self) -> None:
        """Keep what is intact, and truncate the rest."""
        sweep(self.folder)
        is_new = not (self.folder / "maps.json").exists()
        self._is_done = not is_new and read_header(self.folder).done
        if is_new:
            self._say(self.header)
        with told_of_disk(self.folder):
            self._parts = {part: part_path(self.folder, part).open("a+b") for part in PARTS}
            self._index.seek(0)
            sizes: dict[IO[bytes], int] = dict.fromkeys((self._index, *self._parts.values()), 0)
            for line in self._index.readlines():
                try:
                    self.entries.append(self._verified(entry_of(line)))
                except Damage:
                    break
                sizes[self._index] += len(line)
            for part, file in self._parts.items():
                sizes[file] = self.n_frames * self._width(part)
            too_long = {file: size for file, size in sizes.items() if file.seek(0, os.SEEK_END) > size}
            if too_long:
                self._reopen()
            for file, size in too_long.items():
                file.truncate(size)

    def _verified(self, entry: MapEntry) -> MapEntry:
        """Verify the maps of an entry. Raises Damage."""
        if entry.offset != self.n_frames:
            raise Damage("a gap before it")
        for part, crc32 in zip(PARTS, entry.crc32, strict=True):
            file, width = self._parts[part], self._width(part)
            file.seek(entry.offset * width)
            block = file.read(entry.n_frames * width)
            if len(block) != entry.n_frames * width or zlib.crc32(block) != crc32:
                raise Damage("other bytes")
        return entry

    def _width(self, part: str) -> int:
        return bytes_a_frame(part, self.header.model.max_duration)

    def _reopen(self) -> None:
        """Clear the done mark before anything changes."""
        if self._is_done:
            self._say(self.header)
        self._is_done = False

    def _say(self, header: MapsHeader) -> None:
        write_header(self.folder, header)

    def _lock(self) -> None:
        if not try_lock(self._index):
            expected, got = "a folder that is not in use", "one that another process is writing"
            raise DataError(self.folder, expected=expected, got=got, remedy="wait until it is done")


def _block(name: str, part: str, pieces: Sequence[Float32Array | None], shape: tuple[int, ...]) -> bytes:
    """The bytes of a clip in one file: (n, D), or (n, 2) for the frames; NaN for a missing modality."""
    n_rows = 1 if part == "frames" else shape[0]
    halves = [np.full((n_rows, shape[1]), np.nan) if piece is None else piece for piece in pieces]
    with np.errstate(over="ignore"):
        block = np.concatenate(halves).astype("<f2").T
    given = [piece is not None for piece in pieces for _ in range(n_rows)]
    if not np.isfinite(block[:, given]).all():
        remedy = "use other weights, or a wider number format"
        raise DataError(name, expected="numbers from the network", got=f"NaN or infinity ({part})", remedy=remedy)
    return block.tobytes()
