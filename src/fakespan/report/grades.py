"""Wording of how rarely genuine recordings reach a score: tiers of segments, and the chance of a whole file."""

from __future__ import annotations

from fakespan.rates import Tier
from fakespan.types import Segment

__all__ = ["TIERS", "TIER_LIMIT", "of_genuine", "strength"]

TIERS: dict[Tier, str] = {"weak": "weak", "moderate": "moderate", "strong": "strong", "very_strong": "very strong"}
"""Display name of each tier of evidence, the weakest first."""

TIER_LIMIT = (
    "Evidence says how rarely genuine recordings reach the score of a segment: moderate once in 10 minutes, strong "
    "once in an hour, very strong once in 10 hours, or less often; weak more often. A tier is given only if at least "
    "so much genuine material was measured for the model; recordings unlike it may reach a score more often."
)


def strength(segment: Segment) -> str:
    """The tier of a segment, and what it rests on; empty if nothing was measured for the model.

    >>> strength(Segment(1.2, 1.9, 0.93, "audio", tier="moderate", genuine_per_hour=3.9))
    'moderate (once in 15 min)'
    """
    if segment.tier is None:
        return ""
    return TIERS[segment.tier] + (f" ({_once_in(segment.genuine_per_hour)})" if segment.genuine_per_hour else "")


def of_genuine(chance: float) -> str:
    """How many genuine files a chance stands for.

    >>> of_genuine(0.124), of_genuine(0.001), of_genuine(0.9999)
    ('12 of 100 genuine files', 'fewer than 1 of 100 genuine files', 'nearly all genuine files')
    """
    number = f"{100 * chance:.0f} of 100"
    number = "fewer than 1 of 100" if chance < 0.005 else "nearly all" if chance >= 0.995 else number
    return f"{number} genuine files"


def _once_in(per_hour: float) -> str:
    """A rate as the time between two events."""
    minutes = 60 / per_hour
    if minutes < 1:
        return f"once in {60 * minutes:.0f} s"
    return f"once in {minutes:.0f} min" if minutes < 120 else f"once in {minutes / 60:.0f} h"
