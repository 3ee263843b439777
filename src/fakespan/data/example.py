"""`Example`: one decoded clip with its labels, before conversion to network input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.errors import DataError

__all__ = ["Example", "Span", "damage_in_words", "refuse_damaged"]

Span = tuple[float, float]


@dataclass(frozen=True)
class Example:
    """One clip at the model's clock with its labels; spans are in seconds from its begin."""

    name: str
    faces: UInt8Array  # (n, 96, 96, 3)
    sound: Float32Array  # (640 n,)
    audio_spans: tuple[Span, ...] = ()
    visual_spans: tuple[Span, ...] = ()
    method: str = ""  # forging method, to break down results
    has_picture: bool = True  # false: the faces are zeros, with the length of the sound
    has_sound: bool = True  # false: the sound is zeros
    start_s: float = 0.0  # begin in its file, if the clip is the part covered by a face track
    damaged: tuple[Span, ...] = ()  # stretches of its file, in seconds, that do not decode or are missing at its end

    @property
    def spans(self) -> tuple[Span, ...]:
        """All forged spans; those shared by both modalities occur once."""
        return tuple(sorted({*self.audio_spans, *self.visual_spans}))

    @property
    def present(self) -> tuple[UInt8Array | None, Float32Array | None]:
        """Faces and sound, None for a missing one."""
        return self.faces if self.has_picture else None, self.sound if self.has_sound else None

    @property
    def kind(self) -> str:
        """real, audio, visual or both."""
        return {(0, 0): "real", (1, 0): "audio", (0, 1): "visual", (1, 1): "both"}[
            bool(self.audio_spans), bool(self.visual_spans)
        ]


def damage_in_words(stretches: Sequence[Span]) -> str:
    """What is told of a clip with damaged stretches.

    >>> damage_in_words([(1.0, 2.5)])
    'damaged or cut short at 1.00-2.50 s'
    """
    named = ", ".join(f"{start_s:.2f}-{end_s:.2f} s" for start_s, end_s in stretches[:3])
    return f"damaged or cut short at {named}" + (" and more" if len(stretches) > 3 else "")


def refuse_damaged(example: Example, path: str | Path) -> None:
    """Raises DataError if the clip is damaged or cut short."""
    if example.damaged:
        got, remedy = damage_in_words(example.damaged), "copy or download it again, or leave out --strict"
        raise DataError(path, expected="a clip without damage", got=f"one that is {got}", remedy=remedy)
