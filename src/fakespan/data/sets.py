"""Opens all sources of clips: data sets in their published layout, and prepared stores.

A set is a map-style torch Dataset with random access; media is opened only when a clip is read, so that it can be sent
to DataLoader workers. Examples are whole clips at 25 fps; `data.clock.fit_clock` and `data.batch.collate` turn them
into batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from torch.utils.data import Dataset

from fakespan.config import Framing
from fakespan.data.clip import Faces, read_example
from fakespan.data.example import Example, refuse_damaged
from fakespan.data.loaders import LOADERS
from fakespan.data.manifest import Manifest, load_manifest
from fakespan.data.store import Store
from fakespan.errors import UsageError
from fakespan.types import Sample, Subset

__all__ = ["ClipSet", "kinds", "named", "open_set"]


class ClipSet(Dataset[Example]):
    """The clips of a sequence of samples.

    Args:
        source: the source as named by the user.
        samples: in the order of the set.
        read: reads the Example of a sample; must be picklable.
    """

    def __init__(self, source: str, samples: tuple[Sample, ...], read: Callable[[Sample], Example]) -> None:
        self.source, self.samples, self._read = source, samples, read

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, k: int) -> str:
        """Name of the k-th clip."""
        return self.samples[k].name

    def __getitem__(self, k: int) -> Example:
        """The k-th clip. Raises MediaError or DataError if it cannot be read, IndexError beyond the end."""
        return self._read(self.samples[k])


def kinds() -> tuple[str, ...]:
    """Valid kinds, the part of a source before the colon: the loaders' and "store"."""
    return (*LOADERS, "store")


def open_set(
    source: str,
    split: str | None = None,
    *,
    subset: Subset = "full",
    limit: int | None = None,
    faces: Faces | None = None,
    framing: Framing = "face",
    strict: bool = False,
) -> ClipSet:
    """Open a data set or a prepared store.

    Args:
        source: KIND:FOLDER, see `kinds`; "store:FOLDER" is the output of `fakespan prepare`.
        split: train, validation or test; None: all.
        subset: "visual" excludes audio-only fakes, "audio" visual-only fakes.
        limit: only the first so many clips.
        faces: "whole", "auto", or None for what the set needs; a store already has its faces.
        framing: part of the face that the model takes (`ModelConfig.framing`); must match that of a store.
        strict: reading a clip that is damaged or cut short raises DataError.

    Raises:
        UsageError: unknown kind, or a face mode that a store does not have.
        DataError: the folder does not hold such a set.
    """
    kind, separator, place = source.partition(":")
    if kind not in kinds() or not separator:
        expected = " or ".join(f"{known}:FOLDER" for known in kinds())
        raise UsageError("--data", expected=expected, got=repr(source), remedy="name the kind before the folder")
    if faces is not None and faces not in get_args(Faces):
        raise UsageError("--faces", expected="auto or whole", got=repr(faces), remedy="choose one of them")
    if kind == "store":
        store = _open_store(place, faces, framing)
        manifest = Manifest(source, kind, Path(place), store.samples)
        samples, read = manifest.choose(split, subset, limit), store.read
    else:
        samples = load_manifest(source).choose(split, subset, limit)
        read = functools.partial(read_example, faces=faces or LOADERS[kind].faces, framing=framing)
    return ClipSet(source, samples, functools.partial(_undamaged, read) if strict else read)


def _undamaged(read: Callable[[Sample], Example], sample: Sample) -> Example:
    example = read(sample)
    refuse_damaged(example, sample.path)
    return example


def _open_store(folder: str, faces: Faces | None, framing: Framing) -> Store:
    """Open a store and check its face mode and framing."""
    store = Store(Path(folder))
    if faces not in {None, store.header.faces}:
        expected, remedy = f"{store.header.faces}, as in the store", "omit --faces, or prepare another store"
        raise UsageError("--faces", expected=expected, got=str(faces), remedy=remedy)
    if framing != store.header.framing:
        expected, remedy = (
            f"faces framed as {framing!r}, as the model needs them",
            f"prepare it with --framing {framing}",
        )
        raise UsageError(folder, expected=expected, got=f"a store of {store.header.framing!r}", remedy=remedy)
    return store


def named(source: str) -> str:
    """The source without its location on this machine, for files that may be published.

    >>> named("lavdf:/home/me/LAV-DF"), named("tiny")
    ('lavdf:LAV-DF', 'tiny')
    """
    kind, separator, place = source.partition(":")
    return f"{kind}:{Path(place).resolve().name}" if separator else source
