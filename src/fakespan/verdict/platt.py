"""Calibration of raw scores to probabilities on validation clips: Platt scaling by Newton's method.

Source: Platt (1999), "Probabilistic outputs for support vector machines", with the line search of Lin, Lin and Weng
(2007). Deviations: the margin is replaced by the score's logit, and a negative slope is replaced by the smallest
positive one, so that a higher score never means a lower probability.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float64Array
from fakespan.metrics.binary import best_threshold
from fakespan.models.verdict_head import CALIBRATION_FLOOR, Calibration, WayFit

__all__ = ["MIN_SCALE", "clipped", "fit_calibration", "fit_way"]


MIN_SCALE = 1e-3
"""Smallest slope: it keeps the order of the scores, with probabilities within 0.5 % of the share of fakes."""
MAX_STEPS = 100
ENOUGH = 1e-10  # stopping criterion: gradient per clip


def fit_way(scores: ArrayLike, truth: ArrayLike) -> WayFit:
    """Fit the threshold (by balanced accuracy) and the calibration of one method.

    Args:
        scores: (n,) raw scores in 0..1 of the validation clips.
        truth: (n,) true for fake clips.

    Raises:
        DataError: a score is NaN, or only one class is present.
    """
    return WayFit.of(best_threshold(clipped(scores), truth), fit_calibration(scores, truth))


def fit_calibration(scores: ArrayLike, truth: ArrayLike) -> Calibration:
    """Fit slope and offset over the logit of the scores, by maximum likelihood.

    The targets are (f + 1) / (f + 2) for the f fakes and 1 / (r + 2) for the r real clips instead of 1 and 0, as Platt
    proposes: the result is finite even if the scores separate the classes. The probability holds for clips with the
    same share of fakes.

    Arguments and errors as `fit_way`; with only one class, the targets alone determine the probability.
    """
    forged = np.asarray(truth, dtype=bool)
    logits = np.log(clipped(scores) / (1 - clipped(scores)))
    targets = np.where(forged, (forged.sum() + 1) / (forged.sum() + 2), 1 / ((~forged).sum() + 2))
    centre, spread = float(logits.mean()), max(float(logits.std()), 1e-9)
    slope, offset = _newton(np.stack([(logits - centre) / spread, np.ones(len(logits))], axis=1), targets)
    scale = slope / spread
    if scale >= MIN_SCALE:
        return Calibration(float(scale), float(offset - scale * centre))
    flat = _newton(np.ones((len(logits), 1)), targets, MIN_SCALE * logits)
    return Calibration(MIN_SCALE, float(flat[0]))


def clipped(scores: ArrayLike) -> Float64Array:
    """Clip scores to the range in which their logits are distinct."""
    return np.clip(np.asarray(scores, dtype=np.float64), CALIBRATION_FLOOR, 1 - CALIBRATION_FLOOR)


def _newton(inputs: Float64Array, targets: Float64Array, fixed: Float64Array | float = 0.0) -> Float64Array:
    """Maximum-likelihood weights (k,) of the inputs (n, k) in sigmoid(inputs @ weights + fixed)."""
    weights, loss = np.zeros(inputs.shape[1]), _loss(fixed + np.zeros(len(inputs)), targets)
    for _ in range(MAX_STEPS):
        predicted = 0.5 * (1 + np.tanh((inputs @ weights + fixed) / 2))
        gradient = inputs.T @ (predicted - targets)
        if np.abs(gradient).max() <= ENOUGH * len(inputs):
            break
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (found := _loss(inputs @ (weights - size * step) + fixed, targets)) > loss and size > 1e-10:
            size /= 2
        if found > loss:
            break  # no improvement within rounding
        weights, loss = weights - size * step, found
    return weights


def _loss(logits: Float64Array, targets: Float64Array) -> float:
    """Cross-entropy of sigmoid(logits), without overflow."""
    return float((np.logaddexp(0, logits) - targets * logits).sum())
