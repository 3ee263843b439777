"""Export scans to JSON, CSV and WebVTT.

JSON, WebVTT and the page hold one scan each; CSV may hold several. Every field is described in docs/results.md.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from fakespan.files import write_text
from fakespan.report.html import write_html
from fakespan.report.reading import read_json
from fakespan.report.timeline import write_svg
from fakespan.report.words import in_order, printable
from fakespan.types import Scan, Segment, Verdict

__all__ = [
    "CSV_COLUMNS",
    "WRITERS",
    "csv_text",
    "json_text",
    "output_paths",
    "read_json",
    "vtt_text",
    "write_csv",
    "write_json",
    "write_vtt",
]

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


def json_text(scan: Scan) -> str:
    """One scan as a JSON object of format `types.FORMAT`, in ASCII so that undecodable file names are preserved."""
    return json.dumps(scan.to_dict(), allow_nan=False, separators=(",", ":")) + "\n"


def csv_text(scans: Scan | Sequence[Scan]) -> str:
    """One row per segment with `CSV_COLUMNS`; a file without segments has one row with empty segment columns."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for scan in _as_list(scans):
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
        writer.writerows({**about, **row} for row in rows or [{}])
    return buffer.getvalue()


def vtt_text(scan: Scan) -> str:
    """The suspected segments as captions at the top of the frame, so that the mouth stays visible."""
    blocks = ["WEBVTT", f"NOTE\nfakespan {_vtt(scan.fakespan_version)}: suspected segments of {_vtt(scan.file)}"]
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


def write_csv(scans: Scan | Sequence[Scan], path: Path) -> None:
    """Write `csv_text` of one scan or of many. Raises UsageError if the path cannot be written."""
    write_text(path, csv_text(scans), [scan.file for scan in _as_list(scans)])


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


def output_paths(files: Sequence[str], folder: Path, suffix: str) -> list[Path]:
    """Output path for each file, named after the file; files with the same name are numbered.

    >>> [path.name for path in output_paths(["a/clip.mp4", "b/clip.mov"], Path("out"), "json")]
    ['clip.json', 'clip-2.json']
    """
    taken: set[str] = set()
    paths = []
    for file in files:
        stem, number = Path(file).stem, 1
        name = stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        paths.append(Path(folder) / f"{name}.{suffix}")
    return paths


def _as_list(scans: Scan | Sequence[Scan]) -> Sequence[Scan]:
    return [scans] if isinstance(scans, Scan) else scans


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


def _vtt(text: str) -> str:
    return html.escape(printable(text), quote=False)  # escapes -->, which is syntax in WebVTT


def _vtt_time(time_ms: int) -> str:
    seconds, rest = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
