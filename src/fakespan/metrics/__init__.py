"""How well proposals and scores match the truth: AP at an IoU, AR at a number of proposals, AUC.

Proposals are a mapping from a video's name to (n, 3) score, begin, end in seconds; labels a mapping from its name to
(m, 2) start and end of its forged spans, with m = 0 for a real one. The videos rated are those of `labels`: one without
proposals counts as one in which nothing was found, and proposals of other videos are left out (so a subset is chosen by
the labels alone). Where numbers come from, and what they mean for a file, is not known here.

Definitions: LAV-DF (arXiv 2204.06228, section 5.1), as the published evaluator computes them, in float32: where an IoU
equals a threshold, rounding decides on which side it falls, and only float32 rounds the published way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fakespan.errors import DataError
from fakespan.segments import overlap

__all__ = ["Matches", "auc", "average_precision", "average_recall", "bootstrap_interval", "match_proposals"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Proposals = Mapping[str, ArrayLike]
Labels = Mapping[str, ArrayLike]

IOU_THRESHOLDS = (0.5, 0.75, 0.95)
N_PROPOSALS = (100, 50, 20, 10)
RECALL_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))


def average_precision(
    proposals: Proposals, labels: Labels, iou_thresholds: Sequence[float] = IOU_THRESHOLDS
) -> dict[float, float]:
    """AP@IoU: area under the interpolated precision-recall curve of all videos' proposals, best first.

    Within a video the labels, in their order, each claim the first proposal, in the order of its list, that is not yet
    claimed and whose IoU is strictly above the threshold. Proposals of equal score keep the order of the videos in
    `labels`. As in the published evaluator the curve begins at the first proposal, not at recall 0: a right first
    proposal adds no area of its own, and a perfect result of n labels gets 1 - 1/n.

    Args:
        proposals: name -> (n, 3) score, begin, end in seconds.
        labels: name -> (m, 2) start and end in seconds.
        iou_thresholds: the IoUs asked for (AV-Deepfake1M adds 0.9).

    Returns:
        Threshold -> AP in 0..1.

    Raises:
        DataError: an array has the wrong shape, there is no label, or no video of `labels` has proposals.

    >>> average_precision({"a": [[0.9, 1, 2], [0.8, 4, 5]]}, {"a": [[1, 2], [4, 5]]}, [0.5])
    {0.5: 0.5}
    """
    matches = match_proposals(proposals, labels, iou_thresholds)
    return {threshold: matches.average_precision(threshold) for threshold in iou_thresholds}


def average_recall(proposals: Proposals, labels: Labels, n_proposals: Sequence[int] = N_PROPOSALS) -> dict[int, float]:
    """AR@N: the share of labels that one of the first N proposals overlaps, averaged over IoU 0.5, 0.55 ... 0.95.

    A label is found when its best IoU among the first N proposals of its video, in the order of the list, is strictly
    above the threshold.

    Args:
        proposals: name -> (n, 3) score, begin, end in seconds.
        labels: name -> (m, 2) start and end in seconds.
        n_proposals: the N asked for (AV-Deepfake1M: 50, 30, 20, 10, 5).

    Returns:
        N -> AR in 0..1.

    Raises:
        DataError: as `average_precision`.

    >>> average_recall({"a": [[0.9, 1, 2], [0.8, 4, 5]]}, {"a": [[1, 2], [4, 5]]}, [2, 1])
    {2: 1.0, 1: 0.5}
    """
    pool = _Pool.of(proposals, labels)
    best = {n: np.zeros(pool.n_labels, dtype=np.float32) for n in n_proposals}
    for label, columns, starts in pool.rounds():
        shares = pool.overlaps(label, columns)
        for n in n_proposals:
            seen = np.where(pool.rank[columns] < n, shares, np.float32(0))
            best[n][label.claimed] = np.maximum.reduceat(seen, starts)
    thresholds = np.array(RECALL_THRESHOLDS, dtype=np.float32)
    return {n: float((best[n][:, None] > thresholds).mean()) for n in n_proposals}


def auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the ROC curve: how often a forged video scores above a real one, a tie counting as half.

    Args:
        scores: (n,) one score per video.
        truth: (n,) true where the video holds a forged span.

    Returns:
        0..1; 0.5 is chance.

    Raises:
        DataError: the lengths differ, a score is NaN, or only one of the two kinds is present.

    >>> auc([0.9, 0.6, 0.6, 0.1], [True, True, False, False])
    0.875
    """
    values, forged = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(truth, dtype=bool).ravel()
    if values.shape != forged.shape or np.isnan(values).any():
        got = f"{values.size} scores, {int(np.isnan(values).sum())} of them NaN, for {forged.size} videos"
        raise DataError("AUC", expected="one score per video", got=got, remedy="score every video")
    n_forged = int(forged.sum())
    n_real = forged.size - n_forged
    if not n_forged or not n_real:
        got = f"{n_forged} forged and {n_real} real"
        raise DataError("AUC", expected="forged and real videos", got=got, remedy="rate a set with both kinds")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of equal scores, from 1
    return float((ranks[forged].sum() - n_forged * (n_forged + 1) / 2) / (n_forged * n_real))


