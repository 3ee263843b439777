"""Reasons for stopping a run: too many unreadable clips, or non-finite numbers."""

from __future__ import annotations

from dataclasses import dataclass

from fakespan.errors import DataError, FakespanError
from fakespan.train.step import Counters, Plan, Step

__all__ = ["Trouble", "not_finite", "nothing_validated", "too_many_damaged"]

LEAST_DAMAGED, MOST_DAMAGED = 10, 0.01  # number and share of unreadable clips at which a run is stopped


@dataclass(frozen=True)
class Trouble:
    """The reason for stopping a run; it is sent between processes, and its `error` is shown to the user."""

    kind: type[FakespanError]
    subject: str
    expected: str
    got: str
    remedy: str

    @property
    def error(self) -> FakespanError:
        """The exception to raise."""
        return self.kind(self.subject, expected=self.expected, got=self.got, remedy=self.remedy)


def too_many_damaged(counters: Counters, plan: Plan, *, is_readable: bool) -> Trouble | None:
    """Trouble if there are too many unreadable clips.

    Args:
        counters: counters with the unreadable clips.
        plan: the plan of the run.
        is_readable: whether there is a batch at all; without one a single unreadable clip is too many.
    """
    n_damaged = len(counters.damaged)
    n_seen = (counters.step + 1) * plan.total_batch
    n_seen = min(n_seen, plan.n_clips) if plan.n_clips else n_seen
    if is_readable and not (n_damaged >= LEAST_DAMAGED and n_damaged > MOST_DAMAGED * n_seen):
        return None
    first = next(iter(counters.damaged.values()), "no clip could be read")
    got = f"{n_damaged} unreadable of about {n_seen} (the first: {first})"
    remedy = "check the data set with `fakespan info --data` and remove the damaged clips"
    return Trouble(DataError, "the training set", "readable clips", got, remedy)


def not_finite(step: Step, what: str, value: float) -> Trouble:
    """Trouble: a loss or a gradient of the step is NaN or infinite."""
    remedy = "lower learning_rate, or check these clips; the state before this step is in last.ckpt"
    got = f"{value} on {', '.join(step.names)}"
    return Trouble(FakespanError, f"step {step.number}", f"a finite {what}", got, remedy)


def nothing_validated() -> Trouble:
    """Trouble: no validation clip could be read."""
    return Trouble(DataError, "validation", "readable clips", "none", "check the files of the data set")
