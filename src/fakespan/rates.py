"""How often genuine recordings reach a score, and what follows: tiers of evidence, and the chance of a whole file.

A model file may hold the scores of the false segments that were found in some minutes of genuine sound and picture.
Up to the fifth highest of them the rate of a score is the number that reach it by the minute. Beyond, an exponential
tail of the logit is assumed (peaks over a threshold, of a distribution in Gumbel's domain: Pickands, Ann. Statist. 3,
1975); its mean excess is that of the twenty highest and two standard errors more, and no rate is said to be below one
in ten times the measured minutes. So rates of high scores are rather too high than too low.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fakespan.errors import ConfigError

__all__ = ["MOST_GENUINE", "TIER_MINUTES", "FalseSegments", "GenuineRates", "Minutes", "Tier"]

Tier = Literal["weak", "moderate", "strong", "very_strong"]

TIER_MINUTES: Mapping[Tier, float] = {"weak": 0.0, "moderate": 10.0, "strong": 60.0, "very_strong": 600.0}
"""Tier -> minutes of genuine material in which its scores are reached once, or less often; each begins at a score."""

MOST_GENUINE = 0.05
"""A file does not count as forged as a whole if more than so many genuine ones of its length reach its score."""

N_SEEN = 5  # segments from which on a rate is their number by the minute
N_TAIL = 20  # highest scores that the tail is fitted to
LONGEST_GAP = 10.0  # rates go down to one false segment in so many times the measured minutes
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

    @cached_property
    def _mean_excess(self) -> float:
        """Of the highest scores over the lowest among them, in logits, and two standard errors more."""
        *highest, lowest = map(_logit, self.scores[:N_TAIL])
        mean = sum(score - lowest for score in highest) / len(highest)
        return max(mean * (1 + 2 / math.sqrt(len(highest))), CLIP)


@dataclass(frozen=True)
class Minutes:
    """How much of a file was judged; each face counts by itself."""

    visual: float = 0.0
    audio: float = 0.0


@dataclass(frozen=True)
class GenuineRates:
    """What was measured in genuine sound and in genuine picture, each by its own expert, on the scale of the scores."""

    visual: FalseSegments | None = None
    audio: FalseSegments | None = None

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

    def _counts(self, modality: Literal["audio", "visual", "both"]) -> list[FalseSegments | None]:
        chosen = {"visual": [self.visual], "audio": [self.audio], "both": [self.visual, self.audio]}
        return chosen[modality]


def _logit(score: float) -> float:
    clipped = min(max(score, CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))


def _bad(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"rates.{key}", expected=expected, got=f"{got!r:.60}", remedy="calibrate the model again")
