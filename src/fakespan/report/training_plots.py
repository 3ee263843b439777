"""Plots of a training run from its logs: losses and learning rate over the steps."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from fakespan.errors import MissingExtraError
from fakespan.report.plots import saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_run"]

MAX_POINTS = 2000  # per curve; more are averaged in groups
Columns = dict[str, list[float]]


def plot_run(folder: Path) -> list[Path]:
    """Plot loss.png and learning_rate.png from log.csv and epochs.csv; returns the paths, none without logs.

    Raises MissingExtraError if matplotlib is not installed.
    """
    steps, epochs = _read(folder / "log.csv"), _read(folder / "epochs.csv")
    if not steps.get("step"):
        return []
    losses = _figure("loss")
    axes = losses.axes[0]
    axes.plot(*_thinned(steps["step"], steps["total"]), linewidth=0.8, alpha=0.6, label="training, each step")
    for name, label in (("train_loss", "training, epoch's mean"), ("validation_loss", "validation")):
        points = [(x, y) for x, y in zip(epochs.get("step", []), epochs.get(name, []), strict=True) if math.isfinite(y)]
        if points:
            axes.plot([x for x, _ in points], [y for _, y in points], marker=".", label=label)
    axes.set_yscale("log")
    axes.legend()
    rate = _figure("learning rate")
    rate.axes[0].plot(*_thinned(steps["step"], steps["learning_rate"]))
    return [saved(losses, folder / "loss.png"), saved(rate, folder / "learning_rate.png")]


def _read(path: Path) -> Columns:
    """Numeric columns by name; empty if the file does not exist."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return {}
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def _thinned(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    """Average consecutive points in at most MAX_POINTS groups.

    >>> _thinned([1.0, 2.0], [3.0, 4.0])
    ([1.0, 2.0], [3.0, 4.0])
    """
    size = -(-len(x) // MAX_POINTS)
    groups = [slice(k, k + size) for k in range(0, len(x), size)]
    return [x[g][-1] for g in groups], [sum(y[g]) / len(y[g]) for g in groups]


def _figure(title: str) -> Figure:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("step")
    axes.set_ylabel(title)
    axes.grid(visible=True, alpha=0.3)
    return figure
