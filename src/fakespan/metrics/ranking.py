"""AUC of video-level scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fakespan.errors import DataError

__all__ = ["auc"]


def auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Area under the ROC curve: probability that a forged video scores above a real one; a tie counts as half.

    Args:
        scores: (n,) one score per video.
        truth: (n,) true for forged videos.

    Returns:
        0..1; 0.5 is chance.

    Raises:
        DataError: the lengths differ, a score is NaN, or only one class is present.

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
        raise DataError("AUC", expected="forged and real videos", got=got, remedy="evaluate a set with both classes")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of equal scores, from 1
    return float((ranks[forged].sum() - n_forged * (n_forged + 1) / 2) / (n_forged * n_real))
