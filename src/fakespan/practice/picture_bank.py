"""A bank of faces: genuine clips and, frame by frame, what generators made of them. Decoded once, read many times.

A bank is a folder: `index.jsonl`, a line for each clip (`Entry`), and beside it the clips' faces, (n, 160, 160, 3)
uint8: that part of a 224x224 face crop which holds the mouth with a margin, so that practice can frame it anew. A twin
was cut out with the boxes of its original, so that frame k of both shows the same instant.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.arrays import UInt8Array
from fakespan.errors import DataError
from fakespan.files import replacing
from fakespan.media.features import CROP_SIZE, MOUTH_BOX

__all__ = ["BANK_BOX", "BANK_SIZE", "MOUTH_IN_BANK", "BankWriter", "Entry", "PictureBank", "Twins"]

BANK_SIZE = 160  # pixels
BANK_BOX = (32, 49, 192, 209)  # x0, y0, x1, y1 of it in a face crop of 224 pixels
MOUTH_IN_BANK = tuple(
    float(part * CROP_SIZE - start) for part, start in zip(MOUTH_BOX, (BANK_BOX[:2]) * 2, strict=True)
)  # x0, y0, x1, y1 of `features.MOUTH_BOX`, in pixels of the bank
INDEX = "index.jsonl"


@dataclass(frozen=True)
class Entry:
    """One clip of a bank."""

    file: str  # .npy, relative to the bank
    role: str  # real or fake
    pair: str | None  # a fake's original: its `file`; frame k of both shows the same instant
    generator: str | None
    family: str | None  # gan, diffusion, swap, ...
    person: str
    source: str  # where the media came from
    n_frames: int
    face_px: int  # side of the face crop in the source, before it became 224
    spans: tuple[tuple[int, int], ...] = ()  # forged frames [begin, end) of a clip that is forged in parts


@dataclass(frozen=True)
class Twins:
    """A genuine clip and what generators made of it."""

    real: Entry
    fakes: tuple[Entry, ...] = ()


class PictureBank:
    """The clips of a folder that `BankWriter` filled.

    Raises:
        DataError: there is no readable index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = tuple(_read_index(folder / INDEX))

    def faces(self, entry: Entry) -> UInt8Array:
        """(n, 160, 160, 3) uint8, read as they are looked at."""
        faces: UInt8Array = np.load(self.folder / entry.file, mmap_mode="r")
        return faces

    def twins(self) -> list[Twins]:
        """Every genuine clip with its whole-clip fakes; fakes in parts (`Entry.spans`) are left out."""
        by_real: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.role == "fake" and entry.pair is not None and not entry.spans:
                by_real.setdefault(entry.pair, []).append(entry)
        return [Twins(entry, tuple(by_real.get(entry.file, ()))) for entry in self.entries if entry.role == "real"]

    def partial(self) -> list[Entry]:
        """The clips that are forged in parts."""
        return [entry for entry in self.entries if entry.role == "fake" and entry.spans]


class BankWriter:
    """Adds clips to a bank; what is there is kept, so that a run that was stopped goes on, and several may write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @property
    def sources(self) -> set[str]:
        """Media that are in the bank."""
        return {entry.source for entry in self._entries()}

    def add(self, clips: Iterable[tuple[Entry, UInt8Array]]) -> None:
        """Writes these clips, then the index with all of them."""
        new = []
        for entry, faces in clips:
            with replacing(self._folder / entry.file) as part, part.open("wb") as stream:
                np.save(stream, faces)
            new.append(entry)
        lines = [json.dumps(dataclasses.asdict(entry), ensure_ascii=False) for entry in [*self._entries(), *new]]
        with replacing(self._folder / INDEX) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _entries(self) -> list[Entry]:
        index = self._folder / INDEX
        return list(_read_index(index)) if index.exists() else []


def _read_index(path: Path) -> Iterator[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            yield _entry(json.loads(line))
    except (OSError, ValueError, TypeError) as problem:
        raise DataError(
            path, expected="the index of a bank", got=str(problem), remedy="build it with examples/pairs/pictures.py"
        ) from problem


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "spans": tuple((int(a), int(b)) for a, b in row["spans"])})
