"""Plots of an evaluation, from arrays to a PNG file. Needs matplotlib (the extra `train`) and no display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fakespan.errors import MissingExtraError, UsageError
from fakespan.files import replacing

__all__ = ["COLOURS", "panels", "plot_precision_recall", "plot_recall", "plot_scores", "saved"]

COLOURS = ("#1b6ca8", "#d1720d", "#3a8f4d", "#a03d8f", "#7a6a58")


def plot_precision_recall(path: Path, curves: Mapping[float, tuple[ArrayLike, ArrayLike]]) -> Path:
    """Plot precision over recall, one line per IoU threshold.

    Args:
        path: the PNG to write.
        curves: IoU -> recall and precision after each true positive, best score first.

    Raises:
        UsageError: the file cannot be written.
        MissingExtraError: matplotlib is missing.
    """
    figure, axes = _axes("Precision over recall", "recall", "precision")
    for colour, (iou, (recall, precision)) in zip(_colours(len(curves)), curves.items(), strict=True):
        recalled = np.asarray(recall, dtype=np.float64)
        axes.plot(recalled, np.asarray(precision), color=colour, linewidth=1.6, label=f"IoU {iou:g}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)
    return saved(figure, path)


def plot_recall(path: Path, counts: Sequence[int], recalls: Sequence[float]) -> Path:
    """Plot AR over the number of proposals per video; raises as `plot_precision_recall`."""
    figure, axes = _axes("Recall of the first proposals", "proposals of a video", "AR (IoU 0.5 to 0.95)")
    axes.plot(counts, recalls, color=COLOURS[0], linewidth=1.6, marker="o", markersize=3.5)
    axes.set_xscale("log")
    ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n <= max(counts)]
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    return saved(figure, path)


def plot_scores(path: Path, real: ArrayLike, forged: ArrayLike) -> Path:
    """Plot the distributions of the best scores of real and forged videos; raises as `plot_precision_recall`."""
    figure, axes = _axes("Best score of each video", "score", "share of its kind")
    parts = {"real": np.asarray(real, dtype=np.float64), "forged": np.asarray(forged, dtype=np.float64)}
    everything = np.concatenate([*parts.values(), [0.0, 1.0]])
    edges = np.linspace(everything.min(), everything.max(), 51)
    for colour, (name, values) in zip(COLOURS, parts.items(), strict=False):
        if len(values):
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, fill=True, alpha=0.45, color=colour, label=f"{name} ({len(values)})")
            axes.stairs(shares, edges, color=colour)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return saved(figure, path)


def panels(titles: Sequence[str], x: str, y: str, n_columns: int = 2) -> tuple[Any, list[Any]]:
    """A figure with one panel per title (900 x 600 pixels for one); raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  a heavy optional library
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    n_columns = min(n_columns, len(titles))
    n_rows = -(-len(titles) // n_columns)
    figure = Figure(
        figsize=(6, 4) if len(titles) == 1 else (4 * n_columns, 3.4 * n_rows), dpi=150, layout="constrained"
    )
    FigureCanvasAgg(figure)  # no pyplot: no global state, no screen
    found = [figure.add_subplot(n_rows, n_columns, k + 1) for k in range(len(titles))]
    for axes, title in zip(found, titles, strict=True):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, found


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    figure, (axes,) = panels([title], x, y)
    return figure, axes


def _colours(n: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(n)]


def saved(figure: Any, path: Path, dpi: float | Literal["figure"] = "figure") -> Path:
    """Writes the picture, whole or not at all; raises UsageError where that fails."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            figure.savefig(part, format="png", dpi=dpi)
    except OSError as error:
        got, remedy = str(error.strerror or error).lower(), "choose a folder that may be written to"
        raise UsageError(path, expected="a file that can be written", got=got, remedy=remedy) from error
    return path
