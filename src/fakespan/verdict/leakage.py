"""Detects leakage between train and validation: an original and its fakes must be in the same split.

Contract: names and originals in, names out. A fake of DFDC looks and sounds like the real video that it was made from
(the field `original`), so a head that was trained on one of the two has information about the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fakespan.errors import DataError

__all__ = ["Origin", "check_apart", "n_unknown", "shared_clips"]


class Origin(Protocol):
    """The origin of a clip."""

    @property
    def name(self) -> str:
        """Its name in the set."""

    @property
    def original(self) -> str | None:
        """The name of its original; None for a real clip, or if unknown."""

    @property
    def label(self) -> int:
        """1 for a fake."""


def shared_clips(train: Iterable[Origin], validation: Iterable[Origin]) -> tuple[str, ...]:
    """Sorted names of the clips, or originals of clips, in both splits.

    A clip is in a split that contains it, or anything made from it.
    """
    return tuple(sorted(_known(train) & _known(validation)))


def n_unknown(clips: Iterable[Origin]) -> int:
    """Number of fakes without a known original, which cannot be checked."""
    return sum(clip.label == 1 and clip.original is None for clip in clips)


def check_apart(
    train: Sequence[Origin], validation: Sequence[Origin], *, allow_shared_originals: bool = False
) -> tuple[str, ...]:
    """Refuse clips that are in both splits.

    Args:
        train: the training clips.
        validation: the validation clips.
        allow_shared_originals: permit them.

    Returns:
        The names in both; empty unless permitted.

    Raises:
        DataError: a clip is in both, and that is not permitted.
    """
    shared = shared_clips(train, validation)
    if shared and not allow_shared_originals:
        raise DataError(
            "train and validation",
            expected="no original, nor its fakes, in both",
            got=f"{len(shared)} in both, for instance {shared[0]}",
            remedy="split the set by originals, or allow it with --allow-shared-originals",
        )
    return shared


def _known(clips: Iterable[Origin]) -> set[str]:
    return {name for clip in clips for name in (clip.name, clip.original) if name is not None}
