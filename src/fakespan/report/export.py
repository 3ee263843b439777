"""Export scans to JSON, CSV and WebVTT, and read them back from JSON.

JSON, WebVTT and the page hold one scan each; CSV may hold several. Every field is described in docs/results.md.
"""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import math
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fakespan.errors import DataError
from fakespan.files import write_text
from fakespan.report.html import write_html
from fakespan.report.timeline import write_svg
from fakespan.report.words import in_order, printable
from fakespan.types import FORMAT, Scan, Segment, Verdict

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


def read_json(path: Path) -> Scan:
    """Read a scan written by `write_json`. Raises DataError if the file cannot be read or is not a scan."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if not isinstance(record, dict):
            raise ValueError("JSON whose top level is not an object")
        scan = Scan.from_dict(record)
        _check(scan, Scan, "scan")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            path,
            expected=f"a fakespan result ({FORMAT})",
            got=_reason(error),
            remedy="create one with: fakespan scan FILE --out DIR",
        ) from error
    return scan


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


def _refuse_constant(name: str) -> float:
    raise ValueError(f"JSON with the number {name}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "an unreadable file").lower()
    if isinstance(error, KeyError):
        return f"a record without the field {error}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "a file that is not JSON"
    return "JSON nested too deeply" if isinstance(error, RecursionError) else printable(str(error))


def _check(value: Any, hint: Any, where: str) -> None:
    """Raise ValueError if a record read from disk does not match the types that its class declares."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and dataclasses.is_dataclass(args[0]):
        hint = args[0] if value is not None else args[1]
    if dataclasses.is_dataclass(hint):
        for name, field_hint in get_type_hints(hint).items():
            _check(getattr(value, name), field_hint, f"{where}.{name}")
    elif origin is tuple:
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(hints) != len(value):
            raise ValueError(f"{len(value)} values in {where}, which has {len(hints)}")
        for item, item_hint in zip(value, hints, strict=True):
            _check(item, item_hint, where)
    elif not _fits(value, hint, origin, args):
        raise ValueError(f"{value!r:.60} in {where}")


def _fits(value: Any, hint: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if origin in (Union, types.UnionType):
        return any(_fits(value, a, get_origin(a), get_args(a)) for a in args)
    if origin is Literal:
        return value in args
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, int | float) and math.isfinite(value) if hint is float else isinstance(value, hint)
