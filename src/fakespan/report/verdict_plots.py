"""Pictures of how verdicts on whole videos do: arrays in, a PNG out. Needs matplotlib (the extra `train`)."""

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
    """The ROC curve of one way, and where its threshold stands on it."""

    false_alarms: ArrayLike  # (m,) shares of the real
    hits: ArrayLike  # (m,) shares of the fakes
    auc: float
    point: tuple[float, float] | None = None  # false alarms and hits at the threshold


@dataclass(frozen=True)
class Bins:
    """A reliability diagram: a value for each bin that holds a video."""

    said: ArrayLike  # (b,) mean probability
    happened: ArrayLike  # (b,) share of fakes
    n_videos: ArrayLike  # (b,)
    error: float  # the expected calibration error


@dataclass(frozen=True)
class Kinds:
    """The scores of one way."""

    real: ArrayLike
    fake: ArrayLike
    threshold: float | None = None


def plot_roc(path: Path, curves: Mapping[str, Curve]) -> Path:
    """The ROC curves of all ways in one picture; a dot where the fitted threshold stands.

    Args:
        path: the PNG to write.
        curves: way -> its curve.

    Raises:
        UsageError: the file cannot be written.
        MissingExtraError: matplotlib is missing.
    """
    figure, (axes,) = panels(["Fakes found over false alarms"], "real videos called fake", "fakes called fake")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=":")
    styles = ("-", "-", (0, (5, 1.5)), (0, (2, 1.5)))  # ways that nearly agree lie on each other
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
    """What happened over what was said, before and after calibration: a panel for each way.

    The area of a dot is the share of the videos in its bin. Errors as `plot_roc`.

    Args:
        path: the PNG to write.
        ways: way -> bins of the raw scores, bins of the calibrated ones.
    """
    figure, found = panels(list(ways), "said: probability of a fake", "happened: share of fakes")
    for axes, (before, after) in zip(found, ways.values(), strict=True):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.9, linestyle=":")
        for colour, word, bins in ((COLOURS[1], "before", before), (COLOURS[0], "after", after)):
            counts = np.asarray(bins.n_videos, dtype=np.float64)
            said, happened = np.asarray(bins.said), np.asarray(bins.happened)
            label = f"{word}, ECE {100 * bins.error:.1f} %"
            axes.plot(said, happened, color=colour, linewidth=1.2, label=label)
            axes.scatter(said, happened, s=8 + 150 * counts / max(counts.sum(), 1), color=colour, alpha=0.6, zorder=3)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.05)
        axes.legend(loc="lower right", framealpha=0.8, edgecolor="none")
    return saved(figure, path)


def plot_histograms(path: Path, ways: Mapping[str, Kinds]) -> Path:
    """How the raw scores of real and of fake videos lie, and where the threshold is: a panel for each way.

    Errors as `plot_roc`.

    Args:
        path: the PNG to write.
        ways: way -> its scores.
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
