"""Scans as a CSV table, one row per segment; a table on disk can take in further scans."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakespan.files import decoded, write_text
from fakespan.report.table import COLUMNS, other_table, same_scan, table_rows
from fakespan.report.words import printable
from fakespan.types import Scan

__all__ = ["CSV_COLUMNS", "csv_text", "merge_csv", "read_rows", "write_csv"]

CSV_COLUMNS = tuple(COLUMNS)

_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # full-width forms start formulas in East Asian Excel


def csv_text(scans: Scan | Sequence[Scan]) -> str:
    """One row per segment with `CSV_COLUMNS`; a file without segments has one row with empty segment columns."""
    return _text([row for scan in _as_list(scans) for row in _rows(scan)])


def write_csv(scans: Scan | Sequence[Scan], path: Path) -> None:
    """Write `csv_text` of one scan or of many. Raises UsageError if the path cannot be written."""
    write_text(path, csv_text(scans), [scan.file for scan in _as_list(scans)])


def merge_csv(scan: Scan, path: Path) -> None:
    """Add a scan to the table at `path`, in place of an earlier scan of the same file and content.

    The caller holds a lock if several processes write to the same table.

    Raises:
        UsageError: the path cannot be read or written, or is another table.
    """
    mine = _rows(scan)
    others = [row for row in read_rows(path) if not same_scan(row, mine[0])]
    write_text(path, _text([*others, *mine]), [scan.file])


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that fakespan wrote, possibly an older version; none if there is no such file.

    Raises:
        UsageError: the path cannot be read, or is another table.
    """
    try:
        reader = csv.DictReader(io.StringIO(decoded(path.read_bytes()), newline=""), strict=True)
        columns = reader.fieldnames or ["file"]
        rows = list(reader)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        got = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise other_table(path, got) from error
    if "file" not in columns or not set(columns) <= set(CSV_COLUMNS):
        unknown = sorted(set(columns) - set(CSV_COLUMNS))
        raise other_table(path, f"columns {printable(', '.join(unknown or columns))[:80]}")
    if any(None in row or None in row.values() for row in rows):
        raise other_table(path, "rows of different lengths")
    return rows


def _as_list(scans: Scan | Sequence[Scan]) -> Sequence[Scan]:
    return [scans] if isinstance(scans, Scan) else scans


def _text(rows: Sequence[Mapping[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _rows(scan: Scan) -> list[dict[str, str]]:
    """The rows of one scan, at least one."""
    return [{name: _cell(name, value) for name, value in row.items()} for row in table_rows(scan)]


def _cell(name: str, value: str | float | bool | None) -> str:
    """Text of a cell; text that a spreadsheet would interpret as a formula is prefixed with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_FORMULA_STARTS) else value
    return format(value, COLUMNS[name].digits)
