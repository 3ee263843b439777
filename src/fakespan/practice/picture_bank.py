"""Banks of faces: genuine clips and their generated twins, aligned frame by frame; decoded once, read many times.

A bank is a folder with `index.jsonl`, one line per clip (`Entry`), and the faces of the clips, (n, 160, 160, 3) uint8:
the part of a 224x224 face crop with the mouth and a margin, so that practice can reframe it. A twin is cropped with the
boxes of its original, so that frame k of both shows the same moment.
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
from fakespan.files import locked, replacing
from fakespan.media.crop import CROP_SIZE, MOUTH_BOX

__all__ = ["BANK_BOX", "BANK_SIZE", "MOUTH_IN_BANK", "OWN_FAMILY", "BankWriter", "Entry", "PictureBank", "Twins"]

BANK_SIZE = 160  # pixels
BANK_BOX = (32, 49, 192, 209)  # x0, y0, x1, y1 of it in a face crop of 224 pixels
OWN_FAMILY = "own"  # of copies by our own networks (examples/zoo/mouth.py)
MOUTH_IN_BANK = tuple(
    float(part * CROP_SIZE - start) for part, start in zip(MOUTH_BOX, (BANK_BOX[:2]) * 2, strict=True)
)  # x0, y0, x1, y1 of `crop.MOUTH_BOX`, in pixels of the bank
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
    source: str  # origin of the media
    n_frames: int
    face_px: int  # side of the face crop in the source, before scaling to 224
    spans: tuple[tuple[int, int], ...] = ()  # forged frames [begin, end) of a clip that is forged in parts


@dataclass(frozen=True)
class Twins:
    """A genuine clip and its generated twins."""

    real: Entry
    fakes: tuple[Entry, ...] = ()


class PictureBank:
    """The clips of a folder written by `BankWriter`.

    Raises:
        DataError: there is no readable index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = tuple(_read_index(folder / INDEX))

    def faces(self, entry: Entry) -> UInt8Array:
        """(n, 160, 160, 3) uint8, memory-mapped."""
        faces: UInt8Array = np.load(self.folder / entry.file, mmap_mode="r")
        return faces

    def twins(self) -> list[Twins]:
        """Every genuine clip with its whole-clip fakes; partial fakes (`Entry.spans`) are excluded."""
        by_real: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.role == "fake" and entry.pair is not None and not entry.spans:
                by_real.setdefault(entry.pair, []).append(entry)
        return [Twins(entry, tuple(by_real.get(entry.file, ()))) for entry in self.entries if entry.role == "real"]

    def partial(self) -> list[Entry]:
        """The partially forged clips."""
        return [entry for entry in self.entries if entry.role == "fake" and entry.spans]


class BankWriter:
    """Adds clips to a bank; existing ones are kept, so that a run can be resumed and several processes can write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @property
    def sources(self) -> set[str]:
        """Media files in the bank."""
        return {entry.source for entry in self._entries()}

    def add(self, clips: Iterable[tuple[Entry, UInt8Array]]) -> None:
        """Write these clips, then the index with all of them."""
        new = []
        for entry, faces in clips:
            with replacing(self._folder / entry.file) as part, part.open("wb") as stream:
                np.save(stream, faces)
            new.append(entry)
        with locked(self._folder), replacing(self._folder / INDEX) as part:
            lines = [json.dumps(dataclasses.asdict(entry), ensure_ascii=False) for entry in [*self._entries(), *new]]
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _entries(self) -> list[Entry]:
        index = self._folder / INDEX
        return list(_read_index(index)) if index.exists() else []


def _read_index(path: Path) -> Iterator[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
        for line in text.removesuffix("\n").split("\n") if text else ():  # names may hold other line separators
            yield _entry(json.loads(line))
    except OSError as problem:
        got, remedy = (problem.strerror or "an unreadable file").lower(), "name the folder of a bank"
        raise DataError(path, expected="the index of a bank", got=got, remedy=remedy) from problem
    except (ValueError, TypeError) as problem:
        raise DataError(
            path, expected="the index of a bank", got=str(problem), remedy="build it with examples/pairs/pictures.py"
        ) from problem


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "spans": tuple((int(a), int(b)) for a, b in row.get("spans", ()))})
