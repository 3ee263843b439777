"""`Example`: one decoded clip with its labels, before conversion to network input."""

from __future__ import annotations

from dataclasses import dataclass

from fakespan.arrays import Float32Array, UInt8Array

__all__ = ["Example", "Span"]

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
