"""Outputs of a network. Shapes as in the legend of `fakespan.models`; maps and probabilities are in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Boundaries", "Branch", "Maps", "Output", "Stream"]


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

    The `reversed_*` are the outputs for reversed features: index 0 is the last frame.
    """

    start: Tensor
    end: Tensor
    reversed_start: Tensor
    reversed_end: Tensor


@dataclass(frozen=True)
class Stream:
    """Additional outputs of fused, visual or audio for the losses. None: the network has no such part."""

    maps: Maps | None = None
    boundaries: Boundaries | None = None
    generator_features: Tensor | None = None  # (B, C, T), forward run; None for fused
    reversed_generator_features: Tensor | None = None  # (B, C, T), reversed run: index 0 is the last frame


@dataclass(frozen=True)
class Branch:
    """One modality alone: what a network's `encode_video` and `encode_audio` give, and what its `fuse` takes."""

    features: Tensor  # (B, C, T)
    logits: Tensor  # (B, 1, T) frame logits
    evidence: Tensor  # (B, C + 1, T): features and, as the last channel, the frame logits
    map: Tensor  # (B, D, T)
    start: Tensor | None = None  # (B, T); only with a boundary generator
    end: Tensor | None = None  # (B, T)
    parts: Stream | None = None  # only for a loss
    reversed_evidence: Tensor | None = None  # (B, C + 1, T), of the clip played backwards: index 0 is the last frame

    @property
    def score_map(self) -> Tensor:
        """The score of each proposal from this modality alone, (B, D, T)."""
        return _scores(self.map, self.start, self.end)


@dataclass(frozen=True)
class Output:
    """The output of a network.

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

    @property
    def score_map(self) -> Tensor:
        """The score of each proposal, (B, D, T): `fused`, times its start and end probabilities if there are any."""
        return _scores(self.fused, self.start, self.end)


def _scores(boundary_map: Tensor, start: Tensor | None, end: Tensor | None) -> Tensor:
    """A map (B, D, T) times the start and end probabilities (B, T) of its spans, if there are any."""
    if start is None or end is None:
        return boundary_map
    n_durations, n_frames = boundary_map.shape[1:]
    frames, longer = torch.arange(n_frames, device=end.device), torch.arange(n_durations, device=end.device)
    last = (longer[:, None] + frames).clamp(max=n_frames - 1)  # (D, T): the span's last frame, t + d
    return boundary_map * start[:, None] * end[:, last]
