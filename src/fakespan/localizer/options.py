"""What a user may choose about a scan, apart from the model and its post-processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from fakespan.errors import UsageError
from fakespan.localizer.hearing import SoundMode
from fakespan.media.faces import FaceMode

__all__ = ["ScanOptions"]


@dataclass(frozen=True)
class ScanOptions:
    """Options of `Localizer.scan`, which describes them. Raises UsageError for values that are none."""

    faces: FaceMode = "auto"
    sound: SoundMode = "speech"

    def __post_init__(self) -> None:
        for name, value, choices in (("faces", self.faces, FaceMode), ("sound", self.sound, SoundMode)):
            if value not in get_args(choices):
                *some, last = get_args(choices)
                expected = f"{', '.join(some)} or {last}"
                raise UsageError(name, expected=expected, got=repr(value), remedy="choose one of them")
