"""The published table: one row per map and subset, AP, AR and AUC in percent; for the terminal, Markdown and CSV.

Values are shares (0..1) here and percent in the output. Independent of how they are computed.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

__all__ = ["Row", "Table", "counted"]

ABSENT = "-"


@dataclass(frozen=True)
class Row:
    """The metrics of one map on one subset."""

    map_name: str  # fused, visual or audio
    subset: str  # full, visual or audio
    n_clips: int
    n_spans: int
    values: dict[str, float] = field(default_factory=dict)  # column -> share; NaN or missing if undefined
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)  # column -> 95 % by bootstrap

    def percent(self, column: str) -> str:
        """A value formatted as in the papers.

        >>> Row("fused", "full", 2, 1, {"AP@0.5": 0.79154}).percent("AP@0.5")
        '79.15'
        """
        value = self.values.get(column, math.nan)
        return ABSENT if math.isnan(value) else f"{100 * value:.2f}"

    def end(self, column: str, which: int) -> str:
        """The low (0) or high (1) end of its interval in percent; empty if there is none."""
        ends = self.intervals.get(column)
        return "" if ends is None else f"{100 * ends[which]:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as shares; None if undefined."""
        plain = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        record: dict[str, Any] = {"map": self.map_name, "subset": self.subset, "clips": self.n_clips,
                                  "spans": self.n_spans, **plain}  # fmt: skip
        if self.intervals:
            record["95%"] = {name: list(ends) for name, ends in self.intervals.items()}
        return record


@dataclass(frozen=True)
class Table:
    """Rows with common columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def counted(self) -> str:
        """Numbers of clips and forged spans per subset.

        >>> Table((), (Row("fused", "full", 2, 1),)).counted
        'full: 2 clips, 1 span'
        """
        rows = {row.subset: row for row in self.rows}.values()
        return "; ".join(f"{r.subset}: {counted(r.n_clips, 'clip')}, {counted(r.n_spans, 'span')}" for r in rows)

    def render(self) -> RichTable:
        """A rich table, 80 columns wide."""
        table = RichTable(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", collapse_padding=True
        )
        table.add_column("map")
        table.add_column("subset")
        for column in self.columns:
            table.add_column(column, justify="right", no_wrap=True)
        for k, row in enumerate(self.rows):
            is_new = k == 0 or self.rows[k - 1].map_name != row.map_name
            is_last = k + 1 == len(self.rows) or self.rows[k + 1].map_name != row.map_name
            cells = [row.percent(c) for c in self.columns]
            table.add_row(row.map_name if is_new else "", row.subset, *cells, end_section=is_last and not row.intervals)
            for end, word in enumerate(("low", "high") if row.intervals else ()):
                ends = [Text(row.end(c, end), style="dim") for c in self.columns]
                table.add_row("", Text(word, style="dim"), *ends, end_section=is_last and end == 1)
        return table

    def to_markdown(self) -> str:
        """A Markdown table."""
        heads = ["map", "subset", "clips", "spans", *self.columns]
        lines = [heads, ["---"] * 2 + ["---:"] * (len(heads) - 2)]
        for row in self.rows:
            cells = [f"{row.percent(c)}{_range(row.end(c, 0), row.end(c, 1))}" for c in self.columns]
            lines.append([row.map_name, row.subset, str(row.n_clips), str(row.n_spans), *cells])
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def to_csv(self) -> str:
        """A CSV table in percent, with the ends of the intervals in separate columns."""
        with_ends = [c for c in self.columns if any(c in row.intervals for row in self.rows)]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        ends = [f"{c} {end}" for c in with_ends for end in ("low", "high")]
        writer.writerow(["map", "subset", "clips", "spans", *self.columns, *ends])
        for row in self.rows:
            values = [_cell(row.values.get(c, math.nan)) for c in self.columns]
            bounds = [_cell(v) for c in with_ends for v in row.intervals.get(c, (math.nan, math.nan))]
            writer.writerow([row.map_name, row.subset, row.n_clips, row.n_spans, *values, *bounds])
        return file.getvalue()


def counted(n: int, word: str) -> str:
    """A count with its noun.

    >>> counted(1, "clip"), counted(0, "clip")
    ('1 clip', '0 clips')
    """
    return f"{n} {word}{'s' * (n != 1)}"


def _range(low: str, high: str) -> str:
    return f" ({low} to {high})" if low else ""


def _cell(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.4f}"
