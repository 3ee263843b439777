"""How good one score for each whole video is: its order (ROC, EER, AP), its decisions, and its probabilities.

Contract: scores or probabilities (n,) and what is true of each video (n,) in, numbers out; files, maps and the names of
ways are unknown here. Every number can be had of a draw of the videos: `counts` (n,) says how often each was drawn, so
that `bootstrap_interval` applies; NaN where a draw leaves a number undefined. A video is called forged when its score
reaches the threshold, so equal scores are never parted.

Definitions: AP is the area of steps under precision over recall (no interpolation); EER is where the straight lines
between the points of the ROC curve meet the line of equal errors; ECE (arXiv 1706.04599, section 3) has 15 bins of
equal width over the probability of "forged", not over the confidence of the decision as there.
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
    """Scores sorted once, for the many draws of a bootstrap."""

    values: Float64Array  # (m,) the different scores, ascending
    places: Int64Array  # (n,) which of them each video has
    forged: BoolArray  # (n,)

    @classmethod
    def of(cls, scores: ArrayLike, truth: ArrayLike) -> BinaryScores:
        """Scores (n,) of videos and which of them are forged (n,).

        Raises:
            DataError: the lengths differ, a score is NaN, or only one of the two kinds is present.
        """
        numbers, forged = _checked(scores, truth)
        if forged.all() or not forged.any():
            got = f"{int(forged.sum())} forged and {int((~forged).sum())} real"
            raise DataError("scores", expected="forged and real videos", got=got, remedy="rate a set with both kinds")
        values, places = np.unique(numbers, return_inverse=True)
        return cls(values, places.reshape(-1).astype(np.int64), forged)

    def roc(self, counts: ArrayLike | None = None) -> tuple[Float64Array, Float64Array]:
        """Share of real (false alarms) and of forged videos (hits) at or above each threshold.

        Returns:
            Two arrays (m + 1,): nothing, then all from the highest score on, from the second highest on, and so forth;
            all NaN where the draw holds one kind only.
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
        """The error at which as large a share of the real is called forged as of the forged is missed."""
        false_alarms, hits = self.roc(counts)
        if np.isnan(hits[-1]):
            return NAN
        excess = false_alarms - (1 - hits)  # grows from -1 to 1
        k = int(np.argmax(excess >= 0))
        share = excess[k - 1] / (excess[k - 1] - excess[k])
        return float(false_alarms[k - 1] + share * (false_alarms[k] - false_alarms[k - 1]))

    def precision(self, counts: ArrayLike | None = None) -> float:
        """Average precision of finding the forged: the precision at each of them, in order of the scores."""
        real, forged = self._from_the_top(counts)
        if not forged[-1]:
            return NAN
        seen = np.maximum(real[1:] + forged[1:], 1)
        return float((np.diff(forged) * forged[1:] / seen).sum() / forged[-1])

    def best_threshold(self) -> float:
        """The threshold of the largest balanced accuracy, halfway between two scores; of equals the highest."""
        false_alarms, hits = self.roc()
        best = int(np.argmax((hits - false_alarms)[1:]))  # the first is the highest; calling none forged is no choice
        k = len(self.values) - 1 - best  # the lowest score that is called forged
        halfway = float(self.values[k] / 2 + self.values[k - 1] / 2) if k else float(self.values[0])
        return halfway if k and halfway > self.values[k - 1] else float(self.values[k])

    def _from_the_top(self, counts: ArrayLike | None) -> tuple[Float64Array, Float64Array]:
        """How many real and forged videos lie at or above each score, highest first, none to begin with."""
        weights = _weights(counts, len(self.places))
        sums = [
            np.bincount(self.places, weights * kind, minlength=len(self.values)) for kind in (~self.forged, self.forged)
        ]
        real, forged = (np.concatenate([[0.0], np.cumsum(each[::-1])]) for each in sums)
        return real, forged


@dataclass(frozen=True)
class Reliability:
    """What happened where so much was said: one entry for each bin that holds a video."""

    said: Float64Array  # (b,) mean probability
    happened: Float64Array  # (b,) share of forged videos
    n_videos: Float64Array  # (b,)


