"""The timeline of a scan as SVG: a row of segments per modality, frame scores as curves, threshold, ticks.

It has two parts: a gutter with the row names, and a plot whose positions are relative to its width, so that the page
can stretch the plot (zoom, narrow windows) without redrawing it. Curves are max-pooled first, so that a peak of one
frame stays visible in a file of any length. Text is escaped here; no style attribute is used (the page forbids them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from fakespan.files import write_text
from fakespan.report import words
from fakespan.report.axis import Axis, axis_of
from fakespan.types import Curve, FaceTrack, Scan, Segment, TimeRange, Unjudged

__all__ = ["MAX_POINTS", "ZOOMS", "gutter", "hatched", "plot", "pool", "svg", "write_svg", "zooms"]

MAX_POINTS = 2000
"""Maximum number of points of a curve."""
ZOOMS = (1, 4, 16, 64)
"""Zoom levels with their own ticks."""

_STANDALONE_STYLE = """
text{font:12px system-ui,sans-serif;fill:#44505c}.title{font-weight:600;font-size:14px;fill:#1b2229}
.paper{fill:#fff}.lane,.chart{fill:#eef1f4}.absent{font-size:11px}.tick line{stroke:#c3cad1}
.segment.audio{fill:#0b67b2;stroke:#0b67b2}.segment.visual{fill:#c2540a;stroke:#c2540a}
.segment.both{fill:#7d3c98;stroke:#7d3c98}.face{fill:#788591}.curve{fill:none;stroke-width:1.25}
.curve.audio{stroke:#0b67b2}.curve.visual{stroke:#c2540a}.curve.fused{stroke:#7d3c98;stroke-opacity:.7;fill:#7d3c98;fill-opacity:.18}
.threshold{stroke:#44505c;stroke-dasharray:5 4}.hatch{stroke:#44505c}
@media (prefers-color-scheme:dark){text{fill:#b4bec8}.title{fill:#eef1f4}.paper{fill:#14191e}.lane,.chart{fill:#222a31}
.tick line{stroke:#46525d}.segment.audio{fill:#5cb0f2;stroke:#5cb0f2}.segment.visual{fill:#f2984f;stroke:#f2984f}
.segment.both{fill:#c79be0;stroke:#c79be0}.curve.audio{stroke:#5cb0f2}.curve.visual{stroke:#f2984f}
.curve.fused{stroke:#c79be0;fill:#c79be0}.threshold,.hatch{stroke:#b4bec8}}
"""

_TITLE_COLUMN = 9.0  # pixels that a character of the title takes

_HATCH = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" y2="6" stroke-width="3"/></pattern>'
)


@dataclass(frozen=True)
class _Row:
    key: str  # a modality, "faces" or "scores"
    name: str
    top: int  # pixels
    height: int


def svg(scan: Scan, width: int = 960) -> str:
    """The timeline as a standalone SVG document, for instance for slides; width in pixels."""
    height = _height(scan) + 44
    label = f"{words.verdict(scan)}: {words.found(scan)}"
    room = int((width - 24) / _TITLE_COLUMN) - len(label) - 2
    name = _shortened(words.printable(Path(scan.file).name), max(room, 12))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(label)}"><style>{_STANDALONE_STYLE}</style>'
        f'<rect class="paper" width="{width}" height="{height}"/>'
        f"{f'<metadata>SHA-256 {escape(scan.source.sha256)}</metadata>' if scan.source else ''}"
        f'<text class="title" x="12" y="24">{escape(name)}: {escape(label)}</text>'
        f'<svg x="12" y="38" width="64">{_gutter_marks(scan)}</svg>'
        f'<svg x="76" y="38" width="{width - 92}">{_plot_marks(scan)}</svg></svg>\n'
    )


def _shortened(name: str, n_most: int) -> str:
    """The beginning of a name, so that what follows has room; East Asian characters take two columns.

    >>> _shortened("interview.mp4", 20), _shortened("interview.mp4", 12)
    ('interview.mp4', 'interview...')
    """
    return name if cell_len(name) <= n_most else set_cell_size(name, n_most - 3).rstrip() + "..."


def write_svg(scan: Scan, path: Path) -> None:
    """Write `svg`. Raises UsageError if the path cannot be written."""
    write_text(path, svg(scan), [scan.file])


def gutter(scan: Scan) -> str:
    """The row names, with the height of the plot."""
    return f'<svg class="gutter" width="64" height="{_height(scan)}" aria-hidden="true">{_gutter_marks(scan)}</svg>'


def plot(scan: Scan) -> str:
    """Rows, curves and ticks, as wide as the container; `data-segment` is the index of a segment, from 0."""
    label = (
        f"Timeline of {words.timecode(axis_of(scan).length_s)}: {words.found(scan)}. The table lists the same segments."
    )
    return (
        f'<svg class="plot" width="100%" height="{_height(scan)}" role="img" aria-label="{escape(label)}">'
        f"{_plot_marks(scan)}</svg>"
    )


def pool(curve: Curve, span_s: float, n_most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Points (time in s, score) of a curve: the largest score of each bin of span_s / n_most seconds.

    Each peak keeps its own time; values are clamped to 0..1.
    """
    size = max(1, math.ceil(span_s * curve.fps / n_most))
    points = []
    for first in range(0, len(curve.values), size):
        values = curve.values[first : first + size]
        peak = max(range(len(values)), key=values.__getitem__)
        points.append((curve.start_s + (first + peak) / curve.fps, min(max(values[peak], 0.0), 1.0)))
    return points


def hatched(scan: Scan) -> list[Unjudged]:
    """The stretches on the axis that were not judged."""
    axis = axis_of(scan)
    return [part for part in scan.not_judged if axis.place(part) is not None]


def _rows(scan: Scan) -> list[_Row]:
    sizes = [(key, name, 22) for key, name in words.MODALITIES.items()]
    if _faces(scan):
        sizes.append(("faces", "faces", 14))
    if scan.curves:
        sizes.append(("scores", "scores", 96))
    rows, top = [], 0
    for key, name, height in sizes:
        rows.append(_Row(key, name, top, height))
        top += height + 6
    return rows


def _height(scan: Scan) -> int:
    last = _rows(scan)[-1]
    return last.top + last.height + 26


def _faces(scan: Scan) -> list[FaceTrack]:
    return [track for track in scan.tracks if not track.is_whole]


def _gutter_marks(scan: Scan) -> str:
    marks = []
    for row in _rows(scan):
        middle = row.top + (16 if row.key == "scores" else row.height / 2 + 4)
        marks.append(f'<text x="0" y="{middle:g}">{row.name}</text>')
        if row.key == "scores":
            for value in (0, 1):
                y = row.top + row.height - value * row.height + (10 if value else 0)
                marks.append(f'<text class="level" x="58" y="{y}" text-anchor="end">{value}</text>')
    return "".join(marks)


def _plot_marks(scan: Scan) -> str:
    rows = _rows(scan)
    marks = [_row_ground(scan, row) for row in rows]
    bottom = rows[-1].top + rows[-1].height
    marks += [_tick_set(scan, zoom, bottom) for zoom in zooms(axis_of(scan).length_s)]
    unjudged = hatched(scan)
    marks += [_HATCH] if unjudged else []
    marks += [_unjudged(scan, part, 0, bottom) for part in unjudged if part.modality == "both"]
    for row in rows:
        own = [part for part in unjudged if part.modality == row.key != "both"]
        marks += [_unjudged(scan, part, row.top, row.height) for part in own]
        if row.key == "scores":
            marks.append(_chart(scan, row))
        elif row.key == "faces":
            marks += [_face(scan, track, k, row) for k, track in enumerate(_faces(scan))]
        else:
            marks += [_segment(scan, s, k, row) for k, s in enumerate(words.in_order(scan)) if s.modality == row.key]
    return "".join(marks)


def _row_ground(scan: Scan, row: _Row) -> str:
    kind = "chart" if row.key == "scores" else "lane"
    ground = f'<rect class="{kind}" y="{row.top}" width="100%" height="{row.height}" rx="3"/>'
    absent = words.absent(scan, row.key) if row.key in words.MODALITIES else ""
    word = f'<text class="absent" x="8" y="{row.top + 15}">{absent}</text>' if absent else ""
    return ground + word


def _segment(scan: Scan, segment: Segment, number: int, row: _Row) -> str:
    title = (
        f"Suspected segment {number + 1}: {row.name}, {words.timecode(segment.start_s)} to "
        f"{words.timecode(segment.end_s)}, score {segment.score:.2f}"
    )
    return (
        f'<rect class="segment {row.key}" data-segment="{number}" {_place(scan, segment)} y="{row.top + 1}" '
        f'height="{row.height - 2}" rx="2" stroke-width="2" paint-order="stroke"><title>{escape(title)}</title></rect>'
    )


def _unjudged(scan: Scan, part: Unjudged, top: int, height: int) -> str:
    return (
        f'<rect class="unjudged" {_place(scan, part)} y="{top}" height="{height}" fill="url(#hatch)">'
        f"<title>{escape(words.unjudged(part).capitalize())}</title></rect>"
    )


def _face(scan: Scan, track: FaceTrack, place: int, row: _Row) -> str:
    title = f"Face {track.id}, {words.where(track)}" + words.skipped(track)
    return (
        f'<rect class="face" {_place(scan, track)} y="{row.top + 1 + place % 3 * 4}" height="3">'
        f"<title>{escape(title)}</title></rect>"
    )


def _chart(scan: Scan, row: _Row) -> str:
    axis = axis_of(scan)
    level = row.top + row.height * (1 - scan.threshold)
    order = sorted(scan.curves, key=lambda curve: curve.modality != "fused")  # the filled curve is drawn first
    curves = "".join(_curve(curve, axis) for curve in order)
    return (
        f'<svg y="{row.top}" width="100%" height="{row.height}" '
        f'viewBox="0 0 {axis.length_s:.3f} 1" preserveAspectRatio="none">{curves}</svg>'
        f'<line class="threshold" x2="100%" y1="{level:.1f}" y2="{level:.1f}">'
        f"<title>threshold {scan.threshold:.2f}</title></line>"
    )


def _curve(curve: Curve, axis: Axis) -> str:
    """At seconds from the start of the axis: browsers keep too few digits of a clock that counts from 1970."""
    points = [(time_s - axis.start_s, score) for time_s, score in pool(curve, axis.length_s)]
    if not points:
        return ""
    path = "M" + " ".join(f"{time_s:.3f} {1 - score:.3f}" for time_s, score in points)
    if curve.modality == "fused":  # an area, closed along the bottom
        path = f"M{points[0][0]:.3f} 1L{path[1:]}L{points[-1][0]:.3f} 1Z"
    return f'<path class="curve {escape(curve.modality)}" d="{path}" vector-effect="non-scaling-stroke"/>'


def zooms(span_s: float) -> Sequence[int]:
    """The useful zoom levels: at least two seconds stay visible."""
    return [zoom for zoom in ZOOMS if zoom == 1 or span_s / zoom >= 2]


def _tick_set(scan: Scan, zoom: int, bottom: int) -> str:
    """The ticks of one zoom level; all but the first are hidden until the page shows them."""
    marks, axis = [], axis_of(scan)
    for k, (time_s, label) in enumerate(axis.ticks(8 * zoom)):
        share = axis.share(time_s)
        anchor = "start" if share < 0.01 else "end" if share > 0.94 else "middle"
        marks.append(
            f'<g class="tick {"odd" if k % 2 else "even"}"><line x1="{share:.4%}" x2="{share:.4%}" y1="{bottom}" '
            f'y2="{bottom + 6}"/><text x="{share:.4%}" y="{bottom + 20}" text-anchor="{anchor}">{label}</text></g>'
        )
    hidden = "" if zoom == 1 else ' display="none"'
    return f'<g class="ticks" data-zoom="{zoom}"{hidden}>{"".join(marks)}</g>'


def _place(scan: Scan, part: TimeRange | FaceTrack) -> str:
    """Its place on the axis, as attributes; hidden if it is not there."""
    place = axis_of(scan).place(part)
    return 'display="none"' if place is None else f'x="{place[0]:.4%}" width="{place[1] - place[0]:.4%}"'
