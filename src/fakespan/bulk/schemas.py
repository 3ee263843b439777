"""Columns of the four tables that a run writes, and the rows of an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakespan.bulk.outcome import Outcome
from fakespan.errors import MissingExtraError
from fakespan.report.table import COLUMNS, table_rows
from fakespan.report.words import printable
from fakespan.types import Scan

__all__ = ["TABLES", "arrow", "rows", "schema"]

Row = dict[str, Any]

_OF_SEGMENT = ("segment", "start_s", "end_s", "length_s", "score", "modality", "track", "tier", "genuine_per_hour")
_OF_MEDIA = {"container": "string", "width": "int64", "height": "int64", "frame_rate": "string",
             "video_codec": "string", "audio_codec": "string"}  # fmt: skip

TABLES = {
    "files": {"file": "string", "version": "string", "sha256": "string", "state": "string", "error": "string",
              "work_s": "float64"},
    "scans": {name: column.arrow for name, column in COLUMNS.items() if name not in _OF_SEGMENT}
    | _OF_MEDIA | {"n_segments": "int64", "notes": "list"},
    "segments": {name: COLUMNS[name].arrow for name in ("file", "sha256", *_OF_SEGMENT)},
    "curves": {"file": "string", "sha256": "string", "modality": "string", "track": "int64", "start_s": "float64",
               "fps": "float64", "values": "float list"},
}  # fmt: skip
"""Tables, their columns, and the Arrow types of these."""


def rows(outcome: Outcome) -> Iterator[tuple[str, Row]]:
    """Name of a table and a row for it, for each row of an outcome."""
    name = printable(outcome.item.name)
    about = {"file": name, "sha256": outcome.sha256 or None}
    error = None if outcome.error is None else printable(str(outcome.error))
    more = {"version": outcome.item.version, "state": outcome.state, "error": error, "work_s": outcome.work_s}
    yield "files", {**about, **more}
    if outcome.scan is not None:
        yield from ((table, {**row, **about}) for table, row in _of_scan(outcome.scan))


def schema(table: str) -> Any:
    """The `pyarrow.Schema` of a table."""
    lists = {"list": arrow().list_(arrow().string()), "float list": arrow().list_(arrow().float32())}
    kinds = {
        name: lists[kind] if kind in lists else arrow().type_for_alias(kind) for name, kind in TABLES[table].items()
    }
    return arrow().schema(list(kinds.items()))


def arrow() -> Any:
    """The module pyarrow. Raises MissingExtraError if it is not installed."""
    try:
        import pyarrow  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise MissingExtraError("pyarrow", "bulk") from error
    return pyarrow


def _of_scan(scan: Scan) -> Iterator[tuple[str, Row]]:
    found = [dict(row) for row in table_rows(scan)]
    media = {name: getattr(scan.media, name) for name in _OF_MEDIA}
    media = {name: printable(value) if isinstance(value, str) else value for name, value in media.items()}
    yield "scans", {**found[0], **media, "n_segments": len(scan.segments), "notes": [printable(n) for n in scan.notes]}
    yield from (("segments", row) for row in found if row["segment"] is not None)
    for curve in scan.curves:
        facts = {"modality": curve.modality, "track": curve.track, "start_s": curve.start_s, "fps": curve.fps}
        yield "curves", {**facts, "values": list(curve.values)}
