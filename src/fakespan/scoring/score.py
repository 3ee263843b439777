"""Scores proposals against the labels of a published data set.

Contract: `score` computes AP and AR as both published evaluators do, AP as in ActivityNet, and AUC of whole videos, for
each subset and each range of span lengths, with intervals over videos. Overlaps are computed once; subsets and
resamples of the videos are weights. docs/scoring.md explains each metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import BoolArray
from fakespan.config import FPS
from fakespan.errors import UsageError
from fakespan.metrics import Pairs, Proposals
from fakespan.scoring.check import Missing, check
from fakespan.scoring.groups import Group, Rated, Resamples, resampled
from fakespan.scoring.proposals import read_proposals
from fakespan.scoring.truth import KINDS, Truth, read_truth
from fakespan.types import SUBSETS, Progress, Subset

__all__ = ["BUCKETS_S", "USUAL", "Group", "Score", "ScoreOptions", "check", "read_both", "score"]

USUAL: dict[str, tuple[tuple[float, ...], tuple[int, ...]]] = {
    "lavdf": ((0.5, 0.75, 0.95), (100, 50, 20, 10)),
    "avdeepfake1m": ((0.5, 0.75, 0.9, 0.95), (50, 30, 20, 10, 5)),
}
"""Preset -> IoU thresholds of AP and numbers of proposals of AR in its published table."""

BUCKETS_S = (0.0, 0.4, 0.8, 1.2, math.inf)
"""Bucket borders of the lengths of forged spans: low <= length < high."""


@dataclass(frozen=True)
class ScoreOptions:
    """Options of `score`. Raises UsageError for invalid values."""

    iou_thresholds: Sequence[float] | None = None  # of AP; None: those of the truth's preset
    n_proposals: Sequence[int] | None = None  # of AR; None: those of the preset
    subsets: Sequence[Subset] = tuple(SUBSETS)
    buckets: Sequence[float] = BUCKETS_S  # increasing borders of span lengths, s; fewer than two: no buckets
    n_bootstrap: int = 0  # resamples of the videos for the intervals; 0: none
    missing: Missing = "error"  # for a video without proposals: an error, or an empty list ("zero")
    seed: int = 0  # seed of the resamples

    def __post_init__(self) -> None:
        ious, counts = self.iou_thresholds or (), self.n_proposals or ()
        _refuse("IoU thresholds", "above 0 and below 1", ious, all(0 < iou < 1 for iou in ious))
        _refuse("numbers of proposals", "1 or more", counts, all(n >= 1 for n in counts))
        _refuse("subsets", f"of {', '.join(SUBSETS)}", self.subsets, set(self.subsets) <= set(SUBSETS))
        _refuse("buckets", "increasing lengths", self.buckets, all(a < b for a, b in pairwise(self.buckets)))
        _refuse("bootstrap", "0 or more", self.n_bootstrap, self.n_bootstrap >= 0)
        _refuse("missing", "error or zero", self.missing, self.missing in ("error", "zero"))


@dataclass(frozen=True)
class Score:
    """All metrics of one proposals file."""

    preset: str
    subsets: tuple[Group, ...]
    buckets: tuple[Group, ...]  # of the full set
    notes: tuple[str, ...]
    n_bootstrap: int
    seed: int
    level: float = 0.95
    rated: Rated | None = field(default=None, repr=False, compare=False)  # the data of the plots

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON; None if undefined."""
        bootstrap = {"resamples": self.n_bootstrap, "seed": self.seed, "level": self.level}
        return {
            "format": "fakespan.score/1",
            "preset": self.preset,
            "subsets": [group.to_dict() for group in self.subsets],
            "buckets": [group.to_dict() for group in self.buckets],
            "bootstrap": bootstrap if self.n_bootstrap else None,
            "notes": list(self.notes),
        }


def read_both(proposals: str | Path, metadata: str | Path, fps: float = FPS) -> tuple[Proposals, Truth]:
    """Read both inputs of `score` concurrently, the proposals in a thread, which also computes their tally.

    Args, Raises: as `read_proposals` and `read_truth`; if both files are invalid, the error of the proposals.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(_read_and_count, proposals, fps)
        try:
            truth = read_truth(metadata)
        finally:
            found = waiting.result()
    return found, truth


def _read_and_count(path: str | Path, fps: float) -> Proposals:
    found = read_proposals(path, fps)
    _ = found.tally  # NumPy and Arrow run while the interpreter parses the metadata
    return found


def score(
    proposals: Mapping[str, ArrayLike],
    truth: Truth,
    options: ScoreOptions | None = None,
    progress: Progress | None = None,
) -> Score:
    """Score proposals.

    Args:
        proposals: name -> (n, 3) score, begin, end in seconds; see `read_proposals`.
        truth: the videos to score; see `read_truth`.
        options: None: the metrics of the published table.
        progress: called with the number of resamples done and their total.

    Raises:
        DataError: invalid proposals (see `check`), or no forged spans.
    """
    options = options or ScoreOptions()
    usual_ious, usual_counts = USUAL[truth.preset]
    ious, counts = tuple(options.iou_thresholds or usual_ious), tuple(options.n_proposals or usual_counts)
    found, notes = check(Proposals.of(proposals), truth, options.missing)
    rated = Rated(truth, Pairs.of(found, truth.labels, min(0.5, *ious)), ious, counts)
    # the point values, each with its videos or labels
    chosen = [_videos(truth, name) for name in options.subsets]
    edges = list(pairwise(options.buckets))
    groups = [rated.subset(name, videos) for name, videos in zip(options.subsets, chosen, strict=True)]
    parts = [rated.bucket(bucket_name(low, high), low, high) for low, high in edges]
    if options.n_bootstrap:
        labels = [rated.in_bucket(low, high) for low, high in edges]
        of_groups, of_parts = list(zip(groups, chosen, strict=True)), list(zip(parts, labels, strict=True))
        resamples = Resamples(options.n_bootstrap, options.seed, Score.level)
        groups, parts = resampled(rated, of_groups, of_parts, resamples, progress)
    return Score(
        truth.preset, tuple(groups), tuple(parts), tuple(notes), options.n_bootstrap, options.seed, rated=rated
    )


def bucket_name(low_s: float, high_s: float) -> str:
    """Description of a range of lengths.

    >>> bucket_name(0, 0.4), bucket_name(0.4, 0.8), bucket_name(1.2, math.inf)
    ('under 0.4 s', '0.4 to 0.8 s', '1.2 s and more')
    """
    if high_s == math.inf:
        return f"{low_s:g} s and more"
    return f"{low_s:g} to {high_s:g} s" if low_s > 0 else f"under {high_s:g} s"


def _videos(truth: Truth, subset: Subset) -> BoolArray:
    """(V,) mask of the videos of a subset."""
    dropped = SUBSETS[subset]
    return np.asarray(truth.kinds != (-1 if dropped is None else KINDS.index(dropped)))


def _refuse(name: str, expected: str, got: object, is_fine: bool) -> None:
    if not is_fine:
        raise UsageError(name, expected=expected, got=str(got), remedy="change it")
