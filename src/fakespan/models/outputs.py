"""What a network gives, by name. Shapes as in the legend of `fakespan.models`; maps and probabilities are in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Boundaries", "Maps", "Output", "Stream"]


@dataclass(frozen=True)
class Maps:
    """The three boundary maps of a proposal relation block (2305.01979, section 3.4), each (B, D, T) in 0..1."""

    p: Tensor  # position-aware branch
    c: Tensor  # channel-aware branch
    p_c: Tensor  # both

    @property
    def mean(self) -> Tensor:
        """The prediction: the mean of the three, (B, D, T)."""
        return (self.p + self.c + self.p_c) / 3


@dataclass(frozen=True)
class Boundaries:
    """Start and end probabilities of the forward and of the time-reversed run, each (B, T) in 0..1.

    The `reversed_*` are as the network gave them on reversed features: index 0 is the last frame.
    """

    start: Tensor
    end: Tensor
    reversed_start: Tensor
    reversed_end: Tensor


@dataclass(frozen=True)
class Stream:
    """What only a loss asks of one of fused, visual and audio. None: the network has no such part."""

    maps: Maps | None = None
    boundaries: Boundaries | None = None
    generator_features: Tensor | None = None  # (B, C, T), forward run; None for fused
    reversed_generator_features: Tensor | None = None  # (B, C, T), reversed run: index 0 is the last frame


@dataclass(frozen=True)
class Output:
    """The answer of every network.

    `fused`, `visual` and `audio` are boundary maps (B, D, T): entry [d, t] is the predicted IoU of the span of d + 1
    frames from frame t with the best matching forged span. For BA-TFD+ they are the mean of the three maps of
    `*_parts.maps`; `start` and `end` are its combined boundary probabilities (reference: 2305.01979, section 3.5).
    """

    fused: Tensor
    visual: Tensor
    audio: Tensor
    visual_logits: Tensor  # (B, 1, T) frame logits
    audio_logits: Tensor  # (B, 1, T)
    visual_features: Tensor  # (B, C, T)
    audio_features: Tensor  # (B, C, T)
    start: Tensor | None = None  # (B, T); only with a boundary generator
    end: Tensor | None = None  # (B, T)
    visual_start: Tensor | None = None  # (B, T), of one modality alone
    visual_end: Tensor | None = None
    audio_start: Tensor | None = None
    audio_end: Tensor | None = None
    fused_parts: Stream | None = None  # None: the network has none (BA-TFD, small)
    visual_parts: Stream | None = None
    audio_parts: Stream | None = None
