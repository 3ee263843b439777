"""Why a run cannot go on: too many damaged clips, or numbers that are not finite."""

from __future__ import annotations

from dataclasses import dataclass

from fakespan.errors import DataError, FakespanError
from fakespan.train.step import Counters, Plan, Step

__all__ = ["Trouble", "not_finite", "nothing_validated", "too_many_damaged"]

LEAST_DAMAGED, MOST_DAMAGED = 10, 0.01  # clips, and their share of the clips seen, from which a run is stopped


@dataclass(frozen=True)
class Trouble:
    """Why a run cannot go on; it travels between processes, and its `error` is what the user sees."""

    kind: type[FakespanError]
    subject: str
    expected: str
    got: str
    remedy: str

    @property
    def error(self) -> FakespanError:
        """To be raised."""
        return self.kind(self.subject, expected=self.expected, got=self.got, remedy=self.remedy)


def too_many_damaged(counters: Counters, plan: Plan, *, is_readable: bool) -> Trouble | None:
    """Trouble, if the clips that could not be read are too many.

    Args:
        counters: with the damaged clips.
        plan: of the run.
        is_readable: whether there is a batch at all; without one a single damaged clip is too many.
    """
    n_damaged = len(counters.damaged)
    n_seen = (counters.step + 1) * plan.total_batch
    n_seen = min(n_seen, plan.n_clips) if plan.n_clips else n_seen
    if is_readable and not (n_damaged >= LEAST_DAMAGED and n_damaged > MOST_DAMAGED * n_seen):
        return None
    first = next(iter(counters.damaged.values()), "no clip could be read")
    got = f"{n_damaged} damaged of about {n_seen} (the first: {first})"
    remedy = "look at the set with `fakespan info --data`, leave the damaged clips out"
    return Trouble(DataError, "the training set", "clips that can be read", got, remedy)


def not_finite(step: Step, what: str, value: float) -> Trouble:
    """Trouble: a loss or a gradient of the step is NaN or infinite."""
    remedy = "lower learning_rate, or look at these clips; the state before this step is in last.ckpt"
    got = f"{value} on {', '.join(step.names)}"
    return Trouble(FakespanError, f"step {step.number}", f"a finite {what}", got, remedy)


def nothing_validated() -> Trouble:
    """Trouble: not one validation clip could be read."""
    return Trouble(DataError, "validation", "clips that can be read", "none", "look at the set's files")
