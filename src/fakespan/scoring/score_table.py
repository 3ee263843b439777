"""Output of a score: tables for the terminal, plots for a folder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fakespan.metrics.recall import best_shares, found_shares
from fakespan.report.plots import plot_precision_recall, plot_recall, plot_scores
from fakespan.report.words import printable
from fakespan.scoring.score import Group, Score

__all__ = ["draw", "render"]


def render(result: Score, title: str) -> RenderableType:
    """A rich renderable: a table of the subsets, one of the lengths, notes. In percent, as in the papers."""
    unit = "percent"
    if result.n_bootstrap:
        unit += f"; in brackets {result.level:.0%} intervals, {result.n_bootstrap} resamples of the videos"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(unit, style="dim"), ""]
    parts.append(_table("subset", result.subsets, with_intervals=True))
    if result.buckets:
        parts += ["", _table("forged span", result.buckets)]
    if result.notes:
        notes = Table.grid(padding=(0, 1))
        for note in result.notes:
            notes.add_row("note:", Text(printable(note)))
        parts += ["", notes]
    return Lines(*parts)


def _table(what: str, groups: tuple[Group, ...], with_intervals: bool = False) -> Table:
    """One column per group, one row per metric: many columns with intervals would not fit a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(what)
    for group in groups:
        table.add_column(group.name, justify="right", no_wrap=True)
    for name, counts in {
        "videos": [g.n_videos for g in groups],
        "of them forged": [g.n_fakes for g in groups],
        "forged spans": [g.n_spans for g in groups],
    }.items():
        table.add_row(name, *map(str, counts), style="dim")
    table.add_section()
    kind = ""
    for name in groups[0].values if groups else ():
        if kind and name.partition("@")[0] != kind:
            table.add_section()
        kind = name.partition("@")[0]
        table.add_row(name, *(_cell(group, name, with_intervals) for group in groups))
    return table


def _cell(group: Group, name: str, with_interval: bool) -> Text:
    value = _percent(group.values[name])
    if not with_interval or name not in group.intervals:
        return Text(value)
    low, high = group.intervals[name]
    return Text.assemble(value, (f" [{_percent(low, 1)} {_percent(high, 1)}]", "dim"))


def _percent(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.{digits}f}"


def draw(result: Score, folder: Path) -> list[Path]:
    """Three PNG files: precision over recall per IoU, AR over the number of proposals, best scores of real and forged.

    Raises:
        UsageError: the folder is not writable.
        MissingExtraError: matplotlib is missing.
    """
    rated = result.rated
    if rated is None:
        return []
    pairs, found = rated.pairs, rated.pairs.proposals
    lengths = np.diff(found.offsets)
    counts = sorted({*range(1, 11), 15, 20, 30, 50, 75, 100, *rated.n_proposals})
    recalls = [float(found_shares(best).mean()) for best in best_shares(pairs, counts).values()]
    best = np.maximum.reduceat(found.score, found.offsets[:-1][lengths > 0])
    forged = rated.forged[lengths > 0]
    return [
        plot_precision_recall(folder / "precision_recall.png", {t: rated.matches.curve(t) for t in rated.ious}),
        plot_recall(folder / "recall.png", counts, recalls),
        plot_scores(folder / "scores.png", best[~forged], best[forged]),
    ]
