"""How good a localizer is: on published sets, and on practice forgeries of held-out clips.

What proposals are worth is the affair of `fakespan.scoring`, which needs no torch.
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
