"""Every output format of a scan by name; JSON and WebVTT.

CSV and Parquet hold many scans, every other format one. docs/results.md describes the formats.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fakespan.files import write_text
from fakespan.report import csv_table, parquet
from fakespan.report.csv_table import CSV_COLUMNS, csv_text, merge_csv, write_csv
from fakespan.report.editing import write_edl, write_fcpxml, write_otio
from fakespan.report.html import write_html
from fakespan.report.labels import write_audacity, write_eaf, write_labelstudio, write_rttm, write_textgrid
from fakespan.report.outcomes import outcome
from fakespan.report.parquet import write_parquet
from fakespan.report.reading import read_json
from fakespan.report.table import Row
from fakespan.report.timeline import write_svg
from fakespan.report.words import in_order, printable, span_ms, suspicion, unjudged
from fakespan.types import Scan

__all__ = [
    "CSV_COLUMNS",
    "SUFFIXES",
    "TABLES",
    "WRITERS",
    "csv_text",
    "json_text",
    "merge_csv",
    "read_json",
    "vtt_text",
    "write_csv",
    "write_json",
    "write_vtt",
]


class Table(NamedTuple):
    """What a format of many scans can do with a file: read its rows, or take in a scan."""

    read_rows: Callable[[Path], Sequence[Row]]
    merge: Callable[[Scan, Path], None]


def json_text(scan: Scan) -> str:
    """One scan as a JSON object of format `types.FORMAT`, in ASCII so that undecodable file names are preserved."""
    return json.dumps(scan.to_dict(), allow_nan=False, separators=(",", ":")) + "\n"


def vtt_text(scan: Scan) -> str:
    """The suspected segments as captions at the top of the frame, so that the mouth stays visible."""
    about = f"fakespan {_vtt(scan.fakespan_version)}: suspected segments of {_vtt(scan.file)}"
    blocks = ["WEBVTT", f"NOTE\n{about}" + (f"\nSHA-256 {scan.source.sha256}" if scan.source else "")]
    blocks.append("\n".join(["NOTE", _vtt(outcome(scan)), *(_vtt(unjudged(part)) for part in scan.not_judged)]))
    for number, segment in enumerate(in_order(scan), 1):
        start_ms, end_ms = span_ms(segment)
        text = _vtt(suspicion(segment))
        blocks.append(f"{number}\n{_vtt_time(start_ms)} --> {_vtt_time(end_ms)} line:0\n{text}")
    return "\n\n".join(blocks) + "\n"


def write_json(scan: Scan, path: Path) -> None:
    """Write `json_text`. Raises UsageError if the path cannot be written."""
    write_text(path, json_text(scan), [scan.file])


def write_vtt(scan: Scan, path: Path) -> None:
    """Write `vtt_text`. Raises UsageError if the path cannot be written."""
    write_text(path, vtt_text(scan), [scan.file])


WRITERS: dict[str, Callable[[Scan, Path], None]] = {
    "json": write_json,
    "csv": write_csv,
    "vtt": write_vtt,
    "html": write_html,
    "svg": write_svg,
    "parquet": write_parquet,
    "otio": write_otio,
    "edl": write_edl,
    "fcpxml": write_fcpxml,
    "labelstudio": write_labelstudio,
    "textgrid": write_textgrid,
    "eaf": write_eaf,
    "rttm": write_rttm,
    "audacity": write_audacity,
}
"""Writer of each format for one scan."""

TABLES = {"csv": Table(csv_table.read_rows, merge_csv), "parquet": Table(parquet.read_rows, parquet.merge_parquet)}
"""Formats that hold many scans in one file."""

_OTHER_SUFFIXES = {"audacity": "labels.txt", "labelstudio": "labelstudio.json", "textgrid": "TextGrid"}
SUFFIXES = {name: _OTHER_SUFFIXES.get(name, name) for name in WRITERS if name not in TABLES}
"""File suffix of each format that holds one scan."""


def _vtt(text: str) -> str:
    return html.escape(printable(text), quote=False)  # escapes -->, which is syntax in WebVTT


def _vtt_time(time_ms: int) -> str:
    seconds, rest = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
