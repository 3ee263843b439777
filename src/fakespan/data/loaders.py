"""The loaders of the published data sets: one line per kind, which is the part of a source before the colon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fakespan.data import avdeepfake1m, dfdc, forgerynet, lavdf
from fakespan.data.entries import Reading

if TYPE_CHECKING:
    from fakespan.data.clip import Faces  # importing it would load decoders, and metadata need none

__all__ = ["LOADERS", "Loader"]


@dataclass(frozen=True)
class Loader:
    """How a kind of data set is read.

    Args:
        read: clips and problems of the set in a folder, from its metadata alone; raises DataError for another folder.
        faces: default face mode: "whole" if the clips are face crops, otherwise "auto".
        has_audio: whether a clip without audio is a problem of the set.
    """

    read: Callable[[Path], Reading]
    faces: Faces
    has_audio: bool = True


LOADERS = {
    "lavdf": Loader(lavdf.read, "whole"),
    "avdeepfake1m": Loader(avdeepfake1m.read, "whole"),
    "dfdc": Loader(dfdc.read, "auto"),
    "forgerynet": Loader(forgerynet.read, "auto", has_audio=False),
}
