"""Prefetches all clips of a set batch by batch; an unreadable clip does not stop the others.

Contract: the batches depend only on the lengths of the clips and the batch size, so that a resumed run has the same
batches. An unreadable clip is replaced by `Unreadable`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from fakespan.data.example import Example
from fakespan.data.sets import ClipSet
from fakespan.errors import DataError, FakespanError

__all__ = ["MAX_WORKERS", "Unreadable", "default_workers", "living_workers", "plan", "read_batches"]

MAX_WORKERS = 16
N_SORTED = 16  # batches whose clips are sorted by length, to reduce padding


@dataclass(frozen=True)
class Unreadable:
    """A clip that could not be read, with the error message."""

    name: str
    message: str


def plan(durations_s: Sequence[float], batch_size: int) -> list[list[int]]:
    """Plan batches of clips that are close in the set and similar in length.

    >>> plan([3.0, 1.0, 2.0, 1.0], 2)
    [[1, 3], [2, 0]]
    """
    batches: list[list[int]] = []
    block = batch_size * N_SORTED
    for first in range(0, len(durations_s), block):
        near = range(first, min(first + block, len(durations_s)))
        order = sorted(near, key=lambda k: durations_s[k]) if batch_size > 1 else list(near)
        batches += [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return batches


def read_batches(
    clips: ClipSet, batches: list[list[int]], n_workers: int, context: str | None = None
) -> Iterator[list[Example | Unreadable]]:
    """Yield the batches, decoded ahead.

    Args:
        clips: the set.
        batches: clip indices, see `plan`.
        n_workers: processes that decode; 0: this process.
        context: start method, for instance "spawn"; default: the platform's.
    """
    if n_workers:
        cv2.setNumThreads(1)  # forking while OpenCV has threads can deadlock
    options: dict[str, Any] = {"prefetch_factor": 2, "worker_init_fn": _one_thread} if n_workers else {}
    if n_workers and context:
        options["multiprocessing_context"] = context
    yield from DataLoader(
        _Readable(clips), batch_sampler=batches, num_workers=n_workers, collate_fn=_as_they_are, **options
    )


@contextmanager
def living_workers(source: str, n_done: Callable[[], int]) -> Iterator[None]:
    """Convert the RuntimeError that torch raises when a DataLoader worker dies into a DataError."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        got = f"a DataLoader worker that was killed after {n_done()} clips"
        remedy = "repeat the command to resume, with fewer --workers if memory ran out"
        raise DataError(source, expected="running decoder processes", got=got, remedy=remedy) from error


def default_workers() -> int:
    """The number of cores available to this process, less one."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, n_cores - 1)


class _Readable(Dataset["Example | Unreadable"]):
    """The set, with `Unreadable` instead of exceptions."""

    def __init__(self, clips: ClipSet) -> None:
        self.clips = clips

    def __getitem__(self, k: int) -> Example | Unreadable:
        try:
            return self.clips[k]
        except FakespanError as error:
            return Unreadable(self.clips.samples[k].name, str(error))
        except Exception as error:  # a malicious file must not stop the others
            return Unreadable(self.clips.samples[k].name, f"{type(error).__name__}: {error}")


def _as_they_are(examples: list[Example | Unreadable]) -> list[Example | Unreadable]:
    return examples


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
