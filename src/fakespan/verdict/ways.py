"""The ways from the maps of a clip to one score for it: the two that a head knows, and two cheap ones beside them.

    maximum   the largest score of the deciding map (`boundary_map.peak`)
    mlp       the head's network over that map
    frames    the largest probability of the frame classifiers, of sight or sound
    proposal  the score of the first proposal after soft-NMS, decoded as published

The first proposal is the one that soft-NMS leaves alone, so "proposal" is the maximum again, but for what the published
decoding reads otherwise: it passes over spans of one frame and reaches one frame beyond the clip.
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
    """Raw scores of clips, each way."""

    names: tuple[str, ...]
    forged: BoolArray  # (n,)
    scores: Mapping[str, Float64Array]  # way -> (n,) in 0..1


def frame_maximum(frames: Float32Array) -> float:
    """The largest of the frame probabilities (2, n) of sight and sound; a missing one is NaN, or 0.

    >>> frame_maximum(np.array([[0.25, 0.5], [np.nan, np.nan]], np.float32))
    0.5
    """
    return float(np.fmax.reduce(frames, axis=None, initial=0.0))


def top_proposal(score_map: Float32Array, post: PostConfig = POST) -> float:
    """The score of the first proposal of a map (D, n) after soft-NMS, decoded as published; 0 where there is none.

    >>> top_proposal(np.array([[0.9, 0, 0], [0, 0.5, 0]], np.float32))
    0.5
    """
    n_frames = score_map.shape[1]
    proposals = decode(score_map, n_frames, "published")
    kept = soft_nms(proposals, post.nms_alpha, post.nms_t1, post.nms_t2, max_proposals=1, keep_last=True)
    return float(kept[0, 0]) if len(kept) else 0.0


CHEAP = ("frames", "proposal")
"""The ways that need no head and that nobody published: there to be compared with."""


def labels_of(maps: MapSet) -> BoolArray:
    """(n,) true where a clip is fake.

    Raises:
        DataError: there is no clip, or all are of one kind.
    """
    forged = np.array([entry.label == 1 for entry in maps.entries], dtype=bool)
    if forged.all() or not forged.any():
        got = f"{int(forged.sum())} fake and {int((~forged).sum())} real"
        raise DataError(maps.folder, expected="maps of fake and of real clips", got=got, remedy="take a split of both")
    return forged


def score_maps(maps: MapSet, head: Head, progress: Progress | None = None) -> Scored:
    """Every clip's score, each way that there is; "mlp" only where the head has a network.

    Args:
        maps: of the head's own localizer.
        head: its calibration and its thresholds play no part.
        progress: called with clips done and wanted.

    Raises:
        DataError: there is no clip, all are of one kind, or a map holds NaN.
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
    """The map (D, n) of clip k; raises DataError where it holds NaN."""
    score_map = np.ascontiguousarray(maps.fused(k), dtype=np.float32)
    if np.isnan(score_map).any():
        where = f"{maps.folder}: {maps.entries[k].name}"
        raise DataError(where, expected="a map of numbers", got="NaN", remedy="check the model, and make the maps anew")
    return score_map
