"""Common parts of all data set loaders: parsing and validation of untrusted metadata.

Rules for LAV-DF and AV-Deepfake1M, shared by their loaders and by `scoring.truth`: the length of a clip is
video_frames / 25 s, or its duration if the number of frames is missing; modify_type, or modify_audio and modify_video,
gives the forged modality (`modality_of`); dev and val are aliases of validation (`split_of`).

Contract: an unreadable file raises DataError; an invalid entry raises `Unusable`, which `collect` turns into a
`Problem`, and the other entries still load. Files are only read. No media is opened.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakespan.errors import DataError
from fakespan.files import decoded
from fakespan.types import Modality, Sample, Segment

__all__ = [
    "MODIFY_TYPES",
    "SPLITS",
    "Problem",
    "Reading",
    "Unusable",
    "as_list",
    "collect",
    "count",
    "flag",
    "items_of",
    "modality_of",
    "name_in",
    "number",
    "original_of",
    "read_json",
    "read_text",
    "segment",
    "spans_of",
    "split_of",
    "tidy_name",
    "whole",
]

SPLITS = ("train", "validation", "test")
"""Names of the splits, the same for all data sets."""
_WORDS = {"training": "train", "dev": "validation", "val": "validation", "valid": "validation", "testing": "test"}
_WORDS |= {word: word for word in SPLITS}


MODIFY_TYPES = {
    "real": (False, False),
    "audio_modified": (True, False),
    "visual_modified": (False, True),
    "both_modified": (True, True),
}
"""AV-Deepfake1M's modify_type -> whether audio and video were changed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem found in a data set."""

    kind: str  # category: entry, name, split, label, span, duplicate, original, missing, ...
    subject: str  # the clip or file that it concerns
    message: str  # one sentence


@dataclass(slots=True)
class Reading:
    """Samples and problems read so far."""

    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def note(self, kind: str, subject: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(kind, subject, message))


class Unusable(Exception):  # noqa: N818 - it never reaches a user
    """An invalid entry that cannot become a sample."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(message)


def collect(
    reading: Reading,
    entries: Iterable[Any],
    read: Callable[[Any, Reading], Sample],
    where: str,
    name_of: Callable[[Any], Any],
) -> None:
    """Add the sample of each entry to the reading; an invalid entry becomes a problem.

    Args:
        reading: the result to add to.
        entries: raw entries of a metadata file.
        read: converts an entry to a sample; raises Unusable.
        where: the metadata file, to identify entries without a name.
        name_of: returns the clip name of an entry, if it has one.
    """
    for position, entry in enumerate(entries):
        try:
            reading.samples.append(read(entry, reading))
        except Unusable as reason:
            name = name_of(entry)
            subject = name if isinstance(name, str) and name else f"{where}, entry {position}"
            reading.note(reason.kind, subject, f"{reason.message}; it is skipped")


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, UTF-16 or UTF-32.

    Raises:
        DataError: it cannot be read or is not a text file.
    """
    try:
        return decoded(_bytes(path))
    except UnicodeDecodeError as error:
        remedy = "unpack or download it again"
        raise DataError(path, expected="a text file", got=f"invalid text ({error})", remedy=remedy) from error


def read_json(path: Path) -> Any:
    """Read a JSON file, with orjson if it is installed, which is faster.

    Raises:
        DataError: it cannot be read or is not JSON.
    """
    content = _bytes(path)
    try:
        return _fast_or_none(content) or json.loads(content)  # json also accepts NaN and huge numbers
    except (ValueError, RecursionError) as error:
        remedy = "unpack or download it again"
        raise DataError(path, expected="a complete JSON file", got=f"{error}", remedy=remedy) from error


def as_list(path: Path, value: Any) -> list[Any]:
    """The value if it is a list; raises DataError otherwise."""
    if isinstance(value, list):
        return value
    raise DataError(path, expected="a list with one entry per clip", got=_kind(value), remedy="give the published file")


def items_of(path: Path, value: Any) -> list[tuple[Any, Any]]:
    """The items if it is a dict; raises DataError otherwise."""
    if isinstance(value, dict):
        return list(value.items())
    raise DataError(
        path, expected="an object {name: metadata} with one entry per clip", got=_kind(value),
        remedy="give the published file",
    )  # fmt: skip


