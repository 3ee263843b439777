"""fakespan finds the forged seconds of a video.

    import fakespan
    result = fakespan.scan("clip.mp4")
    for segment in result.segments:
        print(segment.start_s, segment.end_s, segment.modality, segment.score)

Every error is a `fakespan.FakespanError`, with a class for each kind of cause. Importing the package loads no torch:
the other names are resolved when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fakespan.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    FakespanError,
    InputError,
    MediaError,
    MissingExtraError,
    NotInFileError,
    UsageError,
)
from fakespan.version import __version__

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "FakespanError",
    "InputError",
    "Localizer",
    "MediaError",
    "MissingExtraError",
    "NotInFileError",
    "Scan",
    "Segment",
    "UsageError",
    "__version__",
    "load_model",
    "metrics",
    "scan",
]

if TYPE_CHECKING:
    from fakespan import metrics
    from fakespan.localizer import Localizer, load_model, scan
    from fakespan.types import Scan, Segment

_HOMES = {
    "Localizer": "fakespan.localizer",
    "Scan": "fakespan.types",
    "Segment": "fakespan.types",
    "load_model": "fakespan.localizer",
    "scan": "fakespan.localizer",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("fakespan.metrics")
    if name not in _HOMES:
        raise AttributeError(f"module 'fakespan' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
