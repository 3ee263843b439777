"""Writes proposals incrementally, video by video; an interrupted run can be resumed.

Contract: seconds in. During a run there is STEM.part.jsonl: a line that identifies the run, then one line per video.
`close` converts it to STEM.json (published format, in frames) and STEM.parquet (seconds), atomically, and removes it.
An incomplete last line is dropped, and its video has to be written again.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float64Array
from fakespan.config import FPS
from fakespan.errors import DataError, UsageError
from fakespan.files import replacing, try_lock, unlock
from fakespan.metrics.flat import Proposals
from fakespan.scoring.proposals_parquet import write_parquet

__all__ = ["ProposalWriter"]

FORMAT = "fakespan.proposals/1"


class ProposalWriter:
    """Writes proposals to a file.

    Args:
        stem: path without a suffix: "out/proposals_fused" gives out/proposals_fused.json.
        formats: "json", "parquet" or both.
        run: identifies the source of the proposals (model, data set ...); a part of another run is not continued.
        fps: begin and end in the JSON are in frames at this rate; 1 for seconds.

    Raises:
        DataError: there is a part of another run, one that is damaged before its last line, or one that another process
            is writing.
        UsageError: the folder is not writable, or a format is unknown.

    As a context manager, it writes the files at the end, unless an error leaves the block; then only the part remains.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ProposalWriter(folder + "/found") as writer:
    ...     writer.add("a.mp4", [[0.9, 1.0, 2.0]])
    ...     writer.done
    frozenset({'a.mp4'})
    """

    def __init__(
        self, stem: str | Path, *, formats: tuple[str, ...] = ("json",), run: str = "", fps: float = FPS
    ) -> None:
        if not formats or not {"json", "parquet"}.issuperset(formats):
            raise UsageError("formats", expected="json, parquet or both", got=str(formats), remedy="change formats")
        self.stem, self.formats, self.run, self.fps = Path(stem), formats, run, fps
        self.part = self.stem.with_name(self.stem.name + ".part.jsonl")
        self._file: IO[bytes] | None = self._open()
        try:
            self._done = {name for name, _ in self._resume()}
            self._begin(self._file)
        except BaseException:
            self.stop()
            raise

    @property
    def done(self) -> frozenset[str]:
        """Names of the finished videos."""
        return frozenset(self._done)

    def __contains__(self, name: object) -> bool:
        return name in self._done

    def add(self, name: str, table: ArrayLike) -> None:
        """Append one video durably.

        Args:
            name: as in the metadata.
            table: (n, 3) score, start, end in seconds, best first.

        Raises:
            DataError: the name was written before, or the table is not finite (n, 3).
            UsageError: the disk is full, or the writer is closed.
        """
        rows = Proposals.of({name: table})
        if name in self._done or not np.isfinite([rows.score, rows.start_s, rows.end_s]).all():
            got = "a second list" if name in self._done else "NaN or infinity"
            raise DataError(f"proposals of {name}", expected="one list of numbers", got=got, remedy="check the network")
        if self._file is None:
            raise UsageError(self.stem, expected="an open writer", got="a closed one", remedy="create a new one")
        values = np.asarray(table, dtype=np.float64).reshape(-1, 3).tolist()
        try:
            self._file.write(_line([name, values]))
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        self._done.add(name)

    def close(self) -> None:
        """Write the final files and remove the part; closing twice has no effect."""
        if self._file is None:
            return
        self.stop()
        entries = list(_read(self.part)[1])
        if "parquet" in self.formats:
            write_parquet(self.stem.with_name(self.stem.name + ".parquet"), Proposals.of(dict(entries)))
        if "json" in self.formats:
            self._write_json(entries)
        self.part.unlink()

    def stop(self) -> None:
        """Stop without writing the files: a later writer of the same stem resumes."""
        if self._file is not None:
            unlock(self._file)  # forked decoders may have it open for a while
            with contextlib.suppress(OSError):  # half a line that did not fit; `add` has told it
                self._file.close()
        self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.stop()

    def _resume(self) -> list[tuple[str, Float64Array]]:
        """Read the part, without an incomplete last line."""
        try:
            run = _run(self.part)
            if run not in (None, self.run):
                remedy = "choose another folder, or remove it"
                raise DataError(self.part, expected=f"the run {self.run!r}", got=f"a part of {run!r}", remedy=remedy)
            size, entries = _read(self.part)
            os.truncate(self.part, size)
        except OSError as error:
            raise self._failure(error) from error
        return entries

    def _open(self) -> IO[bytes]:
        try:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            file = self.part.open("ab")
        except OSError as error:
            raise self._failure(error) from error
        if not try_lock(file):
            file.close()
            expected, got = "proposals that nobody else writes", "a file that another process is writing"
            raise DataError(self.part, expected=expected, got=got, remedy="wait until it is done")
        return file

    def _begin(self, file: IO[bytes]) -> None:
        try:
            if file.seek(0, os.SEEK_END) == 0:
                file.write(_line({"format": FORMAT, "run": self.run}))
                file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _write_json(self, entries: list[tuple[str, Float64Array]]) -> None:
        path = self.stem.with_name(self.stem.name + ".json")
        try:
            with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
                file.write("{")
                for k, (name, table) in enumerate(entries):
                    scaled = np.column_stack([table[:, 0], _snapped(table[:, 1:] * self.fps)])
                    file.write(f"{', ' if k else ''}{json.dumps(name)}: {json.dumps(scaled.tolist())}")
                file.write("}\n")
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> UsageError:
        got = str(error.strerror or error).lower()
        remedy = "choose a folder that may be written to, on a disk with room"
        return UsageError(self.stem, expected="files that can be written", got=got, remedy=remedy)


def _line(record: Any) -> bytes:
    return (json.dumps(record, allow_nan=False) + "\n").encode()


def _run(part: Path) -> str | None:
    """The run identified by a part; None if its first line is incomplete."""
    with part.open("rb") as file:
        first = file.readline()
    if not first.endswith(b"\n"):
        return None
    header = _record(part, 1, first)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(part, expected=FORMAT, got="something else", remedy="remove it and run again")
    return str(header.get("run", ""))


def _read(part: Path) -> tuple[int, list[tuple[str, Float64Array]]]:
    """Length in bytes of the intact beginning of the part, and its entries."""
    size, entries = 0, []
    with part.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # incomplete after an interruption
            if number > 1:
                entries.append(_entry(part, number, line))
            size += len(line)
    return size, entries


def _entry(part: Path, number: int, line: bytes) -> tuple[str, Float64Array]:
    record = _record(part, number, line)
    if isinstance(record, list) and len(record) == 2 and isinstance(record[0], str):
        try:
            return record[0], np.array(record[1], dtype=np.float64).reshape(-1, 3)
        except (TypeError, ValueError):
            pass
    raise DataError(part, expected="a video", got=f"line {number}: {line[:40]!r}", remedy="remove it and run again")


def _record(part: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        got = f"line {number}: {line[:40]!r}"
        raise DataError(part, expected="JSON in each line", got=got, remedy="remove it and run again") from error


def _snapped(frames: Float64Array) -> Float64Array:
    """Frames, where values that are integers up to rounding are made integers."""
    whole = np.round(frames)
    return np.where(np.abs(frames - whole) < 1e-9, whole, frames)
