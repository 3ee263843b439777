"""Frozen dataclasses as plain values for JSON, and back."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses become dicts, tuples become lists; everything else stays as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value


def from_plain(cls: type[T], record: Mapping[str, Any]) -> T:
    """The inverse of `to_plain`; unknown entries are ignored, missing ones become the default of their field.

    Raises:
        KeyError: an entry is missing whose field has no default.
    """
    hints, values = get_type_hints(cls), {}
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]  # T is a dataclass
        if f.name in record or f.default is dataclasses.MISSING:
            values[f.name] = _built(hints[f.name], record[f.name])
    return cls(**values)


def _built(hint: Any, value: Any) -> Any:
    """A value of the type that an annotation names."""
    if get_origin(hint) in (Union, types.UnionType):
        return None if value is None else _built(next(a for a in get_args(hint) if a is not type(None)), value)
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(from_plain(item, v) for v in value) if _is_record(item) else tuple(value)
    return from_plain(hint, value) if _is_record(hint) else value


def _is_record(hint: Any) -> bool:
    return dataclasses.is_dataclass(hint)
