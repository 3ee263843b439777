"""Scores proposals on a data set: the rows of its published table, computed by `score`.

Contract: samples and proposals have the same names. A sample without proposals has an empty list. If there are no
forged spans, or no proposals at all, the rows have no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fakespan.metrics.position import position_auc, position_floor
from fakespan.scoring.proposals import Proposals
from fakespan.scoring.score import USUAL, Group, Score, ScoreOptions, score
from fakespan.scoring.table import Row
from fakespan.scoring.truth import Preset, Truth
from fakespan.types import SUBSETS, Progress, Sample, Subset

__all__ = ["Rated", "by_position", "columns_of", "rate_kinds", "rate_map"]

LONGEST_S = 24 * 3600.0
"""Longest clip that has relative positions; metadata that says more is wrong."""


@dataclass(frozen=True)
class Rated:
    """The rows of one map, and all its metrics."""

    rows: tuple[Row, ...]
    record: Mapping[str, Any] = field(default_factory=dict)  # `Score.to_dict`
    score: Score | None = None


def columns_of(preset: Preset) -> tuple[str, ...]:
    """Column names, as in the papers.

    >>> columns_of("lavdf")
    ('AP@0.5', 'AP@0.75', 'AP@0.95', 'AR@100', 'AR@50', 'AR@20', 'AR@10', 'AUC')
    """
    ious, counts = USUAL[preset]
    return (*(f"AP@{iou:g}" for iou in ious), *(f"AR@{n}" for n in counts), "AUC")


def rate_map(
    proposals: Proposals,
    samples: Sequence[Sample],
    map_name: str,
    *,
    preset: Preset = "lavdf",
    subsets: Sequence[Subset] = tuple(SUBSETS),
    n_bootstrap: int = 0,
    progress: Progress | None = None,
) -> Rated:
    """Score the proposals of one map on each subset.

    Args:
        proposals: the proposals of the map.
        samples: the samples to score.
        map_name: name of the map in the rows.
        preset: data set whose columns are used.
        subsets: one row per subset.
        n_bootstrap: number of resamples for the intervals.
        progress: called with the number of resamples done and their total.
    """
    if not _can_be_rated(proposals, samples):
        return Rated(tuple(_empty(map_name, subset, samples) for subset in subsets))
    truth = Truth.of_samples(samples, preset)
    options = ScoreOptions(subsets=subsets, n_bootstrap=n_bootstrap, missing="zero")
    found = score(proposals, truth, options, progress)
    rows = tuple(_row(map_name, group, columns_of(preset)) for group in found.subsets)
    return Rated(rows, found.to_dict(), found)


def rate_kinds(proposals: Proposals, samples: Sequence[Sample], preset: Preset = "lavdf") -> dict[str, Any]:
    """The same metrics for the fakes of each kind and of each forging method, together with the real clips."""
    options = ScoreOptions(subsets=("full",), buckets=(), missing="zero")
    real, rated = [s for s in samples if not s.is_fake], {}
    for name, fakes in sorted(_groups(samples).items()):
        chosen = [*fakes, *real]
        if _can_be_rated(proposals, chosen):
            truth = Truth.of_samples(chosen, preset)
            found = score(proposals, truth, options).subsets[0].to_dict()
            rated[name] = {"fakes": len(fakes), "spans": found["spans"], **found["values"]}
    return rated


def by_position(proposals: Proposals, samples: Sequence[Sample]) -> dict[str, float | None]:
    """AP of a guess by position alone, and AUC of frames at equal relative positions; see `metrics.position`.

    Clips whose length in the metadata cannot be right are left out.
    """
    durations_s = {s.name: s.duration_s for s in samples if 0 < s.duration_s <= LONGEST_S}
    spans = {s.name: np.asarray(s.spans, np.float64).reshape(-1, 2) for s in samples if s.name in durations_s}
    floor = position_floor(spans, durations_s, (0.5, 0.75))
    found = {name: proposals[name] for name in spans if name in proposals}
    value = position_auc(found, spans, durations_s)
    known = None if math.isnan(value) else round(value, 6)
    return {**{f"floor AP@{iou:g}": round(ap, 6) for iou, ap in floor.items()}, "AUC": known}


def _groups(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """The fakes by kind and by forging method."""
    groups: dict[str, list[Sample]] = {}
    for sample in (s for s in samples if s.is_fake):
        groups.setdefault(sample.kind, []).append(sample)
        method = sample.facts.get("method")
        if isinstance(method, str):
            groups.setdefault(f"method {method}", []).append(sample)
    return groups


def _can_be_rated(proposals: Proposals, samples: Sequence[Sample]) -> bool:
    return any(s.is_fake for s in samples) and any(s.name in proposals for s in samples)


def _row(map_name: str, group: Group, columns: Sequence[str]) -> Row:
    values = {name: group.values[name] for name in columns}
    known = {name: group.intervals[name] for name in columns if name in group.intervals}
    intervals = {name: (low, high) for name, (low, high) in known.items() if not math.isnan(low)}
    return Row(map_name, group.name, group.n_videos, group.n_spans, values, intervals)


def _empty(map_name: str, subset: Subset, samples: Sequence[Sample]) -> Row:
    chosen = [s for s in samples if s.kind != SUBSETS[subset]]
    return Row(map_name, subset, len(chosen), sum(len(s.spans) for s in chosen))
