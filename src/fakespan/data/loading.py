"""Clips of a set, read ahead batch by batch, for whoever judges all of them: nothing that is wrong with one stops it.

Contract: which clips go together is planned by their lengths and the batch size alone, so that a run that was killed
and goes on judges them in the same company. A clip that cannot be read comes as `Unreadable` in its place.
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
N_SORTED = 16  # batches whose clips are put in order of length, so that little padding is computed


@dataclass(frozen=True)
class Unreadable:
    """A clip that could not be read, and what is wrong with it."""

    name: str
    message: str


def plan(durations_s: Sequence[float], batch_size: int) -> list[list[int]]:
    """Which clips go together: near in the set, and among those near in length.

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
    """The batches, decoded ahead.

    Args:
        clips: the set.
        batches: numbers of clips, see `plan`.
        n_workers: processes that decode; 0 decodes in this one.
        context: how they are started, for instance "spawn"; as the platform does it unless given.
    """
    if n_workers:
        cv2.setNumThreads(1)  # a process that is forked while OpenCV has threads hangs
    options: dict[str, Any] = {"prefetch_factor": 2, "worker_init_fn": _one_thread} if n_workers else {}
    if n_workers and context:
        options["multiprocessing_context"] = context
    yield from DataLoader(
        _Readable(clips), batch_sampler=batches, num_workers=n_workers, collate_fn=_as_they_are, **options
    )


@contextmanager
def living_workers(source: str, n_done: Callable[[], int]) -> Iterator[None]:
    """A loader's worker that dies (memory, a file that breaks the decoder) is told; torch interrupts whatever runs."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        got = f"one that died after {n_done()} clips"
        remedy = "run again to go on; with fewer --workers if memory ran out"
        raise DataError(source, expected="decoders that live", got=got, remedy=remedy) from error


def default_workers() -> int:
    """One for each core that this process may use but one."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, n_cores - 1)


class _Readable(Dataset["Example | Unreadable"]):
    """The set, with what is wrong with a clip in place of an error."""

    def __init__(self, clips: ClipSet) -> None:
        self.clips = clips

    def __getitem__(self, k: int) -> Example | Unreadable:
        try:
            return self.clips[k]
        except FakespanError as error:
            return Unreadable(self.clips.samples[k].name, str(error))
        except Exception as error:  # whatever a hostile file does to a decoder, the others are read
            return Unreadable(self.clips.samples[k].name, f"{type(error).__name__}: {error}")


def _as_they_are(examples: list[Example | Unreadable]) -> list[Example | Unreadable]:
    return examples


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
