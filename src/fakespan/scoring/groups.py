"""The metrics of `score`, for any subset of the videos, any range of span lengths and any resample.

Contract: overlaps and matches in, named values out. Subsets and resamples are both counts: how often each video is
used. Expensive parts are computed once; a resample costs one sum over the proposals per subset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fakespan.arrays import BoolArray, Float64Array, Int64Array
from fakespan.metrics import Pairs
from fakespan.metrics.bootstrap import draws, interval
from fakespan.metrics.hit_counts import HitCounts
from fakespan.metrics.precision import Matches, match_activitynet, match_pairs, weigh
from fakespan.metrics.recall import best_shares, found_shares
from fakespan.scoring.truth import Truth
from fakespan.types import Progress

__all__ = ["Group", "Rated", "Resamples", "resampled"]

Values = dict[str, float]
NAN = float("nan")


@dataclass(frozen=True)
class Group:
    """The metrics of a subset of the videos, or of the forged spans in a range of lengths."""

    name: str
    n_videos: int
    n_fakes: int
    n_spans: int
    values: Mapping[str, float] = field(default_factory=dict)  # "AP@0.5", "AR@100", "AUC" ...; NaN if undefined
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of the resampled metrics

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, None if undefined."""
        counts = {"videos": self.n_videos, "fakes": self.n_fakes, "spans": self.n_spans}
        intervals = {name: [_plain(low), _plain(high)] for name, (low, high) in self.intervals.items()}
        values = {name: _plain(value) for name, value in self.values.items()}
        return {"name": self.name, **counts, "values": values, "intervals": intervals}


