"""How good a localizer is: on practice forgeries of held-out clips, and on published sets.

Importing it loads no torch, so that a proposals file can be rated without: names are resolved when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fakespan.evaluate' has no attribute {name!r}")
    home = "dataset" if name in ("Evaluation", "SetOptions", "evaluate_set") else "practice"
    return getattr(importlib.import_module(f"fakespan.evaluate.{home}"), name)


def __dir__() -> list[str]:
    return __all__
