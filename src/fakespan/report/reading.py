"""Reads scans back from JSON. The file may come from anybody, so every field is checked before it is used.

Contract: a wrong type, a missing field, a value out of range or a file name that the system cannot use raises
DataError with the place of the value (`curves[0].fps`). Unknown fields are ignored.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fakespan.errors import DataError
from fakespan.report.words import printable
from fakespan.types import FORMAT, Scan

__all__ = ["read_json", "read_record"]

_MOST = 1e7  # of seconds (115 days), pixels, samples a second ...
_SHARE, _LENGTH = (0.0, 1.0), (0.0, _MOST)
_CLOCK = 1e10  # seconds; the clock of a recorded stream may count from 1970
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        (
            "score",
            "threshold",
            "probability",
            "fake_share",
            "values",
            "either",
            "sound",
            "picture",
            "genuine_chance",
            "prior",
        ),
        _SHARE,
    ),
    **dict.fromkeys(("duration_s", "width", "height", "fps", "sample_rate", "n_channels", "genuine_per_hour"), _LENGTH),
    **dict.fromkeys(("start_s", "end_s", "starts_at_s"), (-_CLOCK, _CLOCK)),
    "Curve.fps": (1e-3, 1e5),  # a divisor
    "box": (-100.0, 100.0),
    **dict.fromkeys(("size_bytes", "config_size_bytes"), (0, 1e18)),
}
"""Smallest and largest number of a field, by its name or `Class.name`; others lie within +-_MOST."""
_TYPES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}


def read_json(path: Path) -> Scan:
    """Read a scan written by `write_json`. Raises DataError if the file cannot be read or is not a scan."""
    return read_record(path)[0]


def read_record(path: Path) -> tuple[Scan, dict[str, Any]]:
    """The same, and the JSON itself, with fields that this version does not know."""
    try:
        record = json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant, object_pairs_hook=_without_twins)
        if not isinstance(record, dict):
            raise ValueError("JSON whose top level is not an object")
        if record.get("format") != FORMAT:
            raise ValueError(f"a record of format {record.get('format')!r:.40}")
        _check_record(record, Scan, "")
        scan = Scan.from_dict(record)
        _check_text(scan)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            path,
            expected=f"a fakespan result ({FORMAT})",
            got=_reason(error),
            remedy="create one with: fakespan scan FILE --out DIR",
        ) from error
    return scan, record


def _check_record(record: Any, cls: type[Any], where: str) -> None:
    """Raise ValueError unless the record has the fields, types and ranges that the dataclass declares."""
    if not isinstance(record, dict):
        raise ValueError(f"{record!r:.60} in {where}, which is an object")
    hints = get_type_hints(cls)
    for f in dataclasses.fields(cls):
        if f.name in record:
            place = f"{where}.{f.name}" if where else f.name
            _check(record[f.name], hints[f.name], place, _range(cls, f.name))
        elif f.default is dataclasses.MISSING:
            raise ValueError(f"a record without the field '{f.name}'" + (f" in {where}" if where else ""))


def _check(value: Any, hint: Any, where: str, limits: tuple[float, float]) -> None:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is not None:
            _check(value, next(a for a in args if a is not type(None)), where, limits)
    elif dataclasses.is_dataclass(hint):
        _check_record(value, hint, where)  # type: ignore[arg-type]  # it is a class here
    elif origin is tuple:
        _check_items(value, args, where, limits)
    elif origin is Literal:
        if value not in args:
            raise ValueError(f"{value!r:.60} in {where}, which is {' or '.join(map(str, args))}")
    else:
        _check_plain(value, hint, where, limits)


def _check_items(items: Any, args: tuple[Any, ...], where: str, limits: tuple[float, float]) -> None:
    if not isinstance(items, list):
        raise ValueError(f"{items!r:.60} in {where}, which is a list")
    hints = [args[0]] * len(items) if args[-1] is Ellipsis else list(args)
    if len(hints) != len(items):
        raise ValueError(f"{len(items)} values in {where}, which has {len(hints)}")
    for k, (item, hint) in enumerate(zip(items, hints, strict=True)):
        _check(item, hint, f"{where}[{k}]", limits)


def _check_plain(value: Any, kind: type[Any], where: str, limits: tuple[float, float]) -> None:
    """Text, numbers, true and false."""
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r:.60} in {where}, which is {_TYPES.get(kind, kind.__name__)}")
    low, high = limits
    if kind in (int, float) and not low <= value <= high:
        raise ValueError(f"{value!r:.60} in {where}, which is from {low:g} to {high:g}")


def _range(cls: type[Any], name: str) -> tuple[float, float]:
    return _RANGES.get(f"{cls.__name__}.{name}") or _RANGES.get(name) or (-_MOST, _MOST)


def _check_text(scan: Scan) -> None:
    if not scan.file or "\0" in scan.file or not _is_encodable(scan.file):
        raise ValueError(f"{scan.file!r:.60} in file, which is a file name")
    for place, digest in _digests(scan):
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{digest!r:.60} in {place}, which is 64 hexadecimal digits")


def _digests(scan: Scan) -> Iterator[tuple[str, str]]:
    """Every SHA-256 of a result, and its place."""
    if scan.source is not None:
        yield "source.sha256", scan.source.sha256
    if scan.evidence is not None:
        yield "evidence.config_sha256", scan.evidence.config_sha256
        if scan.evidence.model_file is not None:
            yield "evidence.model_file.sha256", scan.evidence.model_file.sha256
    if scan.signature is not None:
        yield "signature.key_sha256", scan.signature.key_sha256


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _refuse_constant(name: str) -> float:
    raise ValueError(f"JSON with the number {name}")


def _without_twins(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two fields with one name, programs disagree which counts."""
    found = dict(entries)
    if len(found) < len(entries):
        names = [name for name, _ in entries]
        raise ValueError(f"the field {next(n for n in names if names.count(n) > 1)!r:.60} twice in an object")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or "an unreadable file").lower()
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "a file that is not JSON"
    if isinstance(error, KeyError):
        return f"a record without the field {error}"
    return "JSON nested too deeply" if isinstance(error, RecursionError) else printable(str(error))