def roc_curve(
    scores: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """The ROC curve.

    Args:
        scores: (n,) one for each video.
        truth: (n,) true where it is forged.
        counts: (n,) how often each video was drawn; once if not given.

    Returns:
        False alarms, hits (both shares) and thresholds, (m + 1,) each, for the m different scores from the highest on;
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
    """Average precision of one score for each video, 0..1; arguments and errors as `roc_curve`.

    Not `average_precision`, which rates segments.

    >>> round(score_precision([0.9, 0.8, 0.7, 0.2], [True, False, True, False]), 4)
    0.8333
    """
    return BinaryScores.of(scores, truth).precision(counts)


def best_threshold(scores: ArrayLike, truth: ArrayLike) -> float:
    """The threshold of the largest balanced accuracy: halfway between two scores, of equally good ones the highest.

    Arguments and errors as `roc_curve`.

    >>> best_threshold([0.9, 0.8, 0.2, 0.1], [True, True, False, False])
    0.5
    """
    return BinaryScores.of(scores, truth).best_threshold()


def accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float, counts: ArrayLike | None = None) -> float:
    """Share of the videos that are called what they are, with "forged" from the threshold on.

    Raises:
        DataError: the lengths differ or a score is NaN.

    >>> accuracy([0.9, 0.5, 0.5, 0.1], [True, True, False, False], 0.5)
    0.75
    """
    numbers, forged = _checked(scores, truth)
    return _mean(((numbers >= threshold) == forged).astype(np.float64), _weights(counts, len(numbers)))


def balanced_accuracy(scores: ArrayLike, truth: ArrayLike, threshold: float, counts: ArrayLike | None = None) -> float:
    """Mean of the accuracies over the forged and over the real videos, whatever their numbers.

    Arguments and errors as `accuracy`; NaN where one of the kinds is missing.

    >>> balanced_accuracy([0.9, 0.9, 0.9, 0.9], [True, True, True, False], 0.5)
    0.5
    """
    numbers, forged = _checked(scores, truth)
    is_right = ((numbers >= threshold) == forged).astype(np.float64)
    weights = _weights(counts, len(numbers))
    return (_mean(is_right, weights * forged) + _mean(is_right, weights * ~forged)) / 2


def brier(probabilities: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None) -> float:
    """Mean squared distance of the probability of "forged" from what is true.

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
    """How far, on average, what happened lies from what was said: 0 is best.

    Args:
        probabilities: (n,) of being forged.
        truth: (n,) true where the video is forged.
        counts: (n,) how often each video was drawn; once if not given.
        n_bins: of equal width, over 0..1.

    Raises:
        DataError, UsageError: see `brier`.

    >>> round(expected_calibration_error([0.8, 0.8, 0.8, 0.8], [True, True, True, False]), 4)
    0.05
    """
    bins = reliability(probabilities, truth, counts, n_bins)
    return _mean(np.abs(bins.said - bins.happened), bins.n_videos)


def reliability(
    probabilities: ArrayLike, truth: ArrayLike, counts: ArrayLike | None = None, n_bins: int = N_BINS
) -> Reliability:
    """What is behind `expected_calibration_error`, for a diagram; arguments and errors as there."""
    numbers, forged = _probabilities(probabilities, truth)
    weights = _weights(counts, len(numbers))
    places = np.minimum((numbers * n_bins).astype(np.int64), n_bins - 1)
    n_videos, said, happened = (
        np.bincount(places, each, minlength=n_bins).astype(np.float64)
        for each in (weights, weights * numbers, weights * forged)
    )
    held = n_videos > 0
    return Reliability(said[held] / n_videos[held], happened[held] / n_videos[held], n_videos[held])


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
        raise DataError("counts", expected=f"one for each of {n} videos", got=str(weights.size), remedy="draw anew")
    return weights


def _mean(values: Float64Array, weights: Float64Array) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total else NAN
