"""The published proposals file: {file: [[score, begin, end], ...]}, as arrays.

Contract: text in, `(names, rows of each, table)` out. What the numbers mean is not known here. The usual file (plain
numbers, nothing nested deeper) is read without making a Python object for every number: names are found by their
quotes, since there are none inside the lists, and what remains is brackets, commas and numbers. Whatever looks
otherwise goes through the standard library's parser, which is slower, knows NaN and Infinity, and says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakespan.errors import DataError

__all__ = ["parse_proposals"]

Parsed = tuple[tuple[str, ...], list[int], NDArray[np.float64]]

_KEY = re.compile(rb'\s*("(?:[^"\\\x00-\x1f]|\\.)*")\s*:\s*(?=\[)')
_SPACE = b" \t\r\n"
_NUMBER = b"0123456789.eE-"
_ROW = b"[,,],"
_AS_LINES = bytes.maketrans(b"[]\t\r\n", b" \n   ")
_REMEDY = 'give {"file": [[score, begin, end], ...]}'


def parse_proposals(text: bytes, subject: object) -> Parsed:
    """Names, how many rows each has, and all rows (P, 3) in their order.

    Args:
        text: the file.
        subject: what an error names.

    Raises:
        DataError: no JSON, another shape, or a name that comes twice.
    """
    parsed = _usual(text) or _any(text, subject)
    names = parsed[0]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataError(subject, expected="each video once", got=f"{twice} more than once", remedy="merge its lists")
    return parsed


def _usual(text: bytes) -> Parsed | None:
    """Reads the usual form; None for anything else."""
    pieces = _pieces(text)
    if pieces is None:
        return None
    names, lists = pieces
    # of a list without its numbers, [[,,],[,,]] remains: one shape to compare with, and the count of its rows
    frames = [piece.translate(None, _SPACE + _NUMBER) for piece in lists]
    counts = [max(len(frame) - 2, -1) // len(_ROW) + (len(frame) > 2) for frame in frames]
    if any(frame != b"[" + (_ROW * n)[:-1] + b"]" for frame, n in zip(frames, counts, strict=True)):
        return None
    rows = b",".join(piece[1:-1].strip(_SPACE) for piece, n in zip(lists, counts, strict=True) if n)
    values = _numbers(rows, 3 * sum(counts))
    return None if values is None else (names, counts, values)


def _pieces(text: bytes) -> tuple[tuple[str, ...], list[bytes]] | None:
    """The names, and the text of each one's list; None where the file looks otherwise."""
    body = text.strip(_SPACE)
    if not (body.startswith(b"{") and body.endswith(b"}")):
        return None
    names, lists, place = [], [], 1
    while found := _KEY.match(body, place):
        place = body.find(b'"', found.end())
        is_last = place < 0
        place = len(body) - 1 if is_last else place
        piece = body[found.end() : place].rstrip(_SPACE)
        if is_last == piece.endswith(b","):  # a comma stands between two entries, and nowhere else
            return None
        names.append(found[1])
        lists.append(piece if is_last else piece[:-1].rstrip(_SPACE))
    if body[place:-1].strip(_SPACE):
        return None
    try:
        return tuple(_name(name) for name in names), lists
    except ValueError:
        return None


def _name(quoted: bytes) -> str:
    return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode()


def _numbers(text: bytes, n: int) -> NDArray[np.float64] | None:
    """The n numbers, (n / 3, 3), of rows [a, b, c], [d, e, f] ..., by pyarrow; None where one is no number.

    With each ] a line's end and each [ a space, a row is a line, and the comma that stood before it an empty column.
    """
    if n == 0:
        return np.zeros((0, 3))
    try:
        import pyarrow as pa  # noqa: PLC0415  a heavy optional library
        from pyarrow import csv  # noqa: PLC0415
    except ImportError:
        return None
    types = dict.fromkeys(("score", "begin", "end"), pa.float64())
    read = csv.ReadOptions(column_names=["", *types])
    convert = csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])
    lines = pa.BufferReader(b"," + text.translate(_AS_LINES))
    try:
        table = csv.read_csv(lines, read, csv.ParseOptions(quote_char=False), convert)
    except (pa.ArrowException, ValueError):
        return None
    values = np.stack([table[name].to_numpy() for name in types])
    return values.T if values.size == n and np.isfinite(values).all() else None


def _any(text: bytes, subject: object) -> Parsed:
    """The standard library's way, with a clear word about what is wrong."""
    try:
        entries = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        got = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise DataError(subject, expected="JSON", got=got, remedy="write the file anew") from error
    if not isinstance(entries, _Pairs):
        raise DataError(subject, expected="an object of videos", got=type(entries).__name__, remedy=_REMEDY)
    tables = [_table(name, rows, subject) for name, rows in entries]
    together = np.concatenate(tables) if tables else np.zeros((0, 3))
    return tuple(name for name, _ in entries), [len(table) for table in tables], together


class _Pairs(list[tuple[str, Any]]):
    """An object of a JSON file, with its doubles."""


def _table(name: str, rows: Any, subject: object) -> NDArray[np.float64]:
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
        raise DataError(where, expected="numbers", got="one too large to hold", remedy=_REMEDY) from error