def bootstrap_interval(
    statistic: Callable[[Ints], float], n: int, *, level: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of n videos.

    Args:
        statistic: gets (n,) counts, how often each video was drawn, and gives the statistic of that draw, for instance
            `lambda counts: matches.average_precision(0.5, counts)`. NaN leaves a draw out.
        n: how many videos there are.
        level: share of the draws inside the interval.
        n_resamples: how many draws.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        The interval's two ends.

    Raises:
        DataError: there is no video, or no draw gave a number.

    >>> values = np.array([0.2, 0.4, 0.6, 0.8])
    >>> low, high = bootstrap_interval(lambda counts: float(counts @ values / 4), 4)
    >>> 0.2 <= low < 0.5 < high <= 0.8
    True
    """
    if n < 1:
        raise DataError("bootstrap", expected="at least one video", got=str(n), remedy="rate a set with videos")
    generator = np.random.default_rng(seed)
    draws = (np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(n_resamples))
    values = np.array([statistic(counts) for counts in draws], dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        raise DataError("bootstrap", expected="a number", got="none in any draw", remedy="rate a larger set")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Matches:
    """Every proposal of a set, best score first, and whether it is right; made once, read by AP and its bootstrap."""

    hits: dict[float, Flags]  # IoU threshold -> (P,) whether the proposal was claimed by a label
    video: Ints  # (P,) index of its video
    n_labels: Ints  # (V,) labels of each video

    def average_precision(self, threshold: float, counts: Ints | None = None) -> float:
        """AP at one of the thresholds matched; `counts` (V,) says how often each video is taken (default: once).

        NaN when the videos taken have no label.
        """
        right = np.flatnonzero(self.hits[threshold])
        if counts is None:
            return _area(np.arange(1, len(right) + 1), right + 1, int(self.n_labels.sum()))
        weights = counts[self.video]
        right = right[weights[right] > 0]
        return _area(np.cumsum(weights[right]), np.cumsum(weights)[right], int(self.n_labels @ counts))


def match_proposals(proposals: Proposals, labels: Labels, iou_thresholds: Sequence[float]) -> Matches:
    """Lets the labels claim their proposals at every threshold (see `average_precision`).

    Raises:
        DataError: as `average_precision`.
    """
    pool = _Pool.of(proposals, labels)
    used = {threshold: np.zeros(len(pool.scores), dtype=bool) for threshold in iou_thresholds}
    nobody = len(pool.scores)
    for label, columns, starts in pool.rounds():
        shares = pool.overlaps(label, columns)
        for threshold, flags in used.items():
            free = (shares > np.float32(threshold)) & ~flags[columns]
            claimed = np.minimum.reduceat(np.where(free, columns, nobody), starts)
            flags[claimed[claimed < nobody]] = True
    order = np.argsort(-pool.scores, kind="stable")
    hits = {threshold: flags[order] for threshold, flags in used.items()}
    return Matches(hits, pool.video[order], np.diff(pool.label_offsets))


def _area(found: Ints, seen: Ints, n_labels: int) -> float:
    """Area under the interpolated precision over recall.

    Args:
        found: right proposals up to and with each right one.
        seen: proposals up to and with each right one. Precision only falls from there to the next right one, so that
            these points hold every maximum.
        n_labels: recall 1; NaN is returned for 0.
    """
    if not n_labels:
        return float("nan")
    if len(found) == 0:
        return 0.0
    best_later = np.maximum.accumulate((found / seen)[::-1])[::-1]
    area = np.diff(found, prepend=0) @ best_later
    if found[0] == seen[0]:
        area -= best_later[0]  # right from the start: the published curve begins at the first proposal
    return float(area / n_labels)


@dataclass(frozen=True)
class _Round:
    """The k-th label of every video that has one and has proposals."""

    claimed: Ints  # (L,) index into the flat labels
    of_column: Ints  # (P',) the same, once per proposal of its video


@dataclass(frozen=True)
class _Pool:
    """All videos' proposals and labels laid end to end, so that numpy loops over them and Python over label ranks."""

    scores: Floats  # (P,)
    spans: NDArray[np.float32]  # (P, 2) seconds
    video: Ints  # (P,) index of its video
    rank: Ints  # (P,) place in its video's list
    offsets: Ints  # (V + 1,) where each video's proposals begin
    labels: NDArray[np.float32]  # (L, 2) seconds
    label_offsets: Ints  # (V + 1,)

    @classmethod
    def of(cls, proposals: Proposals, labels: Labels) -> _Pool:
        """Lays them out in the order of `labels`; raises DataError for what cannot be rated."""
        if labels and not any(name in proposals for name in labels):
            remedy = "use the names that the labels use"
            raise DataError("proposals", expected="proposals of the labelled videos", got="none of them", remedy=remedy)
        table, offsets = _concatenate({name: proposals.get(name, ()) for name in labels}, 3, "proposals")
        spans, label_offsets = _concatenate(labels, 2, "labels")
        if len(spans) == 0:
            raise DataError("labels", expected="at least one forged span", got="none", remedy="rate fakes as well")
        lengths = np.diff(offsets)
        video = np.repeat(np.arange(len(lengths)), lengths)
        rank = np.arange(len(table)) - offsets[video]
        spans_p = np.ascontiguousarray(table[:, 1:], dtype=np.float32)
        return cls(table[:, 0], spans_p, video, rank, offsets, spans.astype(np.float32), label_offsets)

    @property
    def n_labels(self) -> int:
        return len(self.labels)

    def rounds(self) -> list[tuple[_Round, Ints, Ints]]:
        """For k = 0, 1 ...: the k-th labels, the proposals of their videos, and where each video's begin in those."""
        n_labels, n_proposals = np.diff(self.label_offsets), np.diff(self.offsets)
        found = []
        for k in range(int(n_labels.max(initial=0))):
            videos = np.flatnonzero((n_labels > k) & (n_proposals > 0))
            if len(videos) == 0:
                continue
            lengths = n_proposals[videos]
            starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
            columns = np.arange(lengths.sum()) + np.repeat(self.offsets[videos] - starts, lengths)
            claimed = self.label_offsets[videos] + k
            found.append((_Round(claimed, np.repeat(claimed, lengths)), columns, starts))
        return found

    def overlaps(self, round_: _Round, columns: Ints) -> NDArray[np.float32]:
        """IoU of each of these proposals with its video's label of this round."""
        spans, labels = self.spans[columns], self.labels[round_.of_column]
        return overlap(spans[:, 0], spans[:, 1], labels[:, 0], labels[:, 1])


def _concatenate(tables: Mapping[str, ArrayLike], n_columns: int, what: str) -> tuple[Floats, Ints]:
    """The tables end to end, (sum of n, n_columns), and where each begins."""
    parts = [_table(name, table, n_columns, what) for name, table in tables.items()]
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    together = np.concatenate(parts) if parts else np.zeros((0, n_columns))
    if np.isnan(together).any():
        raise DataError(what, expected="numbers", got="NaN", remedy="leave out what has no score or time")
    return together, offsets


def _table(name: str, values: ArrayLike, n_columns: int, what: str) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0:
        return np.zeros((0, n_columns))
    if table.ndim != 2 or table.shape[1] != n_columns:
        remedy = "give score, begin, end" if n_columns == 3 else "give start, end"
        raise DataError(f"{what} of {name}", expected=f"numbers (n, {n_columns})", got=f"{table.shape}", remedy=remedy)
    return table
