"""What lies in a folder of maps, byte by byte; `maps` reads it, `maps_writer` writes it.

    maps.json     format, model, data, which clips were asked for, `done`, which could not be read
    index.jsonl   a line for each clip that is there, in the order in which they were judged
    fused.f16 visual.f16 audio.f16   the maps: float16, little-endian, one row of D scores for each frame
    frames.f16    the frame classifiers: two float16 for each frame, visual and audio

Clips follow each other without a gap, in all four files at the same frames: those of a clip are `offset` up to `offset
+ n_frames`. Frames are those of the network's clock, `fps` of them a second. What a clip has no picture or no sound for
is NaN: neither a score of 0 nor one of 1 was given. Each line has the CRC-32 of the clip's bytes in each file, and its
own.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from fakespan.config import Clock, Family
from fakespan.errors import DataError
from fakespan.files import write_text

__all__ = [
    "FORMAT",
    "PARTS",
    "REMEDY",
    "Damage",
    "MapEntry",
    "MapsHeader",
    "MapsModel",
    "bytes_a_frame",
    "entry_of",
    "line_of",
    "part_path",
    "read_entries",
    "read_header",
    "write_header",
]

FORMAT = "fakespan.maps/1"
"""Name and version; the number grows when a reader of the former one would fail."""
PARTS = ("fused", "visual", "audio", "frames")
"""The binary files, and the order of their checksums in a line."""
REMEDY = "run the same fakespan maps again; it goes on after the last clip that is whole"
"""For whatever is unfinished or damaged: the writer looks at all that is there."""

_MAKE = "make one: fakespan maps --data KIND:ROOT --split SPLIT --model MODEL --out FOLDER"
_ANEW = "give another --out, or remove this folder and make it anew"
_KINDS = ("real", "audio", "visual", "both")


class Damage(Exception):  # noqa: N818 - never leaves the package
    """What is wrong with a line of the index."""


@dataclass(frozen=True)
class MapsModel:
    """The network that made the maps."""

    name: str
    digest: str  # of its weights, see `models.digest.weights_digest`
    family: Family
    max_duration: int  # D
    n_frames: int  # T
    clock: Clock


@dataclass(frozen=True)
class MapsHeader:
    """What the maps are of, and how far they are."""

    model: MapsModel
    data: str  # kind and name of the set, without where it lies
    split: str | None  # None: clips of several
    about: Mapping[str, Any]  # whatever else decides what is stored: subset, limit, faces ...
    n_wanted: int  # clips
    clips: str  # digest of their names and truth
    done: bool = False
    n_clips: int = 0  # that are there, once it is done
    n_frames: int = 0  # of all of them together
    unreadable: Mapping[str, str] = field(default_factory=dict)  # name -> what is wrong

    def begun(self) -> dict[str, Any]:
        """What a later run must have in common with this one, as plain values."""
        return {name: value for name, value in asdict(self).items() if name not in _PROGRESS}


_PROGRESS = ("done", "n_clips", "n_frames", "unreadable")


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One clip and its truth."""

    number: int  # its place in the set
    name: str
    label: int  # 1: fake, 0: real
    kind: str  # real, audio, visual or both
    original: str | None  # name of the clip that it was made from, where the set says so (DFDC does)
    n_frames: int  # n, columns of its maps
    offset: int  # frames of the files that come before it
    fps: float  # of its frames: 25 with the "pad" clock, 25 T / length in frames with "stretch"
    has_picture: bool
    has_sound: bool
    crc32: tuple[int, ...]  # of its bytes in each of `PARTS`


def bytes_a_frame(part: str, max_duration: int) -> int:
    """Of one of `PARTS`."""
    return 2 * (2 if part == "frames" else max_duration)


def part_path(folder: Path, part: str) -> Path:
    """Where one of `PARTS` lies."""
    return folder / f"{part}.f16"