def tidy_name(raw: Any) -> str:
    r"""Normalise a clip name to forward slashes; raises Unusable if it is invalid or outside its folder.

    >>> tidy_name(r"test\000001.mp4"), tidy_name("./test//000001.mp4")
    ('test/000001.mp4', 'test/000001.mp4')
    """
    if not isinstance(raw, str):
        raise Unusable("name", f"expected a file name, got {_kind(raw)}")
    slashed = raw.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in {"", "."}]
    if not parts or "\0" in raw or not _is_unicode(raw):
        raise Unusable("name", f"{raw!r} is not a file name")
    if ".." in parts or slashed.startswith("/") or ":" in parts[0]:
        raise Unusable("name", f"{raw!r} points outside the folder of the set")
    return "/".join(parts)


def _is_unicode(text: str) -> bool:
    r"""Whether it can be written; JSON may hold halves of characters (\ud800)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def name_in(entry: Any) -> Any:
    """The clip name of an entry of LAV-DF or AV-Deepfake1M."""
    return entry.get("file") if isinstance(entry, dict) else entry


def original_of(value: Any, name: str, reading: Reading) -> str | None:
    """Normalised name of the original; None if the set names none, or names the clip itself."""
    try:
        found = None if value is None or value == "" else tidy_name(value)
    except Unusable as reason:
        reading.note("original", name, f"its original: {reason.message}")
        return None
    return None if found == name else found


def split_of(word: Any) -> str:
    """train, validation or test; raises Unusable for another word."""
    found = _WORDS.get(word.strip().lower()) if isinstance(word, str) else None
    if found is None:
        raise Unusable("split", f"expected the split train, dev, val or test, got {word!r}")
    return found


def number(value: Any, what: str) -> float:
    """Validate a finite number; raises Unusable otherwise."""
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Unusable("entry", f"expected a number for {what}, got {_short(value)}")
    return found


def count(value: Any, what: str) -> int:
    """Validate a non-negative integer; raises Unusable otherwise."""
    found = number(value, what)
    if found < 0 or found != int(found):
        raise Unusable("entry", f"expected a whole number for {what}, got {_short(value)}")
    return int(found)


def whole(entry: dict[str, Any], key: str) -> int | None:
    """The integer value of a key; None if it is missing."""
    value = entry.get(key)
    return None if value is None else count(value, key)


def flag(entry: dict[str, Any], key: str) -> bool:
    """The value of true or false under a key; false if it is missing. Raises Unusable for anything else."""
    value = entry.get(key)
    if value is not None and not isinstance(value, bool):
        raise Unusable("label", f"expected true or false for {key}, got {_short(value)}")
    return value is True


def spans_of(value: Any, what: str) -> Iterator[tuple[float, float]]:
    """The (start, end) pairs of a list, in its own unit; raises Unusable for invalid content."""
    if not isinstance(value, list):
        raise Unusable("span", f"expected a list for {what}, got {_short(value)}")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Unusable("span", f"expected pairs of a begin and an end in {what}, got {_short(pair)}")
        start, end = (_edge(v, what) for v in pair)
        yield start, end


def segment(start_s: float, end_s: float, modality: Modality) -> Segment:
    """A labelled forged span; raises Unusable if it ends before it begins."""
    if end_s < start_s:
        raise Unusable("span", f"a span ends ({end_s:g} s) before it begins ({start_s:g} s)")
    return Segment(start_s, end_s, 1.0, modality)


def modality_of(audio: bool, visual: bool) -> Modality:
    """The forged modality; both if neither flag is set."""
    return "audio" if audio and not visual else "visual" if visual and not audio else "both"


def _edge(value: Any, what: str) -> float:
    try:
        return number(value, what)
    except Unusable as reason:
        raise Unusable("span", reason.message) from None


def _bytes(path: Path) -> bytes:
    """The content of a file without a UTF-8 byte-order mark."""
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
        raise DataError(path, expected="a readable file", got=got, remedy="check the given folder") from error


def _fast_or_none(content: bytes) -> Any:
    try:
        import orjson  # noqa: PLC0415 - optional: only speed

        return orjson.loads(content)
    except (ImportError, ValueError):
        return None


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "a list", str: "a text", type(None): "nothing (null)", bool: "true or false"}
    return words.get(type(value), "a number")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
