"""What a network gives, by name. Shapes as in the legend of `fakespan.models`; maps and probabilities are in 0..1."""

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
class Branch:
    """What one modality alone says: the answer of a network's `see` or `hear`, and what its `fuse` takes."""

    features: Tensor  # (B, C, T)
    logits: Tensor  # (B, 1, T) frame logits
    evidence: Tensor  # (B, C + 1, T): features and, as the last channel, the frame logits
    map: Tensor  # (B, D, T)
    start: Tensor | None = None  # (B, T); only with a boundary generator
    end: Tensor | None = None  # (B, T)
    parts: Stream | None = None  # only for a loss

    @property
    def score_map(self) -> Tensor:
        """The score of each proposal, (B, D, T): `fused`, times its start and end probabilities where there are any."""
        return _scores(self.fused, self.start, self.end)


def _scores(boundary_map: Tensor, start: Tensor | None, end: Tensor | None) -> Tensor:
    if start is None or end is None:
        return boundary_map
    n_durations, n_frames = boundary_map.shape[1:]
    frames = torch.arange(n_frames, device=end.device)
    last = (frames[:n_durations, None] + frames).clamp(max=n_frames - 1)  # (D, T): the span's last frame, t + d
    return boundary_map * start[:, None] * end[:, last]
