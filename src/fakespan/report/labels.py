"""Segments for annotation tools: Label Studio, Praat, ELAN, RTTM, Audacity. docs/results.md shows how to open each.

Times are rounded to the millisecond, and every label lasts at least one. Tiers of Praat and ELAN hold no overlapping
labels: a segment that would overlap goes to a further tier of the same name.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fakespan.files import write_text, writing
from fakespan.report.frames import Marks
from fakespan.report.libraries import library
from fakespan.report.outcomes import outcome, outcome_fields
from fakespan.report.words import content, file_url, in_order, printable, span_ms, suspicion
from fakespan.types import Scan, Segment

__all__ = ["write_audacity", "write_eaf", "write_labelstudio", "write_rttm", "write_textgrid"]

_TIERS = {"audio": "sound", "visual": "picture", "both": "sound and picture"}


def write_labelstudio(scan: Scan, path: Path) -> None:
    """One task with its predictions; the labelling configuration that it fits is in docs/results.md.

    Frames of Label Studio count from 1, and the last frame of a range is within it.

    Raises:
        UsageError: the path cannot be written.
    """
    marks = Marks.of(scan)
    regions: list[dict[str, Any]] = []
    for mark in marks:
        segment = mark.segment
        if segment.modality != "audio":
            frames = {"start": mark.first + 1, "end": mark.end}
            value: dict[str, Any] = {"ranges": [frames], "timelinelabels": ["suspected"]}
            about = {"from_name": "picture", "to_name": "video", "type": "timelinelabels"}
            regions.append({"id": f"picture-{mark.number}", **about, "score": segment.score, "value": value})
        if segment.modality != "visual":
            value = {"start": segment.start_s, "end": segment.end_s, "channel": 0, "labels": ["suspected"]}
            about = {"from_name": "sound", "to_name": "audio", "type": "labels"}
            regions.append({"id": f"sound-{mark.number}", **about, "score": segment.score, "value": value})
    version = printable(f"fakespan {scan.fakespan_version}, {Path(scan.model).name}")
    task = {
        "data": {"media": printable(scan.file), "fps": float(marks.rate), "content": content(scan)}
        | outcome_fields(scan),
        "predictions": [{"model_version": version, "score": scan.score, "result": regions}],
    }
    write_text(path, json.dumps([task], indent=1) + "\n", [scan.file])


def write_textgrid(scan: Scan, path: Path) -> None:
    """A Praat TextGrid in the long text format: an interval tier per modality, and one that says the outcome.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: praatio is not installed.
    """
    textgrid = library("praatio.textgrid")
    tiers = list(_tiers(scan))
    ends_ms = [end_ms for _, labels in tiers for _, end_ms, _ in labels]
    end_s = scan.media.starts_at_s + scan.duration_s
    length_s = max([round(end_s * 1000), *ends_ms, 1]) / 1000
    grid = textgrid.Textgrid(0, length_s)
    for name, labels in tiers:
        intervals = [(start_ms / 1000, end_ms / 1000, text) for start_ms, end_ms, text in labels]
        grid.addTier(textgrid.IntervalTier(name, intervals, 0, length_s))
    grid.addTier(textgrid.IntervalTier("outcome", [(0, length_s, outcome(scan))], 0, length_s))
    with writing(path, [scan.file]) as part:
        grid.save(str(part), format="long_textgrid", includeBlankSpaces=True)


def write_eaf(scan: Scan, path: Path) -> None:
    """An ELAN document with the file linked and a tier per modality.

    Raises:
        UsageError: the path cannot be written.
        MissingExtraError: pympi-ling is not installed.
    """
    document = library("pympi").Eaf(author="fakespan")
    document.remove_tier("default")
    kind = "video/mp4" if scan.media.has_video else "audio/x-wav"
    document.add_linked_file(file_url(scan.file), mimetype=kind)
    document.add_property("content", content(scan))
    document.add_property("outcome", outcome(scan))
    for name, labels in _tiers(scan):
        document.add_tier(name)
        for start_ms, end_ms, text in labels:
            document.add_annotation(name, start_ms, end_ms, text)
    with writing(path, [scan.file]) as part, tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.eaf"  # pympi keeps a copy of a file that is there already, as `part` is
        document.to_file(str(made))
        part.write_bytes(made.read_bytes())


def write_rttm(scan: Scan, path: Path) -> None:
    """A line per segment, its modality in the place of the speaker and its score as the confidence.

    Raises:
        UsageError: the path cannot be written.
    """
    name = "_".join(printable(Path(scan.file).stem).split()) or "file"
    lines = []
    for segment in in_order(scan):
        start_ms, end_ms = span_ms(segment)
        times = f"{start_ms / 1000:.3f} {(end_ms - start_ms) / 1000:.3f}"
        lines.append(f"SPEAKER {name} 1 {times} <NA> <NA> {segment.modality} {segment.score:.4f} <NA>\n")
    write_text(path, "".join(lines), [scan.file])


def write_audacity(scan: Scan, path: Path) -> None:
    """A label track: start and end in seconds and a text, separated by tabs.

    Raises:
        UsageError: the path cannot be written.
    """
    spans = [(*span_ms(segment), suspicion(segment)) for segment in in_order(scan)]
    lines = [f"{start_ms / 1000:.6f}\t{end_ms / 1000:.6f}\t{text}\n" for start_ms, end_ms, text in spans]
    write_text(path, "".join(lines), [scan.file])


def _tiers(scan: Scan) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Names of the tiers and their labels (start_ms, end_ms, text); a tier of each modality, even if it is empty."""
    for modality, name in _TIERS.items():
        segments = [segment for segment in in_order(scan) if segment.modality == modality]
        for number, lane in enumerate(_lanes(segments) or [[]], 1):
            yield name if number == 1 else f"{name} {number}", lane


def _lanes(segments: Sequence[Segment]) -> list[list[tuple[int, int, str]]]:
    """The labels in as many lists as it takes for none to overlap another in its list."""
    lanes: list[list[tuple[int, int, str]]] = []
    for segment in segments:
        start_ms, end_ms = span_ms(segment)
        free = next((lane for lane in lanes if lane[-1][1] <= start_ms), None)
        if free is None:
            lanes.append(free := [])
        free.append((start_ms, end_ms, suspicion(segment)))
    return lanes
