"""Methods that turn the maps of a clip into one score: the two of a head, and two simple baselines.

    maximum   the maximum of the fused map (`boundary_map.peak`)
    mlp       the head's network over that map
    frames    the largest probability of the visual or audio frame classifier
    proposal  the score of the first proposal after soft-NMS, decoded as published

Soft-NMS does not change the first proposal, so "proposal" equals the maximum, except that the published decoding skips
spans of one frame and includes spans that end one frame beyond the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fakespan.arrays import BoolArray, Float32Array, Float64Array
from fakespan.boundary_map import decode
from fakespan.config import PostConfig
from fakespan.errors import DataError
from fakespan.models.verdict_head import Head, Way
from fakespan.segments import soft_nms
from fakespan.types import Progress

if TYPE_CHECKING:
    from fakespan.verdict.maps import MapSet

__all__ = ["CHEAP", "Scored", "frame_maximum", "labels_of", "score_maps", "top_proposal"]


POST = PostConfig()


@dataclass(frozen=True, eq=False)
class Scored:
    """Raw scores of clips by each method."""

    names: tuple[str, ...]
    forged: BoolArray  # (n,)
    scores: Mapping[str, Float64Array]  # method -> (n,) in 0..1


def frame_maximum(frames: Float32Array) -> float:
    """The largest of the frame probabilities (2, n) of video and audio; a missing modality is NaN, or 0.

    >>> frame_maximum(np.array([[0.25, 0.5], [np.nan, np.nan]], np.float32))
    0.5
    """
    return float(np.fmax.reduce(frames, axis=None, initial=0.0))


def top_proposal(score_map: Float32Array, post: PostConfig = POST) -> float:
    """The score of the first proposal of a map (D, n) after soft-NMS, decoded as published; 0 if there is none.

    >>> top_proposal(np.array([[0.9, 0, 0], [0, 0.5, 0]], np.float32))
    0.5
    """
    n_frames = score_map.shape[1]
    proposals = decode(score_map, n_frames, "published")
    kept = soft_nms(proposals, post.nms_alpha, post.nms_t1, post.nms_t2, max_proposals=1, keep_last=True)
    return float(kept[0, 0]) if len(kept) else 0.0


CHEAP = ("frames", "proposal")
"""Baselines that need no head, for comparison."""


def labels_of(maps: MapSet) -> BoolArray:
    """(n,) true for fake clips.

    Raises:
        DataError: there are no clips, or only one class.
    """
    forged = np.array([entry.label == 1 for entry in maps.entries], dtype=bool)
    if forged.all() or not forged.any():
        got = f"{int(forged.sum())} fake and {int((~forged).sum())} real"
        raise DataError(maps.folder, expected="maps of fake and of real clips", got=got, remedy="use a split with both")
    return forged


def score_maps(maps: MapSet, head: Head, progress: Progress | None = None) -> Scored:
    """Score every clip by each available method; "mlp" only if the head has a network.

    Args:
        maps: of the head's own localizer.
        head: its calibration and thresholds are not used.
        progress: called with the number of clips done and their total.

    Raises:
        DataError: there are no clips, only one class, or a map with NaN.
    """
    forged, n = labels_of(maps), len(maps.entries)
    ways: tuple[Way, ...] = ("maximum", "mlp") if head.mlp is not None else ("maximum",)
    scores = {way: np.zeros(n) for way in (*ways, *CHEAP)}
    for k in range(n):
        score_map = deciding_map(maps, k)
        for way in ways:
            scores[way][k] = head.score(score_map, way)
        scores["frames"][k] = frame_maximum(maps.frames(k))
        scores["proposal"][k] = top_proposal(score_map)
        if progress is not None:
            progress(k + 1, n)
    return Scored(tuple(entry.name for entry in maps.entries), forged, scores)


def deciding_map(maps: MapSet, k: int) -> Float32Array:
    """The map (D, n) of clip k; raises DataError if it has NaN."""
    score_map = np.ascontiguousarray(maps.fused(k), dtype=np.float32)
    if np.isnan(score_map).any():
        where = f"{maps.folder}: {maps.entries[k].name}"
        raise DataError(
            where, expected="a map of numbers", got="NaN", remedy="check the model, and store the maps again"
        )
    return score_map
