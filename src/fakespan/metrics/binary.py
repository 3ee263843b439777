"""Metrics of video-level scores: ranking (ROC, EER, AP), decisions and calibration.

Contract: scores or probabilities (n,) and labels (n,) in, numbers out; independent of files, maps and methods. Every
metric accepts `counts` (n,), how often each video was drawn, for use with `bootstrap_interval`; it is NaN if undefined
for a draw. A video is classified as forged if its score reaches the threshold, so equal scores get the same decision.

Definitions: AP is the step-wise area under precision over recall (no interpolation); EER is the intersection of the
linearly interpolated ROC curve with the line of equal errors; ECE (arXiv 1706.04599, section 3) uses 15 bins of equal
width over the probability of "forged", not over the confidence of the decision as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import BoolArray, Float64Array, Int64Array
from fakespan.errors import DataError, UsageError

__all__ = [
    "N_BINS",
    "BinaryScores",
    "Reliability",
    "accuracy",
    "balanced_accuracy",
    "best_threshold",
    "brier",
    "eer",
    "expected_calibration_error",
    "reliability",
    "roc_curve",
    "score_precision",
]


N_BINS = 15
"""Bins of the expected calibration error and of the reliability diagram."""
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class BinaryScores:
    """Scores sorted once, for the many resamples of a bootstrap."""

    values: Float64Array  # (m,) the distinct scores, ascending
    places: Int64Array  # (n,) index into values
    forged: BoolArray  # (n,)

    @classmethod
    def of(cls, scores: ArrayLike, truth: ArrayLike) -> BinaryScores:
        """Build from scores (n,) and labels (n,), true for forged.

        Raises:
            DataError: the lengths differ, a score is NaN, or only one of the two kinds is present.
        """
        numbers, forged = _checked(scores, truth)
        if forged.all() or not forged.any():
            got = f"{int(forged.sum())} forged and {int((~forged).sum())} real"
            raise DataError(
                "scores", expected="forged and real videos", got=got, remedy="evaluate a set with both classes"
            )
        values, places = np.unique(numbers, return_inverse=True)
        return cls(values, places.reshape(-1).astype(np.int64), forged)

    def roc(self, counts: ArrayLike | None = None) -> tuple[Float64Array, Float64Array]:
        """Share of real (false alarms) and of forged videos (hits) at or above each threshold.

        Returns:
            Two arrays (m + 1,): for an infinite threshold, then for each distinct score from the highest on; all NaN if
            the draw has only one class.
        """
        real, forged = self._from_the_top(counts)
        if not real[-1] or not forged[-1]:
            return np.full(real.shape, NAN), np.full(forged.shape, NAN)
        return real / real[-1], forged / forged[-1]

    def auc(self, counts: ArrayLike | None = None) -> float:
        """Area under the ROC curve; a tie counts as half."""
        false_alarms, hits = self.roc(counts)
        return float((np.diff(false_alarms) * (hits[1:] + hits[:-1])).sum() / 2)

    def eer(self, counts: ArrayLike | None = None) -> float:
        """Equal error rate: where the false-alarm rate equals the miss rate."""
        false_alarms, hits = self.roc(counts)
        if np.isnan(hits[-1]):
            return NAN
        excess = false_alarms - (1 - hits)  # grows from -1 to 1
        k = int(np.argmax(excess >= 0))
        share = excess[k - 1] / (excess[k - 1] - excess[k])
        return float(false_alarms[k - 1] + share * (false_alarms[k] - false_alarms[k - 1]))

    def precision(self, counts: ArrayLike | None = None) -> float:
        """Average precision with forged as the positive class."""
        real, forged = self._from_the_top(counts)
        if not forged[-1]:
            return NAN
        n_above = np.maximum(real[1:] + forged[1:], 1)
        return float((np.diff(forged) * forged[1:] / n_above).sum() / forged[-1])

    def best_threshold(self) -> float:
        """The threshold with the largest balanced accuracy, halfway between two scores; the highest of ties."""
        false_alarms, hits = self.roc()
        best = int(np.argmax((hits - false_alarms)[1:]))  # argmax takes the highest threshold; infinity is excluded
        k = len(self.values) - 1 - best  # the lowest score that counts as forged
        halfway = float(self.values[k] / 2 + self.values[k - 1] / 2) if k else float(self.values[0])
        return halfway if k and halfway > self.values[k - 1] else float(self.values[k])

    def _from_the_top(self, counts: ArrayLike | None) -> tuple[Float64Array, Float64Array]:
        """Number of real and forged videos at or above each score, highest first, starting with none."""
        weights = _weights(counts, len(self.places))
        sums = [
            np.bincount(self.places, weights * kind, minlength=len(self.values)) for kind in (~self.forged, self.forged)
        ]
        real, forged = (np.concatenate([[0.0], np.cumsum(each[::-1])]) for each in sums)
        return real, forged


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: one entry per non-empty bin."""

    predicted: Float64Array  # (b,) mean probability
    observed: Float64Array  # (b,) share of forged videos
    n_videos: Float64Array  # (b,)


