"""How good a localizer is: on practice forgeries of held-out clips, and on published sets."""

from fakespan.evaluate.dataset import Evaluation, SetOptions, evaluate_set
from fakespan.evaluate.practice import (
    FalseAlarms,
    Rating,
    evaluate_split,
    false_alarms,
    pick_threshold,
    propose,
    rate,
    rate_by_kind,
)

__all__ = [
    "Evaluation",
    "FalseAlarms",
    "Rating",
    "SetOptions",
    "evaluate_set",
    "evaluate_split",
    "false_alarms",
    "pick_threshold",
    "propose",
    "rate",
    "rate_by_kind",
]