@dataclass(frozen=True, eq=False)
class Rated:
    """Everything about a proposals file that is independent of subsets."""

    truth: Truth
    pairs: Pairs
    ious: tuple[float, ...]
    n_proposals: tuple[int, ...]

    @cached_property
    def matches(self) -> Matches:
        """True positives, as published."""
        return match_pairs(self.pairs, self.ious)

    @cached_property
    def activitynet(self) -> Matches:
        """True positives, as in ActivityNet."""
        return match_activitynet(self.pairs, self.ious)

    @cached_property
    def hit_counts(self) -> HitCounts:
        """Ranks of the true positives of both methods."""
        return HitCounts([self.matches, self.activitynet])

    @cached_property
    def found(self) -> Float64Array:
        """(L, K) share of IoU thresholds at which each label is matched by the first N proposals."""
        best = best_shares(self.pairs, self.n_proposals)
        return np.stack([found_shares(best[n]) for n in self.n_proposals], axis=1)

    @cached_property
    def label_video(self) -> Int64Array:
        """(L,) video of each label."""
        counts = np.diff(self.truth.labels.offsets)
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def forged(self) -> BoolArray:
        """(V,) whether a video has a forged span."""
        return np.diff(self.truth.labels.offsets) > 0

    @cached_property
    def places(self) -> Int64Array:
        """(V,) rank of each video by its best score, ties equal; videos without proposals rank last."""
        found = self.pairs.proposals
        best = np.full(len(found.names), -np.inf)
        filled = np.flatnonzero(np.diff(found.offsets))
        if len(filled):
            best[filled] = np.maximum.reduceat(found.score, found.offsets[filled])
        return np.unique(best, return_inverse=True)[1]

    def sums(self, labels: BoolArray) -> Float64Array:
        """(V, 1 + K) for some labels: their number per video, and their matched share."""
        columns = [labels.astype(np.float64), *(self.found * labels[:, None]).T]
        n = len(self.forged)
        return np.stack([np.bincount(self.label_video, column, minlength=n) for column in columns], axis=1)

    def recalls(self, sums: Float64Array, counts: Int64Array) -> Values:
        """AR of a draw of the videos."""
        n_labels, *found = counts @ sums
        return {
            f"AR@{n}": float(f / n_labels) if n_labels else NAN for n, f in zip(self.n_proposals, found, strict=True)
        }

    def precisions(self, counts: Int64Array) -> Values:
        """AP of a draw of the videos, by both methods."""
        n_labels = int(np.diff(self.truth.labels.offsets) @ counts)
        return {
            f"{'AP' if way is self.matches else 'ActivityNet AP'}@{iou:g}": way.area(found, seen, n_labels)
            for way, iou, found, seen in self.hit_counts.steps(counts)
        }

    def auc(self, counts: Int64Array) -> float:
        """AUC of a draw of the videos by their best scores; NaN if only one class is left."""
        n = int(self.places.max(initial=0)) + 1
        forged = np.bincount(self.places, counts * self.forged, minlength=n)
        real = np.bincount(self.places, counts * ~self.forged, minlength=n)
        n_pairs = forged.sum() * real.sum()
        return float(forged @ (np.cumsum(real) - real / 2) / n_pairs) if n_pairs else NAN

    def values(self, counts: Int64Array, sums: Float64Array) -> Values:
        """All metrics of a draw of the videos."""
        return {**self.precisions(counts), **self.recalls(sums, counts), "AUC": self.auc(counts)}

    def in_bucket(self, low_s: float, high_s: float) -> BoolArray:
        """(L,) the labels of these lengths, with a tolerance of half a millisecond."""
        lengths = np.round(self.truth.labels.end_s.astype(np.float64) - self.truth.labels.start_s, 3)
        return (lengths >= low_s) & (lengths < high_s)

    def bucket_precisions(self, labels: BoolArray, low_s: float, high_s: float) -> Values:
        """AP for some labels: proposals that match others are ignored, false positives count by their own length."""
        found = self.pairs.proposals
        lengths = np.round(found.end_s.astype(np.float64) - found.start_s, 3)
        is_near = (lengths >= low_s) & (lengths < high_s)
        values = {}
        for iou in self.ious:
            weights = is_near.astype(np.int32)
            weights[self.matches.right[iou]] = labels[self.matches.labels[iou]]
            steps = weigh(weights[self.pairs.order], {iou: self.matches.ranks[iou]})
            values[f"AP@{iou:g}"] = self.matches.area(*steps[iou], int(labels.sum()))
        return values

    def subset(self, name: str, videos: BoolArray) -> Group:
        """The metrics of some videos."""
        counts, sums = videos.astype(np.int64), self.sums(np.ones(len(self.label_video), dtype=bool))
        n_spans = int(np.diff(self.truth.labels.offsets)[videos].sum())
        return Group(name, int(videos.sum()), int(self.forged[videos].sum()), n_spans, self.values(counts, sums))

    def bucket(self, name: str, low_s: float, high_s: float) -> Group:
        """The metrics of the labels of these lengths, over all videos."""
        labels = self.in_bucket(low_s, high_s)
        n_videos = len(np.unique(self.label_video[labels]))
        once = np.ones(len(self.forged), dtype=np.int64)
        values = self.bucket_precisions(labels, low_s, high_s) | self.recalls(self.sums(labels), once)
        return Group(name, n_videos, n_videos, int(labels.sum()), values)


@dataclass(frozen=True)
class Resamples:
    """Options of the bootstrap."""

    n: int
    seed: int
    level: float  # share of the resamples within an interval


def resampled(
    rated: Rated,
    subsets: list[tuple[Group, BoolArray]],
    buckets: list[tuple[Group, BoolArray]],
    resamples: Resamples,
    progress: Progress | None = None,
) -> tuple[list[Group], list[Group]]:
    """The groups with intervals. All groups share the resamples.

    Args:
        rated: the proposals file.
        subsets: each with its videos (V,).
        buckets: each with its labels (L,); only recall is resampled.
        resamples: options of the bootstrap.
        progress: called with the number of resamples done and their total.
    """
    everything = rated.sums(np.ones(len(rated.label_video), dtype=bool))
    of_bucket = [rated.sums(labels) for _, labels in buckets]
    rows: list[list[Values]] = [[] for _ in (*subsets, *buckets)]
    for k, counts in enumerate(draws(len(rated.forged), resamples.n, resamples.seed)):
        drawn = [rated.values(counts * videos, everything) for _, videos in subsets]
        drawn += [rated.recalls(sums, counts) for sums in of_bucket]
        for values, row in zip(rows, drawn, strict=True):
            values.append(row)
        if progress is not None:
            progress(k + 1, resamples.n)
    groups = [
        replace(group, intervals={name: interval([v[name] for v in values], resamples.level) for name in values[0]})
        for (group, _), values in zip((*subsets, *buckets), rows, strict=True)
    ]
    return groups[: len(subsets)], groups[len(subsets) :]


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
