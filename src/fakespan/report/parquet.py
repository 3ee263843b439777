"""Scans as a Parquet table, one row per segment; a table on disk can take in further scans. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakespan.files import writing
from fakespan.report.libraries import library
from fakespan.report.table import COLUMNS, Row, other_table, same_scan, table_rows
from fakespan.report.words import printable
from fakespan.types import Scan

__all__ = ["arrow_schema", "merge_parquet", "read_rows", "write_parquet"]


def write_parquet(scan: Scan, path: Path) -> None:
    """Write a table of one scan.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: pyarrow is not installed.
    """
    _write(table_rows(scan), path, scan.file)


def merge_parquet(scan: Scan, path: Path) -> None:
    """Add a scan to the table at `path`, in place of an earlier scan of the same file and content.

    The caller holds a lock if several processes write to the same table.

    Raises:
        UsageError: the path cannot be read or written, or is another table.
        MissingExtraError: pyarrow is not installed.
    """
    mine = table_rows(scan)
    others = [row for row in read_rows(path) if not same_scan(row, mine[0])]
    _write([*others, *mine], path, scan.file)


def read_rows(path: Path) -> list[Row]:
    """The rows of a table that fakespan wrote, possibly an older version; none if there is no such file.

    Raises:
        UsageError: the path cannot be read, or is another table.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = library("pyarrow.parquet")
    try:
        table = parquet.ParquetFile(path).read()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:  # pyarrow's errors are of these
        raise other_table(path, printable(str(error).splitlines()[0])[:80]) from error
    known = arrow_schema()
    unknown = [f for f in table.schema if f.name not in COLUMNS or not f.type.equals(known.field(f.name).type)]
    if unknown or "file" not in table.column_names:
        raise other_table(path, f"columns {printable(', '.join(f.name for f in unknown or table.schema))[:80]}")
    rows: list[Row] = table.to_pylist()
    return rows


def arrow_schema() -> Any:
    """The `pyarrow.Schema` of the rows. Raises MissingExtraError if pyarrow is not installed."""
    arrow = library("pyarrow")
    return arrow.schema([(name, arrow.type_for_alias(column.arrow)) for name, column in COLUMNS.items()])


def _write(rows: Sequence[Row], path: Path, source: str) -> None:
    table = library("pyarrow").Table.from_pylist(rows, schema=arrow_schema())
    with writing(path, [source]) as part:
        library("pyarrow.parquet").write_table(table, part)
