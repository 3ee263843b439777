"""DFDC (arXiv 2006.07397): parts with a metadata.json each, and test and validation folders with a labels file.

Contract: ROOT is one part, or a folder of parts (also inside `train`), with or without `validation` and `test`. The
name of a clip is its file name, which is unique in the set. DFDC labels whole videos: a fake is one forged span over
its whole length, with the modality "both", because faces and voices are swapped and the labels do not say which.
Lengths are not in the metadata: every clip counts as 10 s, as the set is defined (facts["length"] is "nominal"), and
readers extend the span to the length of the file.

The metadata of all parts says "train". If ROOT has no validation folder, a tenth of the originals, selected by a hash
of their names, and every fake made from them form the validation split; the same ones on every machine.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from fakespan.data.entries import (
    Reading,
    Unusable,
    collect,
    items_of,
    original_of,
    read_json,
    read_text,
    segment,
    split_of,
    tidy_name,
)
from fakespan.errors import DataError
from fakespan.types import Sample

__all__ = ["LENGTH_S", "VALIDATION_SHARE", "held_out", "read"]

LENGTH_S = 10.0
"""Nominal length of a clip in seconds."""
VALIDATION_SHARE = 0.1
"""Share of the originals held out if there is no validation folder."""

_LABEL_FILES = ("labels.csv", "metadata.csv")
_IS_FAKE = {"fake": True, "real": False, "1": True, "0": False, "true": True, "false": False}


def read(root: Path) -> Reading:
    """The clips of a DFDC part, or of a folder of parts.

    Raises:
        DataError: no metadata.json and no labels file, or one that is damaged or has another structure.
    """
    reading = Reading()
    tables = list(_tables(root))
    has_validation = any(_split_by_name(path.parent) == "validation" for path in tables)
    for path in tables:
        split = _split_by_name(path.parent)
        entries = _labels(path) if path.suffix == ".csv" else items_of(path, read_json(path))
        where = path.relative_to(root).as_posix()
        collect(
            reading,
            entries,
            partial(_sample, path, split, has_validation),
            where,
            itemgetter(0),
        )
    if not tables:
        expected = "metadata.json (of a part) or labels.csv in it, or in the folders inside"
        raise DataError(root, expected=expected, got="none", remedy="give the folder that holds the parts")
    return reading


def held_out(original: str) -> bool:
    """Whether an original, and all fakes made from it, belong to the validation split.

    >>> held_out("gnmmhlbzge.mp4"), held_out("ybqmttnept.mp4")
    (True, False)
    """
    digest = hashlib.blake2b(original.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < VALIDATION_SHARE * 2**64


def _tables(root: Path) -> Iterator[Path]:
    """The metadata or labels file of each folder, parts in the order of their numbers."""
    for folder in (root, *_inside(root), *_inside(root / "train")):
        names = ("metadata.json", *_LABEL_FILES) if _split_by_name(folder) is None else (*_LABEL_FILES, "metadata.json")
        table = next((folder / name for name in names if (folder / name).is_file()), None)
        if table is not None:
            yield table


def _inside(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.is_dir()), key=_by_number) if folder.is_dir() else []


def _by_number(folder: Path) -> tuple[int, str]:
    digits = "".join(c for c in folder.name if c.isdigit())
    return int(digits) if digits else -1, folder.name


def _split_by_name(folder: Path) -> str | None:
    """The name of the folder if it is test or validation; None for a part."""
    try:
        split = split_of(folder.name)
    except Unusable:
        return None
    return split if split != "train" else None


def _labels(path: Path) -> list[tuple[Any, Any]]:
    """(name, facts) of each row of a labels file with the columns filename and label."""
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except csv.Error as error:
        raise DataError(path, expected="a CSV file", got=str(error), remedy="download it again") from error
    columns = set(rows[0]) if rows else set()
    if not {"filename", "label"} <= columns:
        got = ", ".join(sorted(str(c) for c in columns)) or "no rows"
        raise DataError(path, expected="the columns filename and label", got=got, remedy="give the published file")
    return [(row["filename"], {**row, "split": None}) for row in rows]


def _sample(
    table: Path, folder_split: str | None, has_validation: bool, entry: tuple[Any, Any], reading: Reading
) -> Sample:
    raw, facts = entry
    name = tidy_name(raw)
    if not isinstance(facts, dict):
        raise Unusable("entry", "expected an object with the label of a clip")
    original = original_of(facts.get("original"), name, reading)
    is_fake = _is_fake(facts)
    split = folder_split or (split_of(facts["split"]) if facts.get("split") is not None else _unsaid(table))
    if split == "train" and not has_validation and held_out(original or name):
        split = "validation"
    return Sample(
        name=name,
        path=_folder(table) / name,
        split=split,
        duration_s=LENGTH_S,
        segments=(segment(0.0, LENGTH_S, "both"),) if is_fake else (),
        original=original,
        facts={"length": "nominal"},
    )


def _unsaid(table: Path) -> str:
    """The split of a labels file: test, or train for a part."""
    return "test" if table.suffix == ".csv" else "train"


def _folder(table: Path) -> Path:
    """Folder of the videos of a labels file: the same one, or `videos` in it."""
    videos = table.parent / "videos"
    return videos if table.suffix == ".csv" and videos.is_dir() else table.parent


def _is_fake(facts: dict[str, Any]) -> bool:
    value = facts.get("label", facts.get("is_fake"))
    found = _IS_FAKE.get(str(value).strip().lower())
    if found is None:
        raise Unusable("label", f"expected the label REAL or FAKE, got {value!r}")
    return found
