"""Evaluation of a localizer on published data sets, and on practice forgeries of held-out clips.

Proposals are scored by `fakespan.scoring`, which needs no torch.
"""

from fakespan.evaluate.practice import FalseAlarms, Rating, evaluate_split, false_alarms, propose, rate, rate_by_kind
from fakespan.evaluate.run import Evaluation, SetOptions, evaluate_set

__all__ = [
    "Evaluation",
    "FalseAlarms",
    "Rating",
    "SetOptions",
    "evaluate_set",
    "evaluate_split",
    "false_alarms",
    "propose",
    "rate",
    "rate_by_kind",
]
