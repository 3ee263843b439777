"""Plots of video-level classification, from arrays to a PNG file. Needs matplotlib (the extra `train`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fakespan.report.plots import COLOURS, panels, saved

__all__ = ["Bins", "Curve", "Kinds", "plot_histograms", "plot_reliability", "plot_roc"]


@dataclass(frozen=True)
class Curve:
    """The ROC curve of one method, with the operating point of its threshold."""

    false_alarms: ArrayLike  # (m,) share of the real videos
    hits: ArrayLike  # (m,) share of the fakes
    auc: float
    point: tuple[float, float] | None = None  # false alarms and hits at the threshold


@dataclass(frozen=True)
class Bins:
    """A reliability diagram: one value per non-empty bin."""

    predicted: ArrayLike  # (b,) mean probability
    observed: ArrayLike  # (b,) share of fakes
    n_videos: ArrayLike  # (b,)
    error: float  # the expected calibration error


@dataclass(frozen=True)
class Kinds:
    """The scores of one method."""

    real: ArrayLike
    fake: ArrayLike
    threshold: float | None = None


def plot_roc(path: Path, curves: Mapping[str, Curve]) -> Path:
    """Plot the ROC curves of all methods; a dot marks the fitted threshold.

    Args:
        path: the PNG to write.
        curves: method -> its curve.

    Raises:
        UsageError: the file cannot be written.
        MissingExtraError: matplotlib is missing.
    """
    figure, (axes,) = panels(["Fakes found over false alarms"], "real videos called fake", "fakes called fake")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=":")
    styles = ("-", "-", (0, (5, 1.5)), (0, (2, 1.5)))  # nearly equal curves overlap
    for k, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        label = f"{name}, AUC {curve.auc:.3f}"
        line = {"color": colour, "linestyle": styles[k % len(styles)], "linewidth": 1.6, "label": label}
        axes.plot(np.asarray(curve.false_alarms), np.asarray(curve.hits), **line)
        if curve.point is not None:
            axes.plot(*curve.point, marker="o", markersize=5, color=colour, markeredgecolor="white", clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, loc="lower right", title="dot: the fitted threshold", title_fontsize="small")
    return saved(figure, path)


def plot_reliability(path: Path, ways: Mapping[str, tuple[Bins, Bins]]) -> Path:
    """Plot observed over predicted share of fakes, before and after calibration, one panel per method.

    The area of a dot is the share of the videos in its bin. Raises as `plot_roc`.

    Args:
        path: the PNG to write.
        ways: method -> bins of the raw scores, bins of the calibrated ones.
    """
    figure, found = panels(list(ways), "predicted probability of a fake", "observed share of fakes")
    for axes, (before, after) in zip(found, ways.values(), strict=True):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=":")
        for colour, word, bins in ((COLOURS[1], "before", before), (COLOURS[0], "after", after)):
            counts = np.asarray(bins.n_videos, dtype=np.float64)
            predicted, observed = np.asarray(bins.predicted), np.asarray(bins.observed)
            label = f"{word}, ECE {100 * bins.error:.1f} %"
            axes.plot(predicted, observed, color=colour, linewidth=1.2, label=label)
            axes.scatter(
                predicted, observed, s=8 + 150 * counts / max(counts.sum(), 1), color=colour, alpha=0.6, zorder=3
            )
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.05)
        axes.legend(loc="lower right", framealpha=0.8, edgecolor="none")
    return saved(figure, path)


def plot_histograms(path: Path, ways: Mapping[str, Kinds]) -> Path:
    """Plot the distributions of the raw scores of real and fake videos with the threshold, one panel per method.

    Raises as `plot_roc`.

    Args:
        path: the PNG to write.
        ways: method -> its scores.
    """
    figure, found = panels(list(ways), "score, before calibration", "share of its kind")
    for axes, kinds in zip(found, ways.values(), strict=True):
        _histogram(axes, kinds)
    return saved(figure, path)


def _histogram(axes: Any, kinds: Kinds) -> None:
    parts = {"real": np.asarray(kinds.real, dtype=np.float64), "fake": np.asarray(kinds.fake, dtype=np.float64)}
    shown = np.concatenate([*parts.values(), [] if kinds.threshold is None else [kinds.threshold]])
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    edges = np.linspace(low, high, 41) if high > low else np.linspace(low - 0.5, high + 0.5, 41)
    for colour, (name, values) in zip(COLOURS, parts.items(), strict=False):
        if len(values):
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, fill=True, alpha=0.45, color=colour, label=f"{name} ({len(values)})")
            axes.stairs(shares, edges, color=colour)
    if kinds.threshold is not None:
        axes.axvline(
            kinds.threshold, color="#333333", linewidth=1.1, linestyle="--", label=f"from {kinds.threshold:.3f}"
        )
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
