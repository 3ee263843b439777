"""A run: what is listed and not yet in the table is scanned, and the table takes it in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fakespan.bulk.engines import Engine
from fakespan.bulk.listing import Item, listing
from fakespan.bulk.outcome import Outcome
from fakespan.bulk.places import version_of
from fakespan.bulk.table import Table

__all__ = ["Report", "State", "scan_all"]

_FLUSH_S = 60.0  # at most so much work is lost by a kill


@dataclass
class State:
    """How far a run is."""

    done: int = 0  # files of this run
    skipped: int = 0  # that were in the table
    failed: int = 0  # of this run
    listed: int | None = None  # files in the inputs; None while they are being counted
    started_s: float = 0.0

    @property
    def files_per_hour(self) -> float:
        """Of this run, on average."""
        return 3600.0 * self.done / max(time.monotonic() - self.started_s, 1e-3)

    @property
    def left_s(self) -> float | None:
        """Time left at this rate; None if it cannot be known yet."""
        if self.listed is None or not self.done:
            return None
        return max(self.listed - self.skipped - self.done, 0) * 3600.0 / self.files_per_hour


Report = Callable[[State, Outcome], None]
"""Called after each file."""


def scan_all(
    inputs: Sequence[str], table: Table, engine: Engine, report: Report, *, column: str | None = None
) -> State:
    """Scan the files that are not in the table.

    Args:
        inputs: see `listing`.
        table: takes in the outcomes; a part is written every minute, or when it is full.
        engine: does the work.
        report: called after each file.
        column: of lists that have several.

    Raises:
        FakespanError: the inputs cannot be listed, or no file can be scanned, for instance for want of a model.
    """
    state, flushed_s = State(started_s=time.monotonic()), time.monotonic()
    threading.Thread(target=_count, args=(state, inputs, column), daemon=True).start()
    known = frozenset(table.contents)
    outcomes = engine(_unfinished(listing(inputs, column), table, state), known)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            table.add(outcome)
            state.done += 1
            state.failed += outcome.state == "failed"
            report(state, outcome)
            if time.monotonic() - flushed_s > _FLUSH_S:
                table.flush()
                flushed_s = time.monotonic()
    return state


def _unfinished(items: Iterable[Item], table: Table, state: State) -> Iterator[Item]:
    for item in items:
        known = table.has_name(item.name)
        if known and table.has(item if item.version else Item(item.name, version_of(item.name))):
            state.skipped += 1
        else:
            yield item


def _count(state: State, inputs: Sequence[str], column: str | None) -> None:
    """Count the files meanwhile, for the time left; an input that cannot be listed is told by the run itself."""
    n = 0
    try:
        for _ in listing(inputs, column):
            n += 1
    except Exception:
        return
    state.listed = n
