"""One-dimensional spans: overlap, soft-NMS, merging.

Contract: `iou` and `soft_nms` take and give float arrays in any one unit of time (frames or seconds); `merge` takes and
gives `Segment`s in seconds. Independent of maps, files and networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fakespan.arrays import Float64Array
from fakespan.errors import UsageError
from fakespan.types import Segment

__all__ = ["heard_once", "iou", "merge", "soft_nms", "strongest"]

F = TypeVar("F", bound=np.floating[Any])

BLOCK = 1024
"""Candidates per block of `_Pool`: about the square root of the cells of a one-hour map."""


def iou(a: ArrayLike, b: ArrayLike) -> Float64Array:
    """Intersection over union of every span of `a` with every span of `b`.

    Args:
        a: (n, 2) begin and end.
        b: (m, 2) begin and end, in the same unit.

    Returns:
        (n, m) in 0..1; 0 where both spans are empty.

    Raises:
        UsageError: an argument is not of shape (n, 2).

    >>> iou([[0, 2]], [[1, 3], [2, 4], [0, 2]]).round(3).tolist()
    [[0.333, 0.0, 1.0]]
    """
    first, second = _table(a, 2, "a"), _table(b, 2, "b")
    return overlap(first[:, None, 0], first[:, None, 1], second[None, :, 0], second[None, :, 1])


def overlap(
    begin_a: NDArray[F], end_a: NDArray[F], begin_b: NDArray[F] | float, end_b: NDArray[F] | float
) -> NDArray[F]:
    """IoU of spans whose begins and ends broadcast against each other, in their own precision."""
    shared = np.maximum(np.minimum(end_a, end_b) - np.maximum(begin_a, begin_b), 0)
    union = (end_a - begin_a) + (end_b - begin_b) - shared
    # if the union is empty the intersection is 0, so any divisor is correct
    shares: NDArray[F] = shared / np.where(union > 0, union, 1)
    return shares


def soft_nms(
    proposals: ArrayLike,
    alpha: float = 0.7234,
    t1: float = 0.1968,
    t2: float = 0.4123,
    fps: float = 25.0,
    *,
    max_proposals: int = 101,
    floor: float = 0.0,
    keep_last: bool = False,
) -> Float64Array:
    """Soft non-maximum suppression of BMN (arXiv 1907.09702, section 4.3), as BA-TFD publishes it.

    The best proposal is selected; the score of every other one is multiplied by exp(-IoU^2 / alpha) if their IoU is
    above t1 + (t2 - t1) * (length of the selected one in seconds). This repeats until `max_proposals` are selected or
    one is left. Ties are broken by earlier begin, then by input order.

    Args:
        proposals: (n, 3) score, begin, end in frames.
        alpha: decay parameter; larger values penalise overlap less.
        t1: IoU above which a selected span of zero length penalises its neighbours.
        t2: the same for a selected span of one second.
        fps: frames per second; 1 if begin and end are in seconds.
        max_proposals: maximum number of proposals.
        floor: proposals with a score below it, original or decayed, are not selected.
        keep_last: select the last candidate too. The published loop never does, which has no effect while there are
            more candidates than `max_proposals`, and loses the only candidate of a map that has one.

    Returns:
        (k, 3) score after decay, begin, end, in order of selection, so scores never increase.

    Raises:
        UsageError: `proposals` is not of shape (n, 3) or holds NaN.

    >>> soft_nms([[0.9, 0, 10], [0.8, 0, 10], [0.7, 50, 60]]).round(3).tolist()
    [[0.9, 0.0, 10.0], [0.7, 50.0, 60.0]]
    """
    table = _table(proposals, 3, "proposals")
    worthy = table[table[:, 0] >= floor]
    n_takes = max(0, min(max_proposals, len(worthy), len(table) - (not keep_last)))
    taken = _takes(_Pool(worthy), floor, alpha, lambda length: t1 + (t2 - t1) * length / fps)
    return np.array(list(itertools.islice(taken, n_takes)), dtype=np.float64).reshape(-1, 3)


def _takes(
    pool: _Pool, floor: float, alpha: float, reach: Callable[[float], float]
) -> Iterator[tuple[float, float, float]]:
    """The best candidate of the pool, again and again, each after the former one has decayed its neighbours.

    `reach` gives the IoU above which a taken span of some length does so.
    """
    while True:
        best = pool.best()
        score, begin, end = pool.proposal(best)
        if score < floor:
            return
        yield score, begin, end
        pool.remove(best)
        pool.decay(begin, end, threshold=reach(end - begin), alpha=alpha)


class _Pool:
    """Candidates sorted by begin, with the best score per block, for fast lookup of overlaps and of the maximum.

    Each step only visits spans that can overlap the selected one, so the time grows about linearly with the number of
    candidates. Input sorted by begin (as returned by `boundary_map.decode`) is not sorted again.
    """

    def __init__(self, table: Float64Array) -> None:
        begins = table[:, 1]
        if np.any(begins[1:] < begins[:-1]):
            table = table[np.argsort(begins, kind="stable")]
        self.begins, self.ends = np.ascontiguousarray(table[:, 1]), np.ascontiguousarray(table[:, 2])
        self.lengths = self.ends - self.begins
        self.longest = float(self.lengths.max(initial=0))
        n_blocks = max(1, -(-len(table) // BLOCK))
        self.scores = np.full(n_blocks * BLOCK, -np.inf)  # padding of the last block is never selected
        self.scores[: len(table)] = table[:, 0]
        self.blocks = self.scores.reshape(n_blocks, BLOCK)  # a view: writes to scores show here
        self.tops = self.blocks.max(axis=1)

    def best(self) -> int:
        """Index of the highest score, the first of equals."""
        block = int(self.tops.argmax())
        return block * BLOCK + int(self.blocks[block].argmax())

    def proposal(self, index: int) -> tuple[float, float, float]:
        """Score, begin and end of a candidate."""
        return float(self.scores[index]), float(self.begins[index]), float(self.ends[index])

    def remove(self, index: int) -> None:
        """Remove a candidate; an empty span overlaps nothing."""
        self.scores[index], self.ends[index], self.lengths[index] = -np.inf, self.begins[index], 0
        self._refresh(index, index + 1)

    def decay(self, begin: float, end: float, threshold: float, alpha: float) -> None:
        """Decay the score of every span whose IoU with [begin, end] is above the threshold."""
        if end <= begin:
            return
        low = int(self.begins.searchsorted(begin - self.longest, side="left"))
        high = int(self.begins.searchsorted(end, side="left"))
        near = slice(low, high)
        # as `overlap`, but without special cases: empty and disjoint pairs give 0 or less here
        shared = np.minimum(self.ends[near], end) - np.maximum(self.begins[near], begin)
        shares = shared / (self.lengths[near] + (end - begin) - shared)
        hit = np.flatnonzero(shares > max(threshold, 0.0))
        self.scores[low + hit] *= np.exp(-np.square(shares[hit]) / alpha)
        self._refresh(low, high)

    def _refresh(self, low: int, high: int) -> None:
        touched = slice(low // BLOCK, -(-high // BLOCK))
        self.tops[touched] = self.blocks[touched].max(axis=1)


def strongest(proposals: ArrayLike) -> Float64Array:
    """Hard NMS: keep the proposals that do not overlap a better one that is kept.

    Args:
        proposals: (n, 3) score, begin, end in any one unit.

    Returns:
        (k, 3) best first; spans that only touch are both kept. Ties keep their input order.

    Raises:
        UsageError: `proposals` is not of shape (n, 3) or holds NaN.

    >>> strongest([[0.6, 8, 12], [0.9, 0, 10], [0.7, 10, 20]]).tolist()
    [[0.9, 0.0, 10.0], [0.7, 10.0, 20.0]]
    """
    left = _table(proposals, 3, "proposals")
    left = left[np.argsort(-left[:, 0], kind="stable")]
    kept = np.zeros((0, 3))
    while len(left):
        best = left[0]
        kept = np.vstack([kept, best])
        left = left[1:]
        left = left[np.minimum(left[:, 2], best[2]) <= np.maximum(left[:, 1], best[1])]
    return kept


def merge(segments: Sequence[Segment], gap_s: float = 0.04) -> list[Segment]:
    """Merge segments of the same modality and track that overlap, touch, or are less than `gap_s` apart.

    A merged segment spans from the first start to the last end and has the maximum score of its parts. The order of the
    input does not matter, and merging is idempotent.

    Args:
        segments: in any order.
        gap_s: gaps shorter than this, in seconds, are closed; the default is one frame at 25 fps. 0 merges only
            segments that overlap or touch.

    Returns:
        New segments, sorted by start, then end, modality and track.

    >>> merge([Segment(1.0, 1.4, 0.6, "audio"), Segment(1.2, 1.9, 0.8, "audio")])
    [Segment(start_s=1.0, end_s=1.9, score=0.8, modality='audio', track=None, tier=None, genuine_per_hour=None)]
    """
    reach_s = max(gap_s - 1e-9, 0.0)  # a gap of exactly one frame stays open, whatever the rounding of its ends
    merged: list[Segment] = []
    for segment in sorted(segments, key=_by_kind):
        last = merged[-1] if merged else None
        if last is not None and _same_kind(last, segment) and segment.start_s - last.end_s <= reach_s:
            stronger = max(last, segment, key=lambda s: s.score)
            merged[-1] = replace(stronger, start_s=last.start_s, end_s=max(last.end_s, segment.end_s))
        else:
            merged.append(segment)
    return sorted(merged, key=_by_time)


def heard_once(segments: Sequence[Segment], min_iou: float = 0.5) -> list[Segment]:
    """One segment for each event in the sound, which is heard beside every face, and where no face is seen.

    Two segments with this overlap are one event if the sound is suspected in either. What is left has the times, the
    score and the face of the stronger one, and is in sound and picture if the picture is suspected in either. Forgeries
    in the picture alone of two faces stay two. The order of the segments does not matter.

    >>> heard_once([Segment(1.0, 1.4, 0.6, "audio"), Segment(1.0, 1.5, 0.8, "both", 0)])
    [Segment(start_s=1.0, end_s=1.5, score=0.8, modality='both', track=0, tier=None, genuine_per_hour=None)]
    """
    kept: list[Segment] = []
    for segment in sorted(segments, key=lambda s: (-s.score, *_by_kind(s))):
        same = next((k for k, other in enumerate(kept) if _is_one_event(segment, other, min_iou)), None)
        if same is None:
            kept.append(segment)
        elif kept[same].modality != segment.modality:
            track = segment.track if kept[same].track is None else kept[same].track
            kept[same] = replace(kept[same], modality="both", track=track)
    return sorted(kept, key=_by_time)


def _is_one_event(a: Segment, b: Segment, min_iou: float) -> bool:
    if a.modality == b.modality == "visual":
        return False
    return bool(iou([[a.start_s, a.end_s]], [[b.start_s, b.end_s]])[0, 0] >= min_iou)


def _same_kind(a: Segment, b: Segment) -> bool:
    return a.modality == b.modality and a.track == b.track


def _by_kind(segment: Segment) -> tuple[str, int, float, float, float]:
    return segment.modality, _track_number(segment), segment.start_s, segment.end_s, segment.score


def _by_time(segment: Segment) -> tuple[float, float, str, int, float]:
    return segment.start_s, segment.end_s, segment.modality, _track_number(segment), segment.score


def _track_number(segment: Segment) -> int:
    return -1 if segment.track is None else segment.track


def _table(values: ArrayLike, n_columns: int, name: str) -> Float64Array:
    """The values as a float array of `n_columns`; an empty list is a table without rows."""
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0:
        return np.zeros((0, n_columns))
    if table.ndim != 2 or table.shape[1] != n_columns:
        raise UsageError(name, expected=f"an array (n, {n_columns})", got=f"{table.shape}", remedy="reshape it")
    if np.isnan(table).any():
        raise UsageError(name, expected="numbers", got="NaN", remedy="check the network's output")
    return table
