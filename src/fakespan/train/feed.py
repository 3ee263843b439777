"""Builds batches in DataLoader workers: clips are read, fitted to the network's clock and collated.

An unreadable clip is replaced by the next one of the set, and its name is reported with the batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fakespan.config import ModelConfig
from fakespan.data.batch import Batch, collate
from fakespan.data.clock import fit_clock
from fakespan.data.example import Example
from fakespan.errors import InputError

__all__ = ["Examples", "Fed", "Feed", "IntactClips", "make_loader"]

MAX_TRIES = 8  # maximum number of consecutive unreadable clips


class Examples(Sized, Protocol):
    """A map-style set of clips: those of banks, or the result of `fakespan.data.sets.open_set`."""

    def __getitem__(self, k: int, /) -> Example: ...


@dataclass(frozen=True)
class Fed:
    """The output of a worker."""

    batch: Batch | None  # None: no clip could be read
    longest: int = 0  # frames of the longest clip; the rest is padding
    damaged: dict[str, str] = dataclasses.field(default_factory=dict)  # clip -> error message

    def to(self, device: torch.device) -> Fed:
        """The same on another device."""
        return dataclasses.replace(self, batch=self.batch and self.batch.to(device))

    def pin_memory(self) -> Fed:
        """The same in pinned memory; called by a DataLoader."""
        return dataclasses.replace(self, batch=self.batch and self.batch.pin_memory())


class Feed(Dataset[Fed]):
    """Builds batches from clip indices.

    Args:
        examples: the set of clips.
        model: the network that will see them: its T, D, clock and whether it has a boundary generator. Networks of
            fixed length get clips padded to T, others get them padded to the longest of the batch.
    """

    def __init__(self, examples: Examples, model: ModelConfig) -> None:
        self.examples, self.model = examples, model

    def __getitem__(self, clips: list[int]) -> Fed:
        damaged: dict[str, str] = {}
        chosen = [self._read(k, damaged) for k in clips]
        examples = [example for example in chosen if example is not None]
        if len(examples) < len(clips):
            return Fed(None, damaged=damaged)
        longest = max(len(e.faces) for e in examples)
        n_padded = self.model.n_frames if self.model.is_fixed_length else longest
        batch = collate(
            examples,
            n_padded,
            self.model.max_duration,
            boundaries=self.model.boundary_generator,
            audio_encoder=self.model.audio_encoder,
        )
        return Fed(batch, longest, damaged)

    def _read(self, k: int, damaged: dict[str, str]) -> Example | None:
        """Clip k, or the next readable one."""
        for number in (k, *((k + n) % len(self.examples) for n in range(1, MAX_TRIES))):
            try:
                return fit_clock(self.examples[number], self.model.clock, self.model.n_frames)
            except InputError as error:
                damaged[_name(self.examples, number)] = str(error)
        return None


class IntactClips(Sequence[Example]):
    """Selected clips of a set, read whole, one by one; iteration skips unreadable ones.

    Args:
        examples: the set.
        clips: indices of the selected clips.
        progress: called with the number of clips done and their total.
    """

    def __init__(self, examples: Examples, clips: Sequence[int], progress: Callable[..., None] | None = None) -> None:
        self.examples, self.clips, self.progress = examples, clips, progress

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, k: int) -> Example:  # type: ignore[override]  # no slices
        return self.examples[self.clips[k]]

    def __iter__(self) -> Iterator[Example]:
        for k in range(len(self)):
            if self.progress is not None:
                self.progress(k, len(self))
            with contextlib.suppress(InputError):
                yield self[k]


def make_loader(feed: Feed, sampler: Sampler[list[int]], n_workers: int, *, pin_memory: bool) -> DataLoader[Fed]:
    """Batches in the sampler's order; each worker prefetches four.

    With workers OpenCV is restricted to one thread in this process too: forking while it has threads can deadlock.
    """
    if n_workers:
        cv2.setNumThreads(1)
    return DataLoader(
        feed,
        batch_size=None,  # the feed builds whole batches
        sampler=sampler,
        num_workers=n_workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if n_workers else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # keep the global generator for the networks
    )


def _name(examples: Examples, k: int) -> str:
    name: Callable[[int], str] | None = getattr(examples, "name", None)
    return f"clip {k}" if name is None else name(k)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
