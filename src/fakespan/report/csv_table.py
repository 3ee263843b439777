"""Scans as a CSV table, one row per segment; a table on disk can take in further scans."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakespan.errors import UsageError
from fakespan.files import write_text
from fakespan.report.words import in_order, printable
from fakespan.types import Scan, Segment, Verdict

__all__ = ["CSV_COLUMNS", "csv_text", "merge_csv", "read_rows", "write_csv"]

CSV_COLUMNS = (
    "file",
    "duration_s",
    "is_fake",
    "file_score",
    "threshold",
    "segment",
    "start_s",
    "end_s",
    "length_s",
    "score",
    "modality",
    "track",
    "model",
    "fakespan_version",
    "verdict_way",
    "verdict_score",
    "verdict_probability",
    "verdict_threshold",
    "sha256",
)

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
    same = {(mine[0]["file"], sha256) for sha256 in ("", mine[0]["sha256"])}  # "": of an older version
    others = [row for row in read_rows(path) if (row["file"], row.get("sha256", "")) not in same]
    write_text(path, _text([*others, *mine]), [scan.file])


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table that fakespan wrote, possibly an older version; none if there is no such file.

    Raises:
        UsageError: the path cannot be read, or is another table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or ["file"]
            rows = list(reader)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        got = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise _other_table(path, got) from error
    if "file" not in columns or not set(columns) <= set(CSV_COLUMNS):
        unknown = sorted(set(columns) - set(CSV_COLUMNS))
        raise _other_table(path, f"columns {printable(', '.join(unknown or columns))[:80]}")
    if any(None in row or None in row.values() for row in rows):
        raise _other_table(path, "rows of different lengths")
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
    about = {
        "file": _cell(scan.file),
        "duration_s": f"{scan.duration_s:.3f}",
        "is_fake": str(scan.is_fake).lower(),
        "file_score": f"{scan.score:.4f}",
        "threshold": f"{scan.threshold:g}",
        "model": _cell(scan.model),
        "fakespan_version": _cell(scan.fakespan_version),
        **_csv_verdict(scan.verdict),
        "sha256": "" if scan.source is None else scan.source.sha256,
    }
    rows = [_csv_segment(number, segment) for number, segment in enumerate(in_order(scan), 1)]
    return [{**about, **row} for row in rows or [{}]]


def _other_table(path: Path, got: str) -> UsageError:
    return UsageError(
        path, expected="a table of fakespan to add to", got=got, remedy="choose another folder, or move the file away"
    )


def _csv_verdict(verdict: Verdict | None) -> dict[str, str]:
    if verdict is None:
        return {}
    return {
        "verdict_way": verdict.way,
        "verdict_score": f"{verdict.score:.4f}",
        "verdict_probability": "" if verdict.probability is None else f"{verdict.probability:.4f}",
        "verdict_threshold": f"{verdict.threshold:g}",
    }


def _csv_segment(number: int, segment: Segment) -> dict[str, str]:
    return {
        "segment": str(number),
        "start_s": f"{segment.start_s:.3f}",
        "end_s": f"{segment.end_s:.3f}",
        "length_s": f"{segment.length_s:.3f}",
        "score": f"{segment.score:.4f}",
        "modality": segment.modality,
        "track": "" if segment.track is None else str(segment.track),
    }


def _cell(text: str) -> str:
    """Prefix text that a spreadsheet would interpret as a formula with an apostrophe."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown
