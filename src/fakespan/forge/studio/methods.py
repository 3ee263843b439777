"""What the names of methods mean: where words and mouths come from, and which of them go together."""

from __future__ import annotations

from typing import Literal

__all__ = ["UNHEARD", "family_of", "go_together", "source_of"]

UNHEARD = {"donor": "donor-clean", "redraw": "resynthesis-mel"}  # family of lips -> a voice that offers such words


def family_of(method: str) -> str:
    """The part of a method's name before the tool's fingerprint.

    >>> family_of("donor-mel")
    'donor'
    """
    return method.partition("-")[0]


def source_of(voice: str) -> Literal["donor", "synthesis", "same"]:
    """Where a voice takes its words from: the speaker elsewhere, anybody's text, or the clip itself."""
    family = family_of(voice)
    return "donor" if family == "donor" else "same" if family == "resynthesis" else "synthesis"


def go_together(source: str, lips: str) -> bool:
    """Lips must match the audio: donor frames only with the donor's words, redrawn frames only with the old words."""
    return {"donor": source == "donor", "redraw": source == "same"}.get(family_of(lips), True)
