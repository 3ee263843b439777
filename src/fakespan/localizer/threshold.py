"""Fits the threshold such that most real clips stay below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.boundary_map import decode
from fakespan.errors import DataError

if TYPE_CHECKING:
    from fakespan.localizer import Localizer

__all__ = ["pick_threshold", "top_score"]


def top_score(localizer: Localizer, faces: UInt8Array | None, sound: Float32Array | None) -> float:
    """The score of the best proposal of one decoded clip; see `Localizer.judge_clip`. 0 if there is none."""
    score_map = localizer.judge_clip(faces, sound).at_file_clock().score
    return float(decode(score_map, score_map.shape[1], localizer.post.decoding)[:, 0].max(initial=0.0))


def pick_threshold(top_scores: Sequence[float], share: float = 0.95) -> float:
    """The score below which this share of the real clips stays.

    Rounded up to 0.001, so that it is never 0 and the share is maintained.

    Args:
        top_scores: best scores of real clips, see `top_score`.
        share: 0..1.

    Raises:
        DataError: there are no real clips.

    >>> pick_threshold([0.1, 0.2, 0.3], share=0.5)
    0.201
    """
    if not top_scores:
        remedy = "give a set with real validation clips"
        raise DataError("threshold", expected="real clips for fitting", got="none", remedy=remedy)
    return min(1.0, (math.floor(float(np.quantile(top_scores, share, method="inverted_cdf")) * 1000) + 1) / 1000)
