"""Proposals in a Parquet file: columns file, score, start_s, end_s, one row per proposal, seconds, float32.

Contract: the rows of a video are in the order of its list; a video with an empty list has one row without numbers.
Files of other programs are read as well, with any number type and rows in any order. Needs pyarrow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.errors import DataError, MissingExtraError, UsageError
from fakespan.files import replacing
from fakespan.metrics.flat import Proposals

__all__ = ["read_parquet", "write_parquet"]

COLUMNS = ("file", "score", "start_s", "end_s")


def read_parquet(path: Path) -> Proposals:
    """Read a Parquet file.

    Raises:
        DataError: the file cannot be read, is damaged, or has other columns.
        MissingExtraError: pyarrow is missing.
    """
    pa, pq = _pyarrow()
    try:
        with pq.ParquetFile(path, read_dictionary=["file"]) as file:  # read_table has many more imports
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                got = f"none called {', '.join(missing)}"
                raise DataError(path, expected=f"the columns {', '.join(COLUMNS)}", got=got, remedy="rename them")
            table = file.read(columns=list(COLUMNS), use_threads=False)  # threads cost more than they save
        files = _as(table["file"].unify_dictionaries().combine_chunks(), pa.dictionary(pa.int32(), pa.string()))
        numbers = [_as(table[name], pa.float32()) for name in COLUMNS[1:]]
    except OSError as error:
        got = (os.strerror(error.errno) if error.errno else str(error)).lower()[:120]
        raise DataError(path, expected="a proposals file", got=got, remedy="check the path") from error
    except (pa.ArrowException, KeyError, ValueError) as error:
        got = str(error).partition("\n")[0][:120]
        raise DataError(path, expected="a Parquet file of proposals", got=got, remedy="write it again") from error
    if files.null_count:
        raise DataError(path, expected="a file name in each row", got=f"{files.null_count} without", remedy="add it")
    return _from_rows(files, numbers, path)


def _as(column: Any, kind: Any) -> Any:
    """Cast the column unless it has this type already: the first cast imports all of Arrow's compute functions."""
    return column if column.type == kind else column.cast(kind)


def _from_rows(files: Any, numbers: list[Any], path: Path) -> Proposals:
    names = tuple(files.dictionary.to_pylist())
    video = files.indices.to_numpy(zero_copy_only=False)
    columns = [column.to_numpy() for column in numbers]
    if any(column.null_count for column in numbers):
        nulls = np.stack([column.is_null().to_numpy() for column in numbers])
        if (nulls.any(axis=0) != nulls.all(axis=0)).any():
            raise DataError(path, expected="score, start_s and end_s", got="a row without one", remedy="write it again")
        columns, video = [column[~nulls[0]] for column in columns], video[~nulls[0]]
    if (video[1:] < video[:-1]).any():  # the rows of a video need not be adjacent
        order = np.argsort(video, kind="stable")
        columns, video = [column[order] for column in columns], video[order]
    indices = np.arange(len(names) + 1, dtype=video.dtype)  # of the same type: numpy copies all rows otherwise
    offsets = np.searchsorted(video, indices)
    return Proposals(names, offsets, *columns)


def write_parquet(path: Path, proposals: Proposals) -> None:
    """Write proposals as Parquet, atomically; an empty list becomes a row without numbers.

    Raises:
        UsageError: the file cannot be written.
        MissingExtraError: pyarrow is missing.
    """
    pa, pq = _pyarrow()
    counts = np.diff(proposals.offsets)
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), np.maximum(counts, 1))
    present = np.repeat(counts > 0, np.maximum(counts, 1))
    columns = [pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(proposals.names, pa.string()))]
    for values in (proposals.score, proposals.start_s, proposals.end_s):
        spread = np.zeros(len(rows), dtype=np.float32)
        spread[present] = values
        columns.append(pa.array(spread, mask=None if present.all() else ~present))
    try:
        options: dict[str, Any] = {
            "use_dictionary": ["file"],
            "compression": "none",
            "row_group_size": max(len(rows), 1),
        }  # floats hardly compress
        with replacing(path) as part:
            pq.write_table(pa.table(columns, names=list(COLUMNS)), part, **options)
    except OSError as error:
        got, remedy = str(error.strerror or error).lower(), "choose a folder that may be written to"
        raise UsageError(path, expected="a file that can be written", got=got, remedy=remedy) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415  a heavy optional library
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    return pyarrow, pyarrow.parquet