def read_header(folder: Path) -> MapsHeader:
    """What maps.json says. Raises DataError when there is none, or one that is damaged or of another format."""
    path = folder / "maps.json"
    if not path.is_file():
        got = "a folder without maps.json" if folder.is_dir() else "no such folder"
        raise DataError(folder, expected="a folder of maps", got=got, remedy=_MAKE)
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        got = f"a damaged file ({type(error).__name__})"
        raise DataError(path, expected="the description of a folder of maps", got=got, remedy=_ANEW) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        got = f"format {record.get('format')!r}" if isinstance(record, dict) else "no object"
        raise DataError(path, expected=f"maps of format {FORMAT}", got=got, remedy=_ANEW)
    try:
        return _header(record)
    except (KeyError, TypeError, ValueError) as error:
        got = f"one that lacks or distorts {error}"
        raise DataError(path, expected="a complete description", got=got, remedy=_ANEW) from error


def write_header(folder: Path, header: MapsHeader) -> None:
    """Replaces maps.json in one step. Raises UsageError when the folder cannot be written to."""
    record = {"format": FORMAT, **asdict(header), "parts": list(PARTS), "dtype": "<f2", "missing": "NaN"}
    write_text(folder / "maps.json", json.dumps(record, indent=1, allow_nan=False) + "\n")


def read_entries(path: Path) -> list[MapEntry]:
    """The clips of an index, of which each begins where the one before ends. Raises DataError where one is damaged."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        got = str(error.strerror or error).lower()
        raise DataError(path, expected="the index of the maps", got=got, remedy=REMEDY) from error
    entries: list[MapEntry] = []
    n_frames, names = 0, set[str]()
    for line in lines:
        try:
            entry = entry_of(line)
            if entry.offset != n_frames or entry.name in names:
                raise Damage("a clip twice" if entry.name in names else "a gap before it")
        except Damage as error:
            got = f"a damaged line {len(entries) + 1}: {error}"
            raise DataError(path, expected="a clip in each line", got=got, remedy=REMEDY) from None
        entries.append(entry)
        names.add(entry.name)
        n_frames += entry.n_frames
    return entries


def line_of(entry: MapEntry) -> bytes:
    """The entry's line of the index."""
    record = asdict(entry)
    return _dumped({**record, "line_crc32": zlib.crc32(_dumped(record))}) + b"\n"


def entry_of(line: bytes) -> MapEntry:
    """The clip of a line. Raises Damage when it is not a line as `line_of` writes it."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
        check = record.pop("line_crc32", None) if isinstance(record, dict) else None
        found = zlib.crc32(_dumped(record))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise Damage("no complete line of JSON")
    if check != found:
        raise Damage("its checksum does not fit")
    try:
        entry = MapEntry(**{**record, "crc32": tuple(record["crc32"])})
    except (KeyError, TypeError) as error:
        raise Damage(f"not the entries of this format ({error})") from None
    if not _is_sane(entry):
        raise Damage("entries that make no sense")
    return entry


def _header(record: Mapping[str, Any]) -> MapsHeader:
    """Raises KeyError, TypeError or ValueError for what is missing or of another kind."""
    model = MapsModel(**{f.name: record["model"][f.name] for f in fields(MapsModel)})
    header = MapsHeader(**{f.name: record[f.name] for f in fields(MapsHeader) if f.name != "model"}, model=model)
    if model.clock not in get_args(Clock) or model.family not in get_args(Family):
        raise ValueError("model")
    counts = {"D": model.max_duration, "T": model.n_frames, "n_wanted": header.n_wanted}
    for name, value in {**counts, "n_clips": header.n_clips + 1, "n_frames": header.n_frames + 1}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(name)
    if not isinstance(header.done, bool) or not isinstance(header.unreadable, dict):
        raise ValueError("done or unreadable")
    return header


def _dumped(record: Any) -> bytes:
    return json.dumps(record, allow_nan=False).encode()


def _is_sane(entry: MapEntry) -> bool:
    counts = (entry.number, entry.offset, entry.n_frames, *entry.crc32)
    return (
        all(isinstance(n, int) and n >= 0 for n in counts)
        and entry.n_frames > 0
        and isinstance(entry.name, str)
        and entry.label in (0, 1)
        and entry.kind in _KINDS
        and isinstance(entry.original, str | None)
        and isinstance(entry.fps, float)
        and 0 < entry.fps < math.inf
        and len(entry.crc32) == len(PARTS)
        and (entry.has_picture or entry.has_sound)
    )
