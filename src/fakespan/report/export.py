"""Export scans to JSON, CSV and WebVTT.

JSON, WebVTT and the page hold one scan each; CSV may hold several. Every field is described in docs/results.md.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path

from fakespan.files import write_text
from fakespan.report.csv_table import CSV_COLUMNS, csv_text, merge_csv, write_csv
from fakespan.report.html import write_html
from fakespan.report.reading import read_json
from fakespan.report.timeline import write_svg
from fakespan.report.words import in_order, printable
from fakespan.types import Scan

__all__ = [
    "CSV_COLUMNS",
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


def json_text(scan: Scan) -> str:
    """One scan as a JSON object of format `types.FORMAT`, in ASCII so that undecodable file names are preserved."""
    return json.dumps(scan.to_dict(), allow_nan=False, separators=(",", ":")) + "\n"


def vtt_text(scan: Scan) -> str:
    """The suspected segments as captions at the top of the frame, so that the mouth stays visible."""
    about = f"fakespan {_vtt(scan.fakespan_version)}: suspected segments of {_vtt(scan.file)}"
    blocks = ["WEBVTT", f"NOTE\n{about}" + (f"\nSHA-256 {scan.source.sha256}" if scan.source else "")]
    for number, segment in enumerate(in_order(scan), 1):
        start_ms = round(segment.start_s * 1000)
        end_ms = max(round(segment.end_s * 1000), start_ms + 1)  # a cue must have a length
        what = {"audio": "sound", "visual": "picture", "both": "sound and picture"}[segment.modality]
        text = _vtt(f"suspected: {what} ({segment.score:.2f})")
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
}
"""Writer of each format; the key is also the file suffix."""


def _vtt(text: str) -> str:
    return html.escape(printable(text), quote=False)  # escapes -->, which is syntax in WebVTT


def _vtt_time(time_ms: int) -> str:
    seconds, rest = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
