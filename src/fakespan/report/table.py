"""The table of many scans, one row per segment: its columns and rows. `csv_table` and `parquet` write it.

A file without segments has one row whose segment columns are empty, so that every scanned file is in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fakespan.errors import UsageError
from fakespan.report.words import in_order, printable
from fakespan.types import Scan, Segment, Verdict

__all__ = ["COLUMNS", "Row", "other_table", "same_scan", "table_rows"]

Row = Mapping[str, str | float | int | bool | None]


class Column(NamedTuple):
    """The Arrow type of a column, and how CSV formats its numbers."""

    arrow: str
    digits: str = ""


COLUMNS = {
    "file": Column("string"),
    "duration_s": Column("float64", ".3f"),
    "is_fake": Column("bool"),
    "file_score": Column("float64", ".4f"),
    "threshold": Column("float64", "g"),
    "segment": Column("int64", "d"),
    "start_s": Column("float64", ".3f"),
    "end_s": Column("float64", ".3f"),
    "length_s": Column("float64", ".3f"),
    "score": Column("float64", ".4f"),
    "modality": Column("string"),
    "track": Column("int64", "d"),
    "model": Column("string"),
    "fakespan_version": Column("string"),
    "verdict_way": Column("string"),
    "verdict_score": Column("float64", ".4f"),
    "verdict_probability": Column("float64", ".4f"),
    "verdict_threshold": Column("float64", "g"),
    "sha256": Column("string"),
    "outcome": Column("string"),
    "reasons": Column("string"),
    "judged_sound": Column("float64", ".3f"),
    "judged_picture": Column("float64", ".3f"),
    "tier": Column("string"),
    "genuine_per_hour": Column("float64", ".2f"),
    "verdict_genuine_chance": Column("float64", ".4f"),
    "verdict_prior": Column("float64", "g"),
}


def table_rows(scan: Scan) -> list[Row]:
    """A row per segment by start time, at least one. Text is printable; a missing value is None."""
    about = {
        "file": printable(scan.file),
        "duration_s": scan.duration_s,
        "is_fake": scan.is_fake,
        "file_score": scan.score,
        "threshold": scan.threshold,
        "model": printable(scan.model),
        "fakespan_version": printable(scan.fakespan_version),
        **_verdict(scan.verdict),
        "sha256": None if scan.source is None else scan.source.sha256,
        "outcome": scan.outcome,
        "reasons": " ".join(scan.reasons),
        "judged_sound": None if scan.judged_share is None else scan.judged_share.sound,
        "judged_picture": None if scan.judged_share is None else scan.judged_share.picture,
    }
    segments = [_segment(number, segment) for number, segment in enumerate(in_order(scan), 1)]
    return [{name: {**about, **segment}.get(name) for name in COLUMNS} for segment in segments or [{}]]


def same_scan(row: Row, other: Row) -> bool:
    """Whether a row of a table is of the same file and content as another; older versions stated no SHA-256."""
    return row["file"] == other["file"] and (row.get("sha256") or other["sha256"]) == other["sha256"]


def other_table(path: Path, got: str) -> UsageError:
    """The error for a table that fakespan did not write."""
    return UsageError(
        path, expected="a table of fakespan to add to", got=got, remedy="choose another folder, or move the file away"
    )


def _verdict(verdict: Verdict | None) -> Row:
    if verdict is None:
        return {}
    return {
        "verdict_way": verdict.way,
        "verdict_score": verdict.score,
        "verdict_probability": verdict.probability,
        "verdict_threshold": verdict.threshold,
        "verdict_genuine_chance": verdict.genuine_chance,
        "verdict_prior": verdict.prior,
    }


def _segment(number: int, segment: Segment) -> Row:
    return {
        "segment": number,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "length_s": segment.length_s,
        "score": segment.score,
        "modality": segment.modality,
        "track": segment.track,
        "tier": segment.tier,
        "genuine_per_hour": segment.genuine_per_hour,
    }
