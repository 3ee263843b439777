"""Fast parser of the published proposals file, {file: [[score, begin, end], ...]}, to arrays.

Contract: a file in, `(names, rows of each, columns)` out, seconds, float32. The usual file (plain numbers, no deeper
nesting) is read in blocks, without creating a Python object per number: names are found by their quotes, since there
are none inside the lists, and the remaining brackets, commas and numbers are converted to arrays in other threads.
Everything else goes through the standard library's parser, which is slower, accepts NaN and Infinity, and reports
errors.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

import numpy as np

from fakespan.arrays import Float32Array, Float64Array
from fakespan.errors import DataError

__all__ = ["parse_proposals"]

Parsed = tuple[tuple[str, ...], list[int], Float32Array]

_BLOCK = 1 << 22
"""Bytes per block: intermediate results stay in the processor's cache."""
_CSV_BLOCK = 2 * _BLOCK  # one CSV block per piece: the threads are busy with other pieces
_THREADS = 2
_AHEAD = 2
"""Maximum number of queued pieces, which bounds the memory."""

_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*"')
_CONTROL = re.compile(rb"[\x00-\x1f]")
_SPACE = b" \t\r\n"
_NUMBER = b"0123456789.eE-"
_ROW = b"[,,],"
_AS_LINES = bytes.maketrans(b'{}":[]\t\r\n', b"     \n   ")
_BLANKS = [" " * n for n in range(9)]
_REMEDY = 'give {"file": [[score, begin, end], ...]}'


def parse_proposals(file: IO[bytes], subject: object, fps: float = 1.0) -> Parsed:
    """Names, number of rows of each, and score, start and end of all rows (3, P) in their order.

    Args:
        file: an open file, at its beginning.
        subject: the subject of error messages.
        fps: begin and end are divided by it.

    Raises:
        DataError: not JSON, another structure, or a duplicate name.
    """
    parsed = _usual(file, fps)
    if parsed is None:
        file.seek(0)
        parsed = _any(file.read(), subject, fps)
    names = parsed[0]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(subject, expected="each video once", got=f"{twice} more than once", remedy="merge its lists")
    return parsed


def _usual(file: IO[bytes], fps: float = 1.0) -> Parsed | None:
    """Parse the usual form; None for anything else."""
    try:
        read_lines = _line_reader()
        names, columns = [], [np.zeros((3, 0), dtype=np.float32)]
        frames: list[bytes] = []
        waiting: deque[Future[Float32Array]] = deque()
        with ThreadPoolExecutor(_THREADS) as threads:
            for text, is_last in _blocks(file):
                found, bare = _without_names(text)
                if is_last:
                    is_closed = bare.strip(_SPACE) in (b"}", b"{}")
                else:
                    lines = (bare if frames else b"," + bare).translate(_AS_LINES)
                    waiting.append(threads.submit(lambda lines: _seconds(read_lines(lines), fps), lines))
                names += found
                # without its numbers {"":[[,,],[,,]],"":[]} remains: a fixed structure in which rows are counted
                frames.append(bare.translate(None, _SPACE + _NUMBER))
                while waiting and (is_last or len(waiting) > _AHEAD):
                    columns.append(waiting.popleft().result())
    except (ImportError, ValueError):
        return None
    counts = _counts(b"".join(frames)) if is_closed else None
    rows = np.concatenate(columns, axis=1)
    return (tuple(names), counts, rows) if counts is not None and sum(counts) == rows.shape[1] else None


