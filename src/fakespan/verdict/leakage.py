"""Whether clips that a head learns from also judge it: an original and its fakes must stand on one side.

Contract: names and originals in, names out. A fake of DFDC looks and sounds like the real video that it was made from
(the field `original`), so a head that has seen one of the two knows something of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from fakespan.errors import DataError

__all__ = ["Origin", "check_apart", "n_unknown", "shared_clips"]


class Origin(Protocol):
    """What is known of where a clip comes from."""

    @property
    def name(self) -> str:
        """Its name in the set."""

    @property
    def original(self) -> str | None:
        """The name of the clip that it was made from; None for a real one, or where the set does not say."""

    @property
    def label(self) -> int:
        """1 for a fake."""


def shared_clips(train: Iterable[Origin], validation: Iterable[Origin]) -> tuple[str, ...]:
    """Names of the clips, or originals of clips, that both sides know, sorted.

    A clip counts as known to a side that holds it, or anything made from it.
    """
    return tuple(sorted(_known(train) & _known(validation)))


def n_unknown(clips: Iterable[Origin]) -> int:
    """How many fakes do not say what they were made from, so that nothing can be said about them."""
    return sum(clip.label == 1 and clip.original is None for clip in clips)


def check_apart(
    train: Sequence[Origin], validation: Sequence[Origin], *, allow_shared_originals: bool = False
) -> tuple[str, ...]:
    """Refuses clips that both sides know.

    Args:
        train: the clips that are learned from.
        validation: the clips that say when to stop, and where the threshold lies.
        allow_shared_originals: they are wanted.

    Returns:
        The names that both know; none, unless allowed.

    Raises:
        DataError: both know a clip, and that is not allowed.
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
