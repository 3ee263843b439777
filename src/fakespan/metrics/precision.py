"""AP at an IoU threshold: as in the published evaluators of LAV-DF and AV-Deepfake1M, and as in ActivityNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from fakespan.metrics.pairs import Pairs, claim

__all__ = ["IOU_THRESHOLDS", "Matches", "activitynet_average_precision", "average_precision", "match_proposals"]

IOU_THRESHOLDS = (0.5, 0.75, 0.95)


def average_precision(
    proposals: Mapping[str, ArrayLike],
    labels: Mapping[str, ArrayLike],
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> dict[float, float]:
    """AP@IoU: area under the interpolated precision-recall curve of the proposals of all videos, best first.

    Within a video the labels, in their order, each claim the first proposal, in the order of its list, that is not yet
    claimed and whose IoU is strictly above the threshold. Proposals of equal score (in float32) keep the order of the
    videos in `labels`. As in the published evaluator the curve begins at the first proposal, not at recall 0: if that
    is a true positive it adds no area, and a perfect result with n labels gets 1 - 1/n.

    Args:
        proposals: name -> (n, 3) score, begin, end in seconds.
        labels: name -> (m, 2) start and end in seconds.
        iou_thresholds: the thresholds (AV-Deepfake1M adds 0.9).

    Returns:
        Threshold -> AP in 0..1.

    Raises:
        DataError: an array has the wrong shape, there are no labels, or no video of `labels` has proposals.

    >>> average_precision({"a": [[0.9, 1, 2], [0.8, 4, 5]]}, {"a": [[1, 2], [4, 5]]}, [0.5])
    {0.5: 0.5}
    """
    matches = match_proposals(proposals, labels, iou_thresholds)
    return {threshold: matches.average_precision(threshold) for threshold in iou_thresholds}


def activitynet_average_precision(
    proposals: Mapping[str, ArrayLike],
    labels: Mapping[str, ArrayLike],
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> dict[float, float]:
    """AP@IoU as in the ActivityNet detection benchmark (arXiv 1808.03766), for one class.

    The proposals of all videos, best score first, each take the unclaimed label of their video with the largest IoU, if
    that is at least the threshold; the others are false positives. Precision is interpolated and the area begins at
    recall 0, so a perfect result gets 1. Deviation: float32 as everywhere here, and ties keep their order.

    Args, Returns and Raises as `average_precision`.

    >>> activitynet_average_precision({"a": [[0.9, 1, 2], [0.8, 4, 5]]}, {"a": [[1, 2], [4, 5]]}, [0.5])
    {0.5: 1.0}
    """
    matches = match_activitynet(Pairs.of(proposals, labels, min(iou_thresholds, default=0.5)), iou_thresholds)
    return {threshold: matches.average_precision(threshold) for threshold in iou_thresholds}


def match_proposals(
    proposals: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike], iou_thresholds: Sequence[float]
) -> Matches:
    """Match labels to proposals at every threshold (see `average_precision`).

    Raises:
        DataError: as `average_precision`.
    """
    return match_pairs(Pairs.of(proposals, labels, min(iou_thresholds, default=0.5)), iou_thresholds)


def match_pairs(pairs: Pairs, iou_thresholds: Sequence[float]) -> Matches:
    """The same for precomputed pairs, whose floor must not exceed the lowest threshold."""
    made = {t: claim(pairs, np.flatnonzero(pairs.share > np.float32(t))) for t in iou_thresholds}
    return Matches(pairs, *_apart(made))


def match_activitynet(pairs: Pairs, iou_thresholds: Sequence[float]) -> Matches:
    """Match proposals, best first, to labels (see `activitynet_average_precision`)."""
    order = np.lexsort((pairs.label, -pairs.share, pairs.proposal, -pairs.proposals.score[pairs.proposal], pairs.video))
    made = {t: claim(pairs, order[pairs.share[order] >= np.float32(t)]) for t in iou_thresholds}
    return Matches(pairs, *_apart(made), from_zero=True)


def _apart(
    made: Mapping[float, tuple[Int64Array, Int64Array]],
) -> tuple[dict[float, Int64Array], dict[float, Int64Array]]:
    return {t: labels for t, (labels, _) in made.items()}, {t: proposals for t, (_, proposals) in made.items()}


@dataclass(frozen=True, eq=False)
class Matches:
    """The true positives at each IoU threshold, computed once for AP, its curve and its bootstrap."""

    pairs: Pairs
    labels: dict[float, Int64Array]  # IoU threshold -> matched labels
    right: dict[float, Int64Array]  # IoU threshold -> their proposals, in the same order
    from_zero: bool = False  # the area begins at recall 0, not at the first proposal

    @cached_property
    def n_labels(self) -> Int64Array:
        """(V,) number of labels of each video."""
        return np.diff(self.pairs.labels.offsets)

    @cached_property
    def ranks(self) -> dict[float, Int64Array]:
        """IoU threshold -> rank of each true positive, ascending."""
        together = np.concatenate([np.zeros(0, dtype=np.int64), *self.right.values()])
        ends = np.cumsum([len(right) for right in self.right.values()])
        places = np.split(self.pairs.proposals.tally.places(together), ends[:-1])
        return {t: np.sort(of_right) for t, of_right in zip(self.right, places, strict=True)}

    def hits(self, threshold: float) -> BoolArray:
        """(P,) whether each proposal is a true positive, best score first."""
        flags = np.zeros(self.pairs.proposals.n_proposals, dtype=bool)
        flags[self.ranks[threshold]] = True
        return flags

    def average_precision(self, threshold: float, counts: ArrayLike | None = None) -> float:
        """AP at one of the matched thresholds; `counts` (V,) is how often each video is drawn (default: once).

        NaN if the drawn videos have no labels.
        """
        n_found, n_seen = self._steps(threshold) if counts is None else self.drawn(counts)[threshold]
        n_labels = self.n_labels.sum() if counts is None else self.n_labels @ np.asarray(counts)
        return self.area(n_found, n_seen, int(n_labels))

    def drawn(self, counts: ArrayLike) -> dict[float, tuple[Int64Array, Int64Array]]:
        """For a draw of videos: threshold -> true positives, and all proposals, up to each true positive."""
        weights = np.take(np.asarray(counts, dtype=np.int32), self.pairs.video_by_score)
        return weigh(weights, self.ranks)

    def curve(self, threshold: float) -> tuple[Float64Array, Float64Array]:
        """Recall and precision after each true positive, best score first."""
        n_found, n_seen = self._steps(threshold)
        return n_found / max(int(self.n_labels.sum()), 1), n_found / n_seen

    def area(self, n_found: Int64Array, n_seen: Int64Array, n_labels: int) -> float:
        """Area under the interpolated precision over recall.

        Args:
            n_found: true positives up to and including each true positive.
            n_seen: number of proposals up to and including each true positive. Precision only falls until the next true
                positive, so these points include every maximum.
            n_labels: recall 1; NaN is returned for 0.
        """
        if not n_labels:
            return float("nan")
        if len(n_found) == 0:
            return 0.0
        best_later = np.maximum.accumulate((n_found / n_seen)[::-1])[::-1]
        area = (np.diff(n_found, prepend=0) * best_later).sum()  # no BLAS: its threads cost more than they save
        if not self.from_zero and n_found[0] == n_seen[0]:
            area -= best_later[0]  # the published curve begins at the first proposal
        return float(area / n_labels)

    def _steps(self, threshold: float) -> tuple[Int64Array, Int64Array]:
        ranks = self.ranks[threshold]
        return np.arange(1, len(ranks) + 1), ranks + 1


def weigh(weights: Int32Array, ranks: Mapping[float, Int64Array]) -> dict[float, tuple[Int64Array, Int64Array]]:
    """True positives, and all proposals, up to each true positive, with weighted proposals (best first)."""
    n_seen = np.cumsum(weights, dtype=np.int64)
    steps = {}
    for threshold, places in ranks.items():
        taken = places[weights[places] > 0]
        steps[threshold] = (np.cumsum(weights[taken], dtype=np.int64), n_seen[taken])
    return steps
