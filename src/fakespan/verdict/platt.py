"""From raw scores to probabilities, fitted on validation clips: Platt scaling by Newton's method.

Source: Platt (1999), "Probabilistic outputs for support vector machines", with the line search of Lin, Lin and Weng
(2007). Deviations: the score's logit takes the place of the margin, and a score that falls where it should rise gets
the smallest slope instead of a negative one, so that a higher score is never a lower probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float64Array
from fakespan.metrics.binary import best_threshold
from fakespan.models.verdict_head import CALIBRATION_FLOOR, Calibration, WayFit

__all__ = ["MIN_SCALE", "fit_calibration", "fit_way", "held"]


MIN_SCALE = 1e-3
"""Smallest slope: scores keep their order, and the probability stays within half a percent of the share of fakes."""
MAX_STEPS = 100
ENOUGH = 1e-10  # of the gradient, for each clip


def fit_way(scores: ArrayLike, truth: ArrayLike) -> WayFit:
    """Threshold (the largest balanced accuracy) and calibration of one way.

    Args:
        scores: (n,) raw scores in 0..1 of the validation clips.
        truth: (n,) true where a clip is fake.

    Raises:
        DataError: a score is NaN, or only one of the two kinds is present.
    """
    return WayFit.of(best_threshold(held(scores), truth), fit_calibration(scores, truth))


def fit_calibration(scores: ArrayLike, truth: ArrayLike) -> Calibration:
    """Slope and offset over the logit of the scores, by maximum likelihood.

    The targets are not 1 and 0 but (f + 1) / (f + 2) for the f fakes and 1 / (r + 2) for the r real clips, as Platt
    proposes: finite even where the scores part the kinds. The probability holds for clips of which as large a share is
    fake as here.

    Arguments and errors as `fit_way`; of one kind only, the targets alone say how sure to be.
    """
    forged = np.asarray(truth, dtype=bool)
    logits = np.log(held(scores) / (1 - held(scores)))
    targets = np.where(forged, (forged.sum() + 1) / (forged.sum() + 2), 1 / ((~forged).sum() + 2))
    centre, spread = float(logits.mean()), max(float(logits.std()), 1e-9)
    slope, offset = _newton(np.stack([(logits - centre) / spread, np.ones(len(logits))], axis=1), targets)
    scale = slope / spread
    if scale >= MIN_SCALE:
        return Calibration(float(scale), float(offset - scale * centre))
    flat = _newton(np.ones((len(logits), 1)), targets, MIN_SCALE * logits)
    return Calibration(MIN_SCALE, float(flat[0]))


def held(scores: ArrayLike) -> Float64Array:
    """Scores as calibration sees them: equal where their logits would be."""
    return np.clip(np.asarray(scores, dtype=np.float64), CALIBRATION_FLOOR, 1 - CALIBRATION_FLOOR)


def _newton(inputs: Float64Array, targets: Float64Array, fixed: Float64Array | float = 0.0) -> Float64Array:
    """Weights (k,) of the inputs (n, k) that make sigmoid(inputs @ weights + fixed) most likely."""
    weights, loss = np.zeros(inputs.shape[1]), _loss(fixed + np.zeros(len(inputs)), targets)
    for _ in range(MAX_STEPS):
        said = 0.5 * (1 + np.tanh((inputs @ weights + fixed) / 2))
        gradient = inputs.T @ (said - targets)
        if np.abs(gradient).max() <= ENOUGH * len(inputs):
            break
        curvature = (inputs * (said * (1 - said))[:, None]).T @ inputs + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (found := _loss(inputs @ (weights - size * step) + fixed, targets)) > loss and size > 1e-10:
            size /= 2
        if found > loss:
            break  # no better place within rounding
        weights, loss = weights - size * step, found
    return weights


def _loss(logits: Float64Array, targets: Float64Array) -> float:
    """Cross-entropy of sigmoid(logits), without an overflow."""
    return float((np.logaddexp(0, logits) - targets * logits).sum())
