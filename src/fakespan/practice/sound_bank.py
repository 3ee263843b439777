"""Banks of speech: genuine recordings and their neural twins, in memory, for training examples.

A bank folder holds `index.jsonl`, one recording a line: `path` (any media file), `seconds`, `kind` ("real", "twin",
"voice" or "benign"), `speaker`, `system`, `family`, and optionally `split` ("train" unless given). A twin or benign
line also has `real`, the path of the genuine recording that it matches sample by sample. Voices are words that no
genuine recording contains.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float32Array
from fakespan.errors import DataError, MediaError
from fakespan.media.decode import read_sound

__all__ = ["Recording", "SoundBank", "load_sound_bank"]

KINDS = ("real", "twin", "voice", "benign")


@dataclass(frozen=True)
class Recording:
    """Audio at 16 kHz with its origin."""

    name: str
    kind: str
    speaker: str
    system: str
    family: str
    samples: NDArray[np.int16]
    real: str = ""  # of a twin: the genuine recording
    split: str = "train"

    @property
    def sound(self) -> Float32Array:
        """(n,) float32 in -1..1."""
        return np.asarray(self.samples / np.float32(32768), np.float32)


@dataclass(frozen=True)
class SoundBank:
    """Recordings by their use."""

    reals: tuple[Recording, ...]
    twins: tuple[tuple[Recording, Recording], ...]  # genuine recording, generated twin
    benign: tuple[tuple[Recording, Recording], ...]  # genuine recording, output of a benign tool
    voices: tuple[Recording, ...]

    @classmethod
    def of(cls, recordings: Iterable[Recording], split: str = "train") -> SoundBank:
        """The recordings of a split by kind, twins with their originals."""
        listed = [r for r in recordings if r.split == split]
        by_name = {r.name: r for r in listed if r.kind == "real"}

        def pairs(kind: str) -> tuple[tuple[Recording, Recording], ...]:
            return tuple((by_name[r.real], r) for r in listed if r.kind == kind and r.real in by_name)

        voices = tuple(r for r in listed if r.kind == "voice")
        return cls(tuple(by_name.values()), pairs("twin"), pairs("benign"), voices)


def load_sound_bank(folders: Sequence[Path]) -> list[Recording]:
    """Load all recordings of these bank folders; paths of originals may point to another folder.

    Raises:
        DataError: a folder has no index, a line is invalid, or a file is missing.
    """
    found: dict[Path, Recording] = {}
    for folder in folders:
        for number, line in enumerate(_lines(folder / "index.jsonl"), start=1):
            where = f"{folder / 'index.jsonl'}:{number}"
            try:
                recording = _read(folder, line)
            except KeyError as error:
                got = f"none called {error}"
                raise DataError(where, expected="all fields", got=got, remedy="build the bank again") from error
            except TypeError as error:
                got = "another value"
                raise DataError(where, expected="text in all fields", got=got, remedy="build the bank again") from error
            except MediaError as error:
                expected, got = "recordings that can be read", f"{error.subject}: {error.got}"
                raise DataError(where, expected=expected, got=got, remedy="build the bank again") from error
            if recording.kind not in KINDS:
                expected = f"one of the kinds {', '.join(KINDS)}"
                raise DataError(where, expected=expected, got=repr(recording.kind), remedy="build the bank again")
            found[Path(recording.name)] = recording
    return list(found.values())


def _read(folder: Path, line: dict[str, str]) -> Recording:
    path, real, kind = (folder / line["path"]).resolve(), line.get("real", ""), line["kind"]
    facts = line["speaker"], line.get("system", "real"), line.get("family", "real"), line.get("split", "train")
    if not all(isinstance(fact, str) for fact in facts):
        raise TypeError
    speaker, system, family, split = facts
    sound = read_sound(path) if kind in KINDS else np.zeros(0, np.float32)
    return Recording(
        str(path),
        kind,
        speaker,
        system,
        family,
        np.round(sound * 32767).clip(-32768, 32767).astype(np.int16),
        str((folder / real).resolve()) if real else "",
        split,
    )


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
        lines = [json.loads(line) for line in text.split("\n")] if text else []  # names may hold other line separators
    except OSError as error:
        got, remedy = (error.strerror or "an unreadable file").lower(), "name the folder of a bank"
        raise DataError(path, expected="the index of a bank", got=got, remedy=remedy) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            path, expected="one JSON object per line", got=str(error), remedy="build the bank again"
        ) from error
    if not all(isinstance(line, dict) for line in lines):
        raise DataError(path, expected="one JSON object per line", got="another value", remedy="build the bank again")
    return lines
