"""File format of a folder of maps; read by `maps`, written by `maps_writer`.

    maps.json     format, model, data, requested clips, `done`, unreadable clips
    index.jsonl   one line per stored clip, in processing order
    fused.f16 visual.f16 audio.f16   the maps: float16, little-endian, one row of D scores per frame
    frames.f16    the frame classifiers: two float16 per frame, visual and audio

Clips are stored without gaps, at the same frames in all four files: `offset` to `offset + n_frames`. Frames are those
of the network's clock, at `fps`. Values of a missing modality are NaN. Each line has the CRC-32 of the clip's bytes in
each file, and its own.
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
"""Name and version; the version increases when older readers would fail."""
PARTS = ("fused", "visual", "audio", "frames")
"""The binary files, and the order of their checksums in a line."""
REMEDY = "repeat the same fakespan maps; it resumes after the last complete clip"
"""For incomplete or damaged data: the writer verifies everything that exists."""

_MAKE = "create one: fakespan maps --data KIND:ROOT --split SPLIT --model MODEL --out FOLDER"
_ANEW = "use another --out, or remove this folder and store the maps again"
_KINDS = ("real", "audio", "visual", "both")


class Damage(Exception):  # noqa: N818 - never leaves the package
    """An invalid line of the index."""


@dataclass(frozen=True)
class MapsModel:
    """The network of the maps."""

    name: str
    digest: str  # of its weights, see `models.digest.weights_digest`
    family: Family
    max_duration: int  # D
    n_frames: int  # T
    clock: Clock


@dataclass(frozen=True)
class MapsHeader:
    """Description of the maps, and their state."""

    model: MapsModel
    data: str  # kind and name of the data set, without its location
    split: str | None  # None: several
    about: Mapping[str, Any]  # other settings: subset, limit, faces ...
    n_wanted: int  # requested clips
    clips: str  # digest of their names and labels
    done: bool = False
    n_clips: int = 0  # stored clips, when done
    n_frames: int = 0  # of all stored clips
    unreadable: Mapping[str, str] = field(default_factory=dict)  # name -> message

    def begun(self) -> dict[str, Any]:
        """The settings that a resumed run must share, as plain values."""
        return {name: value for name, value in asdict(self).items() if name not in _PROGRESS}


_PROGRESS = ("done", "n_clips", "n_frames", "unreadable")


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One clip and its label."""

    number: int  # its index in the data set
    name: str
    label: int  # 1: fake, 0: real
    kind: str  # real, audio, visual or both
    original: str | None  # name of its original, if known (DFDC)
    n_frames: int  # n, columns of its maps
    offset: int  # frames before it in the files
    fps: float  # of its frames: 25 with the "pad" clock, 25 T / length in frames with "stretch"
    has_picture: bool
    has_sound: bool
    crc32: tuple[int, ...]  # of its bytes in each of `PARTS`


def bytes_a_frame(part: str, max_duration: int) -> int:
    """Of one of `PARTS`."""
    return 2 * (2 if part == "frames" else max_duration)


def part_path(folder: Path, part: str) -> Path:
    """Path of one of `PARTS`."""
    return folder / f"{part}.f16"


def read_header(folder: Path) -> MapsHeader:
    """Read maps.json. Raises DataError if it is missing, damaged or of another format."""
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
        got = f"format {record.get('format')!r}" if isinstance(record, dict) else "not an object"
        raise DataError(path, expected=f"maps of format {FORMAT}", got=got, remedy=_ANEW)
    try:
        return _header(record)
    except (KeyError, TypeError, ValueError) as error:
        got = f"a missing or invalid entry: {error}"
        raise DataError(path, expected="a complete description", got=got, remedy=_ANEW) from error


def write_header(folder: Path, header: MapsHeader) -> None:
    """Replace maps.json atomically. Raises UsageError if the folder is not writable."""
    record = {"format": FORMAT, **asdict(header), "parts": list(PARTS), "dtype": "<f2", "missing": "NaN"}
    write_text(folder / "maps.json", json.dumps(record, indent=1, allow_nan=False) + "\n")


def read_entries(path: Path) -> list[MapEntry]:
    """Read the contiguous clips of an index. Raises DataError if a line is damaged."""
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
                raise Damage("a duplicate clip" if entry.name in names else "a gap before it")
        except Damage as error:
            got = f"a damaged line {len(entries) + 1}: {error}"
            raise DataError(path, expected="one clip per line", got=got, remedy=REMEDY) from None
        entries.append(entry)
        names.add(entry.name)
        n_frames += entry.n_frames
    return entries


def line_of(entry: MapEntry) -> bytes:
    """The index line of an entry."""
    record = asdict(entry)
    return _dumped({**record, "line_crc32": zlib.crc32(_dumped(record))}) + b"\n"


def entry_of(line: bytes) -> MapEntry:
    """Parse a line written by `line_of`. Raises Damage if it is invalid."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
        check = record.pop("line_crc32", None) if isinstance(record, dict) else None
        found = zlib.crc32(_dumped(record))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise Damage("not a complete line of JSON")
    if check != found:
        raise Damage("its checksum does not match")
    try:
        entry = MapEntry(**{**record, "crc32": tuple(record["crc32"])})
    except (KeyError, TypeError) as error:
        raise Damage(f"not the entries of this format ({error})") from None
    if not _is_sane(entry):
        raise Damage("inconsistent entries")
    return entry


def _header(record: Mapping[str, Any]) -> MapsHeader:
    """Raise KeyError, TypeError or ValueError for missing or invalid values."""
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
