"""How often genuine recordings reach a score, and what follows: tiers of evidence, and the chance of a whole file.

A model file may hold the scores of the false segments that were found in some minutes of genuine sound and picture.
Up to the fifth highest of them the rate of a score is the number that reach it by the minute. Beyond, an exponential
tail of the logit is assumed (peaks over a threshold, of a distribution in Gumbel's domain: Pickands, Ann. Statist. 3,
1975); its mean excess is that of the twenty highest and two standard errors more, and no rate is said to be below one
in ten times the measured minutes. So rates of high scores are rather too high than too low.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fakespan.errors import ConfigError

__all__ = ["LEAST_FORGED", "MOST_GENUINE", "TIER_MINUTES", "FalseSegments", "GenuineRates", "Minutes", "Tier"]

Tier = Literal["weak", "moderate", "strong", "very_strong"]

TIER_MINUTES: Mapping[Tier, float] = {"weak": 0.0, "moderate": 10.0, "strong": 60.0, "very_strong": 600.0}
"""Tier -> minutes of genuine material in which its scores are reached once, or less often; each begins at a score."""

MOST_GENUINE = 0.05
"""A file does not count as forged as a whole if more than so many genuine ones of its length reach its score."""

N_SEEN = 5  # segments from which on a rate is their number by the minute
N_TAIL = 20  # highest scores that the tail is fitted to
LONGEST_GAP = 10.0  # rates go down to one false segment in so many times the measured minutes
LEAST_FORGED = 20  # forged files from which on a probability is given
STEP = 0.1  # logits between the scores at which the ratio is looked at
LOGISTIC_QUARTILES = 2 * math.log(3)  # distance of the quartiles of the logistic distribution of width 1
LEAST_WIDTH = 0.2
MOST_SCORES = 10_000
MOST_MINUTES = 1e7
CLIP = 1e-6


@dataclass(frozen=True)
class FalseSegments:
    """The false segments of some minutes of genuine sound or picture.

    Raises ConfigError unless the minutes are above 0 and the scores are falling numbers in 0..1.
    """

    minutes: float  # that were judged
    scores: tuple[float, ...]  # the highest ones, largest first

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= MOST_MINUTES:
            raise _bad("minutes", "a number above 0", self.minutes)
        falls = all(a >= b for a, b in zip(self.scores, self.scores[1:], strict=False))
        if len(self.scores) > MOST_SCORES or not falls or not all(0 <= score <= 1 for score in self.scores):
            raise _bad("scores", f"at most {MOST_SCORES} numbers in 0..1, largest first", self.scores)

    def per_minute(self, score: float) -> float:
        """False segments per minute that reach a score. Below the lowest stored score it is that one's rate."""
        if len(self.scores) < N_SEEN:  # the suspected segment counts as one more, so that no rate is 0
            return (1 + sum(other >= score for other in self.scores)) / self.minutes
        border = self.scores[N_SEEN - 1]
        if score <= border:
            return sum(other >= score for other in self.scores) / self.minutes
        tail = N_SEEN * math.exp((_logit(border) - _logit(score)) / self._mean_excess)
        return max(tail, 1 / LONGEST_GAP) / self.minutes

    @property
    def range(self) -> tuple[float, float] | None:
        """The logits between which `smooth` holds: of the lowest and highest score; None: too few segments."""
        return (_logit(self.scores[-1]), _logit(self.scores[0])) if len(self.scores) >= N_TAIL else None

    def smooth(self, logit: float) -> float:
        """False segments per minute that reach a logit: through every doubling of their number, then the plain tail."""
        logits, logs = self._doublings
        if logit < logits[-1]:
            import numpy as np  # noqa: PLC0415 - configs are read without it

            return math.exp(np.interp(logit, logits, logs))
        return math.exp(logs[-1] - (logit - logits[-1]) / max(self._excess, CLIP))

    @cached_property
    def _doublings(self) -> tuple[list[float], list[float]]:
        """Rising logits and the logarithms of their rates: of the 20th, 40th, 80th ... highest and the lowest score."""
        numbers = [N_TAIL << k for k in range(20) if N_TAIL << k < len(self.scores)] + [len(self.scores)]
        numbers.reverse()
        return [_logit(self.scores[n - 1]) for n in numbers], [math.log(n / self.minutes) for n in numbers]

    @cached_property
    def _mean_excess(self) -> float:
        """Two standard errors above the measured one."""
        return max(self._excess * (1 + 2 / math.sqrt(min(N_TAIL, len(self.scores)) - 1)), CLIP)

    @cached_property
    def _excess(self) -> float:
        """Mean excess of the highest scores over the lowest among them, in logits."""
        *highest, lowest = map(_logit, self.scores[:N_TAIL])
        return sum(score - lowest for score in highest) / len(highest)


@dataclass(frozen=True)
class Minutes:
    """How much of a file was judged; each face counts by itself."""

    visual: float = 0.0
    audio: float = 0.0


