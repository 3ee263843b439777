"""One door to every set of clips: those that a loader reads, and prepared stores.

A set is a map-style torch Dataset: random access, no media opened until a clip is asked for, so that it can be sent to
loader workers. Examples come whole, at 25 frames a second; `data.clock.fit_clock` and `data.batch.collate` make
batches of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from torch.utils.data import Dataset

from fakespan.config import Framing
from fakespan.data.clip import Faces, read_example
from fakespan.data.example import Example
from fakespan.data.manifest import Manifest, load_manifest
from fakespan.data.store import Store
from fakespan.errors import UsageError
from fakespan.types import Sample, Subset

__all__ = ["KINDS", "ClipSet", "default_faces", "named", "open_set"]

_DEFAULT_FACES: dict[str, Faces] = {
    "lavdf": "whole",
    "avdeepfake1m": "whole",
    "dfdc": "auto",
    "forgerynet": "auto",
}
KINDS = (*_DEFAULT_FACES, "store")
"""What may stand before the colon of a source."""


class ClipSet(Dataset[Example]):
    """The clips of some samples.

    Args:
        source: where they come from, as the user named it.
        samples: in the order of the set.
        read: gives the Example of a sample; must be picklable.
    """

    def __init__(self, source: str, samples: tuple[Sample, ...], read: Callable[[Sample], Example]) -> None:
        self.source, self.samples, self._read = source, samples, read

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, k: int) -> str:
        """What the set calls its k-th clip."""
        return self.samples[k].name

    def __getitem__(self, k: int) -> Example:
        """The k-th clip. Raises MediaError or DataError when it cannot be read, IndexError beyond the end."""
        return self._read(self.samples[k])


def open_set(
    source: str,
    split: str | None = None,
    *,
    subset: Subset = "full",
    limit: int | None = None,
    faces: Faces | None = None,
    framing: Framing = "face",
) -> ClipSet:
    """The clips of a data set or of a prepared store.

    Args:
        source: KIND:FOLDER, see `KINDS`; "store:FOLDER" is what `fakespan prepare` made.
        split: train, validation or test; None takes all.
        subset: "visual" leaves out fakes of the sound alone, "audio" those of the picture alone.
        limit: the first so many.
        faces: "whole", "auto", or None for what the set needs; a store has its faces already.
        framing: what of a face the model shall see (`ModelConfig.framing`); that of a store must be the same.

    Raises:
        UsageError: unknown kind, or faces that a store does not hold.
        DataError: the folder holds no such set.
    """
    kind, separator, place = source.partition(":")
    if kind not in KINDS or not separator:
        expected = " or ".join(f"{known}:FOLDER" for known in KINDS)
        raise UsageError("--data", expected=expected, got=repr(source), remedy="name the kind before the folder")
    if faces is not None and faces not in get_args(Faces):
        raise UsageError("--faces", expected="auto or whole", got=repr(faces), remedy="choose one of them")
    if kind == "store":
        store = _open_store(place, faces, framing)
        manifest = Manifest(source, kind, Path(place), store.samples)
        return ClipSet(source, manifest.choose(split, subset, limit), store.read)
    samples = load_manifest(source).choose(split, subset, limit)
    read = functools.partial(read_example, faces=faces or default_faces(kind), framing=framing)
    return ClipSet(source, samples, read)


def _open_store(folder: str, faces: Faces | None, framing: Framing) -> Store:
    """The store, if its faces are as they are wanted."""
    store = Store(Path(folder))
    if faces not in {None, store.header.faces}:
        expected, remedy = f"{store.header.faces}, as in the store", "leave --faces out, or prepare another store"
        raise UsageError("--faces", expected=expected, got=str(faces), remedy=remedy)
    if framing != store.header.framing:
        expected, remedy = (
            f"faces framed as {framing!r}, as the model sees them",
            f"prepare it with --framing {framing}",
        )
        raise UsageError(folder, expected=expected, got=f"a store of {store.header.framing!r}", remedy=remedy)
    return store


def named(source: str) -> str:
    """The set without where it lies on this machine: what files may say of it that others get to see.

    >>> named("lavdf:/home/me/LAV-DF"), named("tiny")
    ('lavdf:LAV-DF', 'tiny')
    """
    kind, separator, place = source.partition(":")
    return f"{kind}:{Path(place).resolve().name}" if separator else source


def default_faces(kind: str) -> Faces:
    """How faces are found in a data set of this kind."""
    return _DEFAULT_FACES[kind]
