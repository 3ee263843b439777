"""A scan rendered for the terminal: verdict, file properties, timeline, table of segments, notes.

Only the bars use other characters than ASCII, and they fall back to it; colour is never the only cue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fakespan.report import words
from fakespan.report.axis import axis_of
from fakespan.report.grades import strength
from fakespan.report.outcomes import about
from fakespan.report.provenance import credentials_line
from fakespan.types import Scan, Segment, Unjudged

__all__ = ["render"]

_COLOURS = {"audio": "cyan", "visual": "yellow", "both": "magenta"}
_GUTTER = 10  # columns of the row names
_MOST_UNJUDGED = 10  # lines; the JSON has all
_Cell = Literal["empty", "unjudged", "segment"]
_BLOCKS: dict[_Cell, str] = {"empty": "\u2500", "unjudged": "\u2591", "segment": "\u2588"}
_ASCII: dict[_Cell, str] = {"empty": "-", "unjudged": "?", "segment": "#"}


def render(scan: Scan) -> RenderableType:
    """A scan as a rich renderable; plain text without a terminal or with NO_COLOR."""
    parts: list[RenderableType] = [_Foreign(scan.file, "bold"), _verdict(scan)]
    parts += map(Text, about(scan, words.whole(scan)))
    parts.append(_facts(scan))
    if line := credentials_line(scan):
        parts.append(_Foreign(line, "dim"))
    parts += ["", _Timeline(scan)]
    if scan.segments:
        parts += ["", _table(scan)]
    if scan.notes or scan.not_judged:
        parts += ["", *map(_note, [*map(words.unjudged, scan.not_judged[:_MOST_UNJUDGED]), *scan.notes])]
    if scan.outcome == "suspected":
        parts += ["", Text("A suspected segment is a hint, not a proof: check it by eye and ear.", style="dim")]
    return Group(*parts)


def _verdict(scan: Scan) -> Text:
    styles = {"suspected": "bold red", "inconclusive": "bold yellow"}
    name = words.verdict(scan)
    return Text.assemble(
        (name.upper() if scan.outcome == "suspected" else name, styles.get(scan.outcome, "bold")),
        f"  {words.compared(scan)}; {words.found(scan)}",
    )


def _facts(scan: Scan) -> _Foreign:
    faces = [track for track in scan.tracks if not track.is_whole]
    facts = words.media_facts(scan)
    if faces:
        facts.append(f"{len(faces)} face track{'s' * (len(faces) != 1)}")
    facts.append(f"model {scan.model}")
    return _Foreign("; ".join(facts), "dim")


def _table(scan: Scan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in ("", "start", "end", "length"):
        table.add_column(name, justify="right", no_wrap=True)  # in a narrow window the words are wrapped, not the times
    table.add_column("suspected in", overflow="fold")
    table.add_column("where", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    is_graded = any(segment.tier is not None for segment in scan.segments)
    if is_graded:
        table.add_column("evidence", overflow="fold")
    for number, segment in enumerate(words.in_order(scan), 1):
        table.add_row(
            str(number),
            words.timecode(segment.start_s),
            words.timecode(segment.end_s),
            f"{segment.length_s:.2f} s",
            Text(words.MODALITIES[segment.modality], style=_COLOURS[segment.modality]),
            _where(scan, segment),
            f"{segment.score:.2f}",
            *([strength(segment)] if is_graded else []),
        )
    return table


def _where(scan: Scan, segment: Segment) -> str:
    track = next((t for t in scan.tracks if t.id == segment.track), None)
    if track is None:
        return "-" if segment.track is None else f"face {segment.track}"
    return words.where(track) if track.is_whole else f"face {track.id}, {words.where(track)}"


def _note(note: str) -> Table:
    grid = Table.grid()  # hanging indent
    grid.add_row("note: ", _Foreign(note))
    return grid


@dataclass(frozen=True)
class _Foreign:
    """Untrusted text: no markup, no control characters, nothing that the output cannot encode."""

    text: str
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = words.printable(self.text)
        encodable = shown.encode(options.encoding, "backslashreplace").decode(options.encoding)
        yield Text(encodable, style=self.style, overflow="fold")


@dataclass(frozen=True)
class _Timeline:
    """One bar per modality over the full width, ticks below.

    A cell is filled if any part of a segment is in it, hatched if any part of that stream was not judged.
    """

    scan: Scan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = max(options.max_width - _GUTTER, 10)
        for modality, name in words.MODALITIES.items():
            yield Text.assemble(name.ljust(_GUTTER), self._bar(modality, width, options.ascii_only))
        yield Text(" " * _GUTTER + self._ticks(width), style="dim", no_wrap=True, overflow="crop")

    def _bar(self, modality: str, width: int, ascii_only: bool) -> Text:
        absent = words.absent(self.scan, modality)
        if absent:
            return Text(f"({absent})"[:width], style="dim")
        looks = _ASCII if ascii_only else _BLOCKS
        bar = Text(no_wrap=True)
        for kind, cells in groupby(self._cells(modality, width)):
            bar.append(looks[kind] * len(list(cells)), _COLOURS[modality] if kind == "segment" else "dim")
        return bar

    def _cells(self, modality: str, width: int) -> list[_Cell]:
        cells: list[_Cell] = ["empty"] * width
        parts: list[Segment | Unjudged] = [u for u in self.scan.not_judged if u.modality in ("both", modality)]
        parts += [s for s in self.scan.segments if s.modality == modality]
        axis = axis_of(self.scan)
        for part in parts:
            if (place := axis.place(part)) is None:
                continue
            first, last = place[0] * width, place[1] * width
            first, last = min(int(first), width - 1), min(max(int(last - 1e-9), int(first)), width - 1)
            kind: _Cell = "segment" if isinstance(part, Segment) else "unjudged"
            cells[first : last + 1] = [kind] * (last + 1 - first)
        return cells

    def _ticks(self, width: int) -> str:
        line, axis = "", axis_of(self.scan)
        for time_s, text in axis.ticks(max(width // 10, 1)):
            label = "|" + text
            column = int(axis.share(time_s) * width)
            if len(line) <= column and column + len(label) <= width:
                line = line.ljust(column) + label
        return line