@dataclass(frozen=True)
class GenuineRates:
    """What was measured in genuine sound and in genuine picture, each by its own expert, on the scale of the scores.

    Raises ConfigError if the scores of forged files are not numbers in 0..1.
    """

    visual: FalseSegments | None = None
    audio: FalseSegments | None = None
    forged: tuple[float, ...] = ()  # scores of files with a forged span, for the probability of a file

    def __post_init__(self) -> None:
        if len(self.forged) > MOST_SCORES or not all(0 <= score <= 1 for score in self.forged):
            raise _bad("forged", f"at most {MOST_SCORES} numbers in 0..1", self.forged)

    @property
    def tells_probability(self) -> bool:
        """Whether enough forged files were measured for a probability."""
        return len(self.forged) >= LEAST_FORGED

    def per_minute(self, score: float, modality: Literal["audio", "visual", "both"]) -> float | None:
        """How often a genuine minute of this modality reaches a score; "both": in either. None: not measured."""
        counts = self._counts(modality)
        return None if None in counts else sum(count.per_minute(score) for count in counts if count is not None)

    def tier(self, score: float, modality: Literal["audio", "visual", "both"]) -> Tier | None:
        """The tier of a score; none whose border is longer than what was measured. None: nothing was measured."""
        rate = self.per_minute(score, modality)
        if rate is None:
            return None
        measured = min(count.minutes for count in self._counts(modality) if count is not None)
        fitting = [tier for tier, minutes in TIER_MINUTES.items() if minutes <= measured and rate * minutes <= 1]
        return fitting[-1]

    def tier_scores(self, modality: Literal["audio", "visual"]) -> dict[Tier, float | None]:
        """The lowest score of each tier, in steps of 0.001; None: a tier that is not given."""
        order = list(TIER_MINUTES)
        found: dict[Tier, float | None] = dict.fromkeys(TIER_MINUTES)
        for step in range(1000, -1, -1):
            tier = self.tier(step / 1000, modality)
            for reached in order[: 0 if tier is None else order.index(tier) + 1]:
                found[reached] = step / 1000
        return found

    def expected(self, score: float, judged: Minutes) -> float | None:
        """False segments that reach a score in that much genuine material; None: not measured."""
        parts = [
            (judged.visual, None if self.visual is None else self.visual.per_minute(score)),
            (judged.audio, None if self.audio is None else self.audio.per_minute(score)),
        ]
        rates = [(minutes, rate) for minutes, rate in parts if minutes > 0]
        if not rates or any(rate is None for _, rate in rates):
            return None
        return sum(minutes * rate for minutes, rate in rates if rate is not None)

    def chance(self, score: float, judged: Minutes) -> float | None:
        """The chance that genuine material of that length reaches a score (false segments as a Poisson process)."""
        expected = self.expected(score, judged)
        return None if expected is None else -math.expm1(-expected)

    def likelihood_ratio(self, score: float, judged: Minutes) -> float | None:
        """How much more often a forged file than a genuine one of that length has a score near this one.

        The score of a forged file is that of its forged span or of a false segment beside it, whichever is higher; the
        logits of forged spans are taken as logistic, with the quartiles of `forged`. The ratio never falls as the score
        rises, and rises no more above the highest false segment of either kind that was measured.
        None: not measured, or nothing was judged.
        """
        pairs = [(judged.visual, self.visual), (judged.audio, self.audio)]
        parts = [(minutes, count) for minutes, count in pairs if minutes > 0]
        ranges = [None if count is None else count.range for _, count in parts]
        if not self.tells_probability or not ranges or None in ranges:
            return None
        low, high = (max(ends[k] for ends in ranges if ends is not None) for k in (0, 1))

        def expected(logit: float) -> float:
            return sum(minutes * count.smooth(logit) for minutes, count in parts if count is not None)

        last = min(_logit(score), high)
        steps = range(math.ceil(max(0.0, last - low) / STEP))
        return max([self._reached(low), *(self._ratio_at(last - STEP * k, expected) for k in steps)])

    def probability(self, score: float, judged: Minutes, prior: float) -> float | None:
        """That a file is forged, by Bayes' rule, if so many of the files are forged before they are looked at."""
        ratio = self.likelihood_ratio(score, judged)
        return None if ratio is None else prior * ratio / (1 - prior + prior * ratio)

    def _ratio_at(self, logit: float, expected: Callable[[float], float]) -> float:
        """The ratio of the chances of a score within half a logit of one."""
        above, below = (math.exp(-expected(logit + side)) for side in (0.5, -0.5))
        forged = self._reached(logit + 0.5) * above - self._reached(logit - 0.5) * below
        return forged / (above - below) if above - below > CLIP else 0.0

    def _reached(self, logit: float) -> float:
        """The share of forged spans whose score is below this one."""
        middle, width = self._spans
        return _sigmoid((logit - middle) / width)

    @cached_property
    def _spans(self) -> tuple[float, float]:
        """Middle and width of the logistic distribution of the logits of forged spans."""
        low, middle, high = statistics.quantiles(map(_logit, self.forged), n=4)
        return middle, max((high - low) / LOGISTIC_QUARTILES, LEAST_WIDTH)

    def _counts(self, modality: Literal["audio", "visual", "both"]) -> list[FalseSegments | None]:
        chosen = {"visual": [self.visual], "audio": [self.audio], "both": [self.visual, self.audio]}
        return chosen[modality]


def _sigmoid(logit: float) -> float:
    return 0.5 * (1 + math.tanh(logit / 2))


def _logit(score: float) -> float:
    clipped = min(max(score, CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))


def _bad(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"rates.{key}", expected=expected, got=f"{got!r:.60}", remedy="calibrate the model again")
