"""Libraries of the extra `formats`, which only some output formats need."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from fakespan.errors import MissingExtraError

__all__ = ["check_libraries", "library"]

_NEEDED = {
    "edl": "opentimelineio",
    "fcpxml": "opentimelineio",
    "otio": "opentimelineio",
    "eaf": "pympi",
    "parquet": "pyarrow",
    "textgrid": "praatio",
}
_PACKAGES = {"pympi": "pympi-ling"}  # named otherwise than their module


def library(module: str) -> Any:
    """The module. Raises MissingExtraError if its library is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        raise MissingExtraError(_PACKAGES.get(name, name), "formats") from error


def check_libraries(formats: Iterable[str]) -> None:
    """Raise MissingExtraError if a library for one of the formats is not installed."""
    for name in formats:
        if name in _NEEDED:
            library(_NEEDED[name])
