"""Boundary maps: training targets, and decoding of predicted maps into proposals.

Entry [d, t] of a map (D, T) is the IoU of the span [t, t + d + 1] frames with the best matching forged span. Frames
stay in this module: targets take seconds, `decode` gives frames and `to_seconds` turns them into seconds. Networks,
files and suppression (`segments.soft_nms`) are unknown here.

Legend: D longest proposal in frames, T frames after padding, n_frames (n) the clip's own frames.
Paper: BA-TFD (arXiv 2204.06228, section 4) after BMN (arXiv 1907.09702, section 4.4). The targets are computed in
float32, as the published ones are: in float64 some cells that only touch a forged span would differ from them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fakespan.errors import UsageError

__all__ = [
    "at_clock",
    "boundary_targets",
    "cover",
    "decode",
    "frame_target",
    "iou_map_target",
    "peak",
    "peak_near",
    "to_frames",
    "to_seconds",
]

Decoding = Literal["aligned", "published"]


def to_frames(times_s: ArrayLike, fps: float = 25.0) -> Int64Array:
    """Frame index of each time: time * fps, rounded down.

    >>> to_frames([0.0, 0.5, 1.99]).tolist()
    [0, 12, 49]
    """
    return (np.asarray(times_s, dtype=np.float64) * fps).astype(np.int64)


def to_seconds(proposals: ArrayLike, fps: float = 25.0, start_s: float = 0.0) -> Float64Array:
    """Convert proposals from frames to seconds.

    Args:
        proposals: (k, 3) score, begin, end in frames.
        fps: frames a second.
        start_s: the time of frame 0 in the file, in seconds.

    Returns:
        (k, 3) score, begin, end in seconds.

    >>> to_seconds([[0.9, 25, 50]], start_s=10.0).tolist()
    [[0.9, 11.0, 12.0]]
    """
    seconds = np.array(proposals, dtype=np.float64).reshape(-1, 3)
    seconds[:, 1:] = start_s + seconds[:, 1:] / fps
    return seconds


def iou_map_target(
    periods_s: ArrayLike, n_frames: int, n_padded: int, max_duration: int, duration_s: float | None = None
) -> Float32Array:
    """Target of the boundary map: for every cell the largest IoU with a forged span.

    Both are shares of the clip: [t, t + d + 1] / n_frames, and the forged span / duration_s clamped to 0..1. A cell
    with t + d > n_frames is 0; one with t + d = n_frames keeps its last frame beyond the clip's end (as published).

    Args:
        periods_s: (m, 2) start and end of the forged spans in seconds; m may be 0.
        n_frames: frames of the clip.
        n_padded: T, columns of the map.
        max_duration: D, rows of the map.
        duration_s: length of the clip in seconds; n_frames / 25 when not given, as in the published code.

    Returns:
        (D, T) in 0..1.

    Raises:
        UsageError: `periods_s` is not of shape (m, 2).

    >>> iou_map_target([[0.04, 0.12]], n_frames=4, n_padded=5, max_duration=2).astype(float).round(2).tolist()
    [[0.0, 0.5, 0.5, 0.0, 0.0], [0.33, 1.0, 0.33, 0.0, 0.0]]
    """
    target = np.zeros((max_duration, n_padded), dtype=np.float32)
    begins = _shares(np.arange(n_padded), n_frames)
    lengths = (np.arange(1, max_duration + 1, dtype=np.float32) * np.float32(1 / n_frames))[:, None]
    for begin, end in _clamped(periods_s, duration_s or n_frames / 25):
        # only columns from which a span of D frames can overlap the forged one
        first = max(0, int(begin * n_frames) - max_duration - 1)
        columns = slice(first, min(n_padded, int(end * n_frames) + 2))
        starts = begins[columns]
        ends = _shares(np.arange(columns.start, columns.stop) + np.arange(1, max_duration + 1)[:, None], n_frames)
        shared = np.maximum(np.minimum(ends, end) - np.maximum(starts, begin), np.float32(0))
        np.maximum(target[:, columns], shared / (lengths - shared + end - begin), out=target[:, columns])
    return _cut(np.minimum(target, np.float32(1)), n_frames)  # an IoU can round to more than 1


def boundary_targets(
    periods_s: ArrayLike, n_frames: int, n_padded: int, max_duration: int, duration_s: float | None = None
) -> tuple[Float32Array, Float32Array]:
    """Targets of the complementary boundary generator (BA-TFD+, arXiv 2305.01979, section 3.4).

    Frame i owns an anchor of width 1/D centred on i/D (a quirk of the published code: 1/D, not 1/T); its target is the
    share of the anchor that lies within 3/n_frames around a boundary, both as shares of the clip.

    Args:
        periods_s: (m, 2) start and end of the forged spans in seconds.
        n_frames: frames of the clip.
        n_padded: T, length of the targets.
        max_duration: D.
        duration_s: length of the clip in seconds; n_frames / 25 when not given.

    Returns:
        Start and end target, (T,) each.

    Raises:
        UsageError: `periods_s` is not of shape (m, 2).
    """
    centres = np.arange(n_padded)
    lower = ((1 / max_duration) * (centres - 0.5)).astype(np.float32)
    upper = ((1 / max_duration) * (centres + 0.5)).astype(np.float32)
    targets = np.zeros((2, n_padded), dtype=np.float32)
    for period in _clamped(periods_s, duration_s or n_frames / 25):
        for target, boundary in zip(targets, period, strict=True):
            half = np.float32(1.5 / n_frames)
            covered = np.minimum(upper, boundary + half) - np.maximum(lower, boundary - half)
            np.maximum(target, covered * np.float32(max_duration), out=target)
    return targets[0], targets[1]


def frame_target(periods_s: ArrayLike, n_padded: int, fps: float = 25.0) -> Float32Array:
    """1 for every frame from int(start * fps) up to, and without, int(end * fps), else 0.

    Args:
        periods_s: (m, 2) start and end of the forged spans in seconds.
        n_padded: T, length of the target.
        fps: frames a second.

    Returns:
        (T,).

    Raises:
        UsageError: `periods_s` is not of shape (m, 2).

    >>> frame_target([[0.04, 0.12]], n_padded=5).tolist()
    [0.0, 1.0, 1.0, 0.0, 0.0]
    """
    target = np.zeros(n_padded, dtype=np.float32)
    for first, last in np.maximum(to_frames(_periods(periods_s), fps), 0):
        target[first:last] = 1
    return target


def decode(map_: ArrayLike, n_frames: int, decoding: Decoding = "aligned", min_score: float = 0.0) -> Float64Array:
    """Convert every cell of a map within the clip to a proposal.

    "aligned" decodes cell [d, t] as the span that it was trained for, [t, t + d + 1]. "published" decodes it as
    [t, t + d] and skips d = 0: every proposal ends one frame early, as in the published tables.

    Args:
        map_: (D, T) scores.
        n_frames: frames of the clip, without padding.
        decoding: how to decode a cell.
        min_score: cells below it are omitted.

    Returns:
        (k, 3) score, begin, end in frames, sorted by begin, then end.

    Raises:
        UsageError: the map is not two-dimensional, or the decoding is unknown.

    >>> decode([[0.1, 0.9, 0.2], [0.3, 0.8, 0.4]], n_frames=3, min_score=0.3).tolist()
    [[0.3, 0.0, 2.0], [0.9, 1.0, 2.0], [0.8, 1.0, 3.0]]
    """
    scores = np.asarray(map_)
    if scores.ndim != 2:
        raise UsageError("map", expected="an array (D, T)", got=f"{scores.shape}", remedy="pass one map at a time")
    if decoding not in ("aligned", "published"):
        raise UsageError("decoding", expected="aligned or published", got=decoding, remedy="choose one of them")
    extra = 1 if decoding == "aligned" else 0  # frames from t + d to the span's end
    by_begin = scores[1 - extra :, : max(n_frames, 0)].T  # (t, d): rows are sorted by begin
    lengths = np.arange(1, by_begin.shape[1] + 1)  # the shortest span is one frame with either decoding
    inside = np.arange(by_begin.shape[0])[:, None] + lengths <= n_frames
    begins, columns = np.nonzero(inside & (by_begin >= min_score))
    proposals = np.empty((len(begins), 3))
    proposals[:, 0], proposals[:, 1], proposals[:, 2] = by_begin[begins, columns], begins, begins + lengths[columns]
    return proposals


def peak(score_map: Float32Array) -> float:
    """The largest score of any span within the clip, of a map (D, n)."""
    return float(score_map[_fits(score_map)].max(initial=0.0))


def peak_near(score_map: Float32Array, begin: int, end: int) -> float:
    """The best score in a map (D, n) among spans that begin and end near frames `begin` and `end`."""
    slack = max(2, (end - begin) // 3)
    d, t = end - begin - 1, begin
    near = score_map[max(0, d - slack) : d + slack + 1, max(0, t - slack) : t + slack + 1]
    return float(near.max(initial=0.0))


def cover(score_map: Float32Array) -> Float32Array:
    """For each frame of a map (D, n) the best score of a span within the clip that covers it, (n,).

    >>> cover(np.array([[0, 0, 0, 0.1], [0, 0.5, 0, 0]], np.float32)).astype(float).round(1).tolist()
    [0.0, 0.5, 0.5, 0.1]
    """
    within = np.where(_fits(score_map), score_map, np.float32(0))
    best = within[-1]
    for row in within[-2::-1]:  # a span of d + 1 frames covers the spans of d frames at t and t + 1
        best = np.maximum(row, np.maximum(best, np.concatenate([[0.0], best[:-1]])))
    return np.asarray(best, np.float32)


def at_clock(score_map: Float32Array, n_frames: int) -> Float32Array:
    """Resample the map of a whole clip from T steps to another number of steps: (D, T) -> (D', n_frames).

    Every span within the map assigns its score to the nearest span of n_frames steps (both ends rounded, at least one
    step long); of several the maximum is kept, and cells without a source are 0. So no score changes, and no span moves
    by more than half a step at either end (one step if it had to become longer). There are D' = ceil(D n_frames / T)
    rows.

    >>> at_clock(np.array([[0, 0.9, 0], [0.5, 0, 0]], np.float32), 6)[1:].astype(float).round(1).tolist()
    [[0.0, 0.0, 0.9, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    n_rows, n_steps = score_map.shape
    d, t = np.nonzero(_fits(score_map))
    begin = np.minimum((2 * t * n_frames + n_steps) // (2 * n_steps), n_frames - 1)  # rounded half up
    end = np.maximum((2 * (t + d + 1) * n_frames + n_steps) // (2 * n_steps), begin + 1)
    moved = np.zeros((-(-n_rows * n_frames // n_steps), n_frames), np.float32)
    np.maximum.at(moved, (end - begin - 1, begin), score_map[d, t])
    return moved


def _fits(score_map: Float32Array) -> BoolArray:
    """(D, n): whether the span of each cell ends within the clip."""
    n_rows, n_steps = score_map.shape
    return np.asarray(np.arange(n_steps) + np.arange(n_rows)[:, None] < n_steps)


def _cut(target: Float32Array, n_frames: int) -> Float32Array:
    """The target with every cell beyond the clip (t + d > n_frames) set to 0."""
    n_rows, n_columns = target.shape
    first = min(max(n_frames - n_rows + 2, 0), n_columns)  # no column before it has such a cell
    beyond = np.arange(first, n_columns) + np.arange(n_rows)[:, None] > n_frames
    target[:, first:][beyond] = 0
    return target


def _shares(frames: Int64Array, n_frames: int) -> Float32Array:
    return (frames / n_frames).astype(np.float32)


def _clamped(periods_s: ArrayLike, duration_s: float) -> Float32Array:
    """Forged spans relative to the clip, (m, 2) in 0..1; spans beyond it are dropped."""
    shares = np.clip(_periods(periods_s) / duration_s, 0, 1).astype(np.float32)
    return shares[shares[:, 1] > shares[:, 0]]


def _periods(periods_s: ArrayLike) -> Float64Array:
    periods = np.asarray(periods_s, dtype=np.float64)
    if periods.size == 0:
        return np.zeros((0, 2))
    if periods.ndim != 2 or periods.shape[1] != 2:
        raise UsageError("periods", expected="an array (m, 2)", got=f"{periods.shape}", remedy="give start and end")
    return periods