def _blocks(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Split the file into pieces that end with a ], and the rest."""
    rest = b""
    while block := file.read(_BLOCK):
        end = block.rfind(b"]") + 1
        if end:
            yield rest + block[:end], False
            rest = b""
        rest += block[end:]
    yield rest, True


def _without_names(text: bytes) -> tuple[list[str], bytes]:
    """The strings, and the text with one quote in place of each."""
    if b"\\" in text:
        names, bare = [str(json.loads(name)) for name in _STRING.findall(text)], _STRING.sub(b'"', text)
    else:
        parts = text.split(b'"')
        names, bare = [name.decode() for name in parts[1::2]], b'"'.join(parts[::2])
        if len(parts) % 2 == 0 or _CONTROL.search(b"".join(parts[1::2])):
            raise ValueError
    if not bare.isascii():
        raise ValueError
    return names, bare


def _counts(frame: bytes) -> list[int] | None:
    """Number of rows of each list; None for another structure of brackets and commas."""
    first, *lists = frame.split(b'":')
    if not lists:
        return [] if first == b"{}" else None
    counts = [max(len(rows) - 3, -1) // len(_ROW) + (len(rows) > 3) for rows in lists]
    ends = [b"],"] * (len(lists) - 1) + [b"]}"]
    is_usual = all(r == b"[" + (_ROW * n)[:-1] + end for r, n, end in zip(lists, counts, ends, strict=True))
    return counts if first == b"{" and is_usual else None


def _line_reader() -> Any:
    """Parse rows [a, b, c], [d, e, f] ... into (3, n) with pyarrow's CSV reader.

    The text is translated by _AS_LINES: each ] becomes a line end and each [ a space, so that a row becomes a line, and
    the comma before it an empty column.

    Raises (the returned function):
        ValueError: a value is not a number, or there is other text between the rows.
        ImportError: pyarrow is missing.
    """
    import pyarrow as pa  # noqa: PLC0415  a heavy optional library
    from pyarrow import csv  # noqa: PLC0415

    types = {"": pa.null(), "score": pa.float64(), "begin": pa.float64(), "end": pa.float64()}
    convert = csv.ConvertOptions(column_types=types, null_values=_BLANKS)
    parse = csv.ParseOptions(quote_char=False, invalid_row_handler=_skip_blank)
    read = csv.ReadOptions(column_names=list(types), block_size=_CSV_BLOCK, use_threads=False)

    def read_lines(text: bytes) -> list[Float64Array]:
        table = csv.read_csv(pa.BufferReader(text), read, parse, convert)
        return [column.to_numpy() for column in table.columns[1:]]  # a null becomes NaN

    return read_lines


def _skip_blank(row: Any) -> str:
    """Remove the remains of empty lists and of space between brackets."""
    return "error" if row.text.strip(" ,") else "skip"


def _seconds(columns: list[Any], fps: float) -> Float32Array:
    """Score, start and end (3, n); values beyond float32 become infinite, which `check` reports."""
    rows = np.empty((3, len(columns[0])), dtype=np.float32)
    with np.errstate(over="ignore"):
        for row, column, scale in zip(rows, columns, (1, fps, fps), strict=True):
            if not np.isfinite(column).all():
                raise ValueError
            np.divide(column, scale, out=row, casting="same_kind")
    return rows


def _any(text: bytes, subject: object, fps: float = 1.0) -> Parsed:
    """Parse with the standard library and report errors clearly."""
    try:
        entries = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        got = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise DataError(subject, expected="JSON", got=got, remedy="write the file again") from error
    if not isinstance(entries, _Pairs):
        raise DataError(subject, expected="an object of videos", got=type(entries).__name__, remedy=_REMEDY)
    tables = [_table(name, rows, subject) for name, rows in entries]
    together = np.concatenate(tables) if tables else np.zeros((0, 3))
    with np.errstate(over="ignore"):
        columns = (together / [1, fps, fps]).T.astype(np.float32)
    return tuple(name for name, _ in entries), [len(table) for table in tables], columns


class _Pairs(list[tuple[str, Any]]):
    """An object of a JSON file, including duplicate keys."""


def _table(name: str, rows: Any, subject: object) -> Float64Array:
    where = f"{subject}: {name}"
    if isinstance(rows, _Pairs) or not isinstance(rows, list):
        raise DataError(where, expected="a list of proposals", got=type(rows).__name__, remedy=_REMEDY)
    for k, row in enumerate(rows):
        if isinstance(row, _Pairs) or not isinstance(row, list) or len(row) != 3:
            got = f"{len(row)} values" if isinstance(row, list) else type(row).__name__
            raise DataError(where, expected="score, begin, end", got=f"{got} in entry {k + 1}", remedy=_REMEDY)
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in row):
            raise DataError(where, expected="numbers", got=f"{row!r:.60} in entry {k + 1}", remedy=_REMEDY)
    try:
        return np.array(rows, dtype=np.float64).reshape(-1, 3)
    except OverflowError as error:
        raise DataError(where, expected="numbers", got="a number beyond float64", remedy=_REMEDY) from error
