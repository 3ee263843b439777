"""A scan for the terminal: verdict, facts, a timeline as wide as the window, a table of segments, notes.

Only ASCII is used besides the bars, which fall back to ASCII too; colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment as Piece
from rich.style import Style
from rich.table import Table
from rich.text import Text

from fakespan.report import words
from fakespan.types import Scan, Segment

__all__ = ["render"]

_COLOURS = {"audio": "cyan", "visual": "yellow", "both": "magenta"}
_GUTTER = 10  # columns of the row names


def render(scan: Scan) -> RenderableType:
    """What `Console.print` shows of a scan; plain text without a terminal or with NO_COLOR."""
    parts: list[RenderableType] = [_Name(scan.file), _verdict(scan), _facts(scan), "", _Timeline(scan)]
    if scan.segments:
        parts += ["", _table(scan)]
    if scan.notes:
        parts += ["", *(_hanging("note: ", note) for note in scan.notes)]
    if scan.is_fake or scan.segments:
        parts += ["", _hanging("", "A suspected segment is a hint, not a proof: check it by eye and ear.", "dim")]
    return Group(*parts)


def _verdict(scan: Scan) -> Text:
    style = "bold red" if scan.is_fake else "bold"
    compared = "reaches" if scan.is_fake else "is below"
    return Text.assemble(
        ("SUSPECTED FORGED" if scan.is_fake else words.verdict(scan), style),
        f"  score {scan.score:.2f} {compared} the threshold {scan.threshold:.2f}; {words.found(scan)}",
    )


def _facts(scan: Scan) -> Text:
    faces = [track for track in scan.tracks if not track.is_whole]
    facts = words.media_facts(scan.media)
    if faces:
        facts.append(f"{len(faces)} face track{'s' * (len(faces) != 1)}")
    facts.append(f"model {words.printable(scan.model)}")
    return Text("; ".join(facts), style="dim")


def _table(scan: Scan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in ("", "start", "end", "length"):
        table.add_column(name, justify="right")
    table.add_column("suspected in")
    table.add_column("where")
    table.add_column("score", justify="right")
    for number, segment in enumerate(words.in_order(scan), 1):
        table.add_row(
            str(number),
            words.timecode(segment.start_s),
            words.timecode(segment.end_s),
            f"{segment.length_s:.2f} s",
            Text(
                "sound and picture" if segment.modality == "both" else words.MODALITIES[segment.modality],
                style=_COLOURS[segment.modality],
            ),
            _where(scan, segment),
            f"{segment.score:.2f}",
        )
    return table


def _where(scan: Scan, segment: Segment) -> str:
    track = next((t for t in scan.tracks if t.id == segment.track), None)
    if track is None:
        return "-" if segment.track is None else f"face {segment.track}"
    return words.where(track) if track.is_whole else f"face {track.id} ({words.where(track)})"


def _hanging(lead: str, text: str, style: str = "") -> Text | Table:
    line = Text(words.printable(text), style=style)
    if not lead:
        return line
    grid = Table.grid()
    grid.add_row(Text(lead), line)
    return grid


@dataclass(frozen=True)
class _Name:
    """The file's name: no markup, no control characters, nothing that the output cannot encode."""

    file: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = words.printable(self.file)
        encodable = shown.encode(options.encoding, "backslashreplace").decode(options.encoding)
        yield Text(encodable, style="bold", overflow="fold")


@dataclass(frozen=True)
class _Timeline:
    """One bar per modality over the whole width, ticks below. A cell that any part of a segment touches is filled."""

    scan: Scan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType | Piece]:
        width = max(options.max_width - _GUTTER, 10)
        for modality, name in words.MODALITIES.items():
            yield Text.assemble(name.ljust(_GUTTER), self._bar(modality, width, options.ascii_only))
        yield Text(" " * _GUTTER + self._ticks(width), style="dim", no_wrap=True, overflow="crop")

    def _bar(self, modality: str, width: int, ascii_only: bool) -> Text:
        media = self.scan.media
        if (modality == "audio" and not media.has_audio) or (modality == "visual" and not media.has_video):
            return Text(f"(no {words.MODALITIES[modality]} in this file)"[:width], style="dim")
        filled = self._cells(modality, width)
        full, empty = ("#", "-") if ascii_only else ("\u2588", "\u2500")
        bar = Text(no_wrap=True)
        for is_full in filled:
            bar.append(full if is_full else empty, Style.parse(_COLOURS[modality] if is_full else "dim"))
        return bar

    def _cells(self, modality: str, width: int) -> list[bool]:
        cells_per_s = width / words.span_s(self.scan)
        filled = [False] * width
        for segment in self.scan.segments:
            if segment.modality == modality:
                first = min(max(int(segment.start_s * cells_per_s), 0), width - 1)
                last = min(max(int(segment.end_s * cells_per_s - 1e-9), first), width - 1)
                filled[first : last + 1] = [True] * (last + 1 - first)
        return filled

    def _ticks(self, width: int) -> str:
        span_s = words.span_s(self.scan)
        step_s = words.tick_step(span_s, max(width // 10, 1))
        line = ""
        for k in range(int(span_s / step_s) + 1):
            label = "|" + words.tick_label(k * step_s, step_s)
            column = int(k * step_s / span_s * width)
            if len(line) <= column and column + len(label) <= width:
                line = line.ljust(column) + label
        return line