def roc_curve(
    scores: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """The ROC curve.

    Args:
        scores: (n,) one per video.
        truth: (n,) true for forged.
        counts: (n,) how often each video was drawn; default: once.

    Returns:
        False-alarm rate, hit rate and thresholds, (m + 1,) each, for the m distinct scores from the highest on;
        the first threshold is infinite.

    Raises:
        DataError: see `BinaryScores.of`.

    >>> [part.tolist() for part in roc_curve([0.9, 0.4, 0.4], [True, True, False])]
    [[0.0, 0.0, 1.0], [0.0, 0.5, 1.0], [inf, 0.9, 0.4]]
    """
    ranked = BinaryScores.of(scores, truth)
    false_alarms, hits = ranked.roc(counts)
    return false_alarms, hits, np.concatenate([[np.inf], ranked.values[::-1]])


def eer(scores: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Equal error rate, 0..1; arguments and errors as `roc_curve`.

    >>> eer([0.9, 0.8, 0.7, 0.2], [True, False, True, False])
    0.5
    """
    return BinaryScores.of(scores, truth).eer(counts)


def score_precision(scores: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Average precision of video-level scores, 0..1; arguments and errors as `roc_curve`.

    Not to be confused with `average_precision` of segments.

    >>> round(score_precision([0.9, 0.8, 0.7, 0.2], [True, False, True, False]), 4)
    0.8333
    """
    return BinaryScores.of(scores, truth).precision(counts)


def best_threshold(scores: ArrayLike, truth: ArrayLike) -> float:
    """The threshold with the largest balanced accuracy: halfway between two scores, the highest of ties.

    Arguments and errors as `roc_curve`.

    >>> best_threshold([0.9, 0.8, 0.2, 0.1], [True, True, False, False])
    0.5
    """
    return BinaryScores.of(scores, truth).best_threshold()


def accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float, counts: ArrayLike | None = None) -> float:
    """Share of correctly classified videos, where scores from the threshold on count as forged.

    Raises:
        DataError: the lengths differ or a score is NaN.

    >>> accuracy([0.9, 0.5, 0.5, 0.1], [True, True, False, False], 0.5)
    0.75
    """
    numbers, forged = _checked(scores, truth)
    return _mean(((numbers >= threshold) == forged).astype(np.float64), _weights(counts, len(numbers)))


def balanced_accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float, counts: ArrayLike | None = None) -> float:
    """Mean of the accuracies on forged and on real videos, independent of their numbers.

    Arguments and errors as `accuracy`; NaN if one class is missing.

    >>> balanced_accuracy([0.9, 0.9, 0.9, 0.9], [True, True, True, False], 0.5)
    0.5
    """
    numbers, forged = _checked(scores, truth)
    is_right = ((numbers >= threshold) == forged).astype(np.float64)
    weights = _weights(counts, len(numbers))
    return (_mean(is_right, weights * forged) + _mean(is_right, weights * ~forged)) / 2


def brier(probabilities: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Brier score: mean squared error of the probability of "forged".

    Raises:
        DataError: the lengths differ or a probability is NaN.
        UsageError: a probability lies outside 0..1.

    >>> round(brier([0.9, 0.2], [True, False]), 4)
    0.025
    """
    numbers, forged = _probabilities(probabilities, truth)
    return _mean(np.square(numbers - forged), _weights(counts, len(numbers)))


def expected_calibration_error(
    probabilities: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None, n_bins: int = N_BINS
) -> float:
    """Expected calibration error: mean absolute difference of predicted and observed share of fakes; 0 is best.

    Args:
        probabilities: (n,) of being forged.
        truth: (n,) true where the video is forged.
        counts: (n,) how often each video was drawn; default: once.
        n_bins: of equal width, over 0..1.

    Raises:
        DataError, UsageError: see `brier`.

    >>> round(expected_calibration_error([0.8, 0.8, 0.8, 0.8], [True, True, True, False]), 4)
    0.05
    """
    bins = reliability(probabilities, truth, counts, n_bins)
    return _mean(np.abs(bins.predicted - bins.observed), bins.n_videos)


def reliability(
    probabilities: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None, n_bins: int = N_BINS
) -> Reliability:
    """The bins of `expected_calibration_error`, for a diagram; arguments and errors as there."""
    numbers, forged = _probabilities(probabilities, truth)
    weights = _weights(counts, len(numbers))
    places = np.minimum((numbers * n_bins).astype(np.int64), n_bins - 1)
    n_videos, predicted, observed = (
        np.bincount(places, each, minlength=n_bins).astype(np.float64)
        for each in (weights, weights * numbers, weights * forged)
    )
    filled = n_videos > 0
    return Reliability(predicted[filled] / n_videos[filled], observed[filled] / n_videos[filled], n_videos[filled])


def _checked(scores: ArrayLike, truth: ArrayLike) -> tuple[Float64Array, BoolArray]:
    numbers, forged = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(truth, dtype=bool).ravel()
    n_missing = int(np.isnan(numbers).sum())
    if numbers.shape != forged.shape or n_missing:
        got = f"{numbers.size} scores, {n_missing} of them NaN, for {forged.size} videos"
        raise DataError("scores", expected="one score per video", got=got, remedy="score every video")
    return numbers, forged


def _probabilities(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Float64Array, BoolArray]:
    numbers, forged = _checked(probabilities, truth)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= 1:
        got = f"{numbers.min():g} to {numbers.max():g}"
        raise UsageError("probabilities", expected="numbers in 0..1", got=got, remedy="calibrate the scores")
    return numbers, forged


def _weights(counts: ArrayLike | None, n: int) -> Float64Array:
    weights = np.ones(n) if counts is None else np.asarray(counts, dtype=np.float64).ravel()
    if weights.shape != (n,):
        raise DataError(
            "counts",
            expected=f"one for each of {n} videos",
            got=str(weights.size),
            remedy="pass counts of the same length",
        )
    return weights


def _mean(values: Float64Array, weights: Float64Array) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total else NAN
