"""Output of a head and its evaluation: tables for the terminal, plots for a folder."""

from __future__ import annotations

import math
from pathlib import Path

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fakespan.arrays import Float64Array
from fakespan.metrics.binary import BinaryScores, expected_calibration_error, reliability
from fakespan.models.verdict_head import Head
from fakespan.report.verdict_plots import Bins, Curve, Kinds, plot_histograms, plot_reliability, plot_roc
from fakespan.report.words import printable
from fakespan.verdict.platt import clipped
from fakespan.verdict.rate import PUBLISHED, VerdictRating, WayRating
from fakespan.verdict.ways import Scored

__all__ = ["draw", "render", "render_fit"]

SECTIONS = (
    ("AUC", "AP", "EER"),
    ("accuracy", "balanced accuracy"),
    ("Brier raw", "Brier calibrated"),
    ("ECE raw", "ECE calibrated"),
)
WORDS = {"Brier raw": "Brier score, raw", "ECE raw": "ECE, raw"}
WORDS |= {"Brier calibrated": "  calibrated", "ECE calibrated": "  calibrated"}


def render(rating: VerdictRating, title: str) -> RenderableType:
    """A rich renderable, 80 columns wide: one column per method, one row per metric, notes."""
    split = "" if rating.split is None else f" {rating.split}"
    about = f"{rating.model} on {rating.data}{split}: {rating.n_clips} videos, {rating.n_fake} fake"
    unit = "percent, the Brier score as it is"
    if rating.n_bootstrap:
        unit += f"; below each its {rating.level:.0%} interval, {rating.n_bootstrap} resamples of the videos"
    parts: list[RenderableType] = [
        Text(printable(title), style="bold"),
        Text(printable(about)),
        Text(unit, style="dim"),
    ]
    parts += ["", _table(rating)]
    notes = Table.grid(padding=(0, 1))
    for note in _notes(rating):
        notes.add_row("note:", Text(printable(note)))
    return Lines(*parts, "", notes)


def render_fit(head: Head, title: str) -> RenderableType:
    """Summary of a fitted head: training data, thresholds, validation metrics."""
    table = _ruled()
    for name in ("way", "AUC", "threshold", "raw score", "calibration"):
        table.add_column(name, justify="left" if name == "way" else "right", no_wrap=True)
    fits = {"maximum": head.maximum, "mlp": head.mlp_fit, **head.others}
    for name, fit in fits.items():
        if fit is not None:
            area, slope = head.notes["validation_auc"][name], fit.calibration
            formula = f"{slope.scale:.3f} logit {'-' if slope.offset < 0 else '+'} {abs(slope.offset):.3f}"
            cells = f"{100 * area:.2f}", f"{fit.threshold:.4f}", f"{fit.raw_threshold:.4f}", formula
            table.add_row(name, *cells)
    train, val = head.notes["train"], head.notes["validation"]
    about = (
        f"{head.model.name}: the network learned from {train['clips']} videos ({train['fake']} fake); thresholds and "
    )
    about += f"calibrations are those of {val['clips']} others ({val['fake']} fake), and so is the AUC, in percent"
    notes = Table.grid(padding=(0, 1))
    for note in _fit_notes(head):
        notes.add_row("note:", Text(printable(note)))
    return Lines(Text(printable(title), style="bold"), Text(printable(about), style="dim"), "", table, "", notes)


def _fit_notes(head: Head) -> list[str]:
    notes = [f"scans use the {head.way} (--way selects the other)"]
    notes.append("evaluate it on unseen clips: fakespan verdict test")
    if n_shared := head.notes["shared_originals"]:
        notes.append(f"{n_shared} originals are in both train and validation, as permitted")
    for split in ("train", "validation"):
        facts = head.notes[split]
        if n_unknown := facts["fakes_of_unknown_original"]:
            notes.append(f"{n_unknown} of {facts['fake']} fakes of {split} do not name their original")
    return notes


def _ruled() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", collapse_padding=True)


def _table(rating: VerdictRating) -> Table:
    table = _ruled()
    table.add_column("")
    for way in rating.ways:
        table.add_column(way.name, justify="right", no_wrap=True)
    for section in SECTIONS:
        for name in section:
            table.add_row(
                WORDS.get(name, name), *(_number(name, way.values.get(name, math.nan)) for way in rating.ways)
            )
            if rating.n_bootstrap:
                table.add_row("", *(Text(_range(way, name), style="dim") for way in rating.ways))
        table.add_section()
    table.add_row("threshold, probability", *(_threshold(way, raw=False) for way in rating.ways))
    table.add_row("threshold, raw score", *(_threshold(way, raw=True) for way in rating.ways))
    return table


def _notes(rating: VerdictRating) -> list[str]:
    notes = [
        "frames (the largest frame probability) and proposal (the first after soft-NMS) are baselines",
        "thresholds maximise balanced accuracy on the validation videos",
    ]
    if rating.gain is not None:
        words = f"the network has {100 * rating.gain:+.2f} points of AUC over the maximum"
        if rating.gain_interval is not None:
            low, high = rating.gain_interval
            words += f" [{100 * low:+.1f} {100 * high:+.1f}]"
        notes.append(words)
    return [*notes, *rating.notes]


def _number(name: str, value: float, digits: int = 2) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{digits + 2}f}" if name.startswith("Brier") else f"{100 * value:.{digits}f}"


def _range(way: WayRating, name: str) -> str:
    if name not in way.intervals:
        return ""
    return " ".join(_number(name, end, 1) for end in way.intervals[name])


def _threshold(way: WayRating, *, raw: bool) -> str:
    if way.fit is None:
        return "-"
    return f"{way.fit.raw_threshold if raw else way.fit.threshold:.4f}"


def draw(rating: VerdictRating, folder: Path) -> list[Path]:
    """Three PNG files: ROC curves of all methods, reliability of the published ones, histograms of all.

    Raises:
        UsageError: the folder is not writable.
        MissingExtraError: matplotlib is missing.
    """
    scored = rating.scored
    if scored is None:
        return []
    ways = {way.name: way for way in rating.ways}
    return [
        plot_roc(folder / "roc.png", {name: _curve(way, scored) for name, way in ways.items()}),
        plot_reliability(
            folder / "reliability.png",
            {name: _both_bins(ways[name], scored) for name in PUBLISHED if name in ways},
        ),
        plot_histograms(folder / "histograms.png", {name: _kinds(way, scored) for name, way in ways.items()}),
    ]


def _curve(way: WayRating, scored: Scored) -> Curve:
    scores, point = scored.scores[way.name], None
    if way.fit is not None:
        called = clipped(scores) >= way.fit.raw_threshold
        point = float(called[~scored.forged].mean()), float(called[scored.forged].mean())
    return Curve(*BinaryScores.of(scores, scored.forged).roc(), way.values["AUC"], point)


def _both_bins(way: WayRating, scored: Scored) -> tuple[Bins, Bins]:
    raw = scored.scores[way.name]
    return _bins(raw, scored), _bins(raw if way.fit is None else way.fit.calibration(raw), scored)


def _bins(probabilities: Float64Array, scored: Scored) -> Bins:
    found = reliability(probabilities, scored.forged)
    error = expected_calibration_error(probabilities, scored.forged)
    return Bins(found.predicted, found.observed, found.n_videos, error)


def _kinds(way: WayRating, scored: Scored) -> Kinds:
    scores = scored.scores[way.name]
    return Kinds(scores[~scored.forged], scores[scored.forged], None if way.fit is None else way.fit.raw_threshold)
