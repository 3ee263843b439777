"""Data types of the losses: weights, targets, the required output of a network, terms.

Legend: B clips, C features, D longest proposal in frames, T frames after padding.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from fakespan.errors import ConfigError

__all__ = ["LossTerms", "LossWeights", "StreamTerms", "Targets"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the defaults are published."""

    maps: float = 1.0  # mean of the visual and the audio map's terms
    frames: float = 2.0  # mean of the visual and the audio frame classifier's terms
    contrastive: float = 0.1  # divided by C T once more, as published: in effect off
    margin: float = 0.99  # minimum L2 distance of forged pairs
    generator_features: float = 0.01  # difference of the boundary generator's two runs
    map_error: Literal["mse", "bce"] = "mse"  # "mse" is published; "bce" trains faster from scratch
    frame_focus: float = 0.0  # gamma of a focal loss of the frames (1708.02002); 0 is published: cross-entropy
    video: float = 0.0  # clip-level cross-entropy of the best cells of the fused map; 0 (published): off

    def __post_init__(self) -> None:
        # below 1 the gradient of the focal weight is unbounded for perfectly classified frames
        for key, is_fine, expected in (
            ("frame_focus", self.frame_focus == 0 or self.frame_focus >= 1, "0, or a number of at least 1"),
            ("video", self.video >= 0, "a number of at least 0"),
        ):
            if not is_fine:
                got, remedy = repr(getattr(self, key)), "change this key in the config"
                raise ConfigError(f"loss.{key}", expected=expected, got=got, remedy=remedy)


@dataclass(frozen=True)
class Targets:
    """Targets of a batch. A modality that was not modified has targets of zeros."""

    n_frames: Tensor  # (B,) the clips' own frames
    is_untouched: Tensor  # (B,) true if neither video nor audio was modified
    fused_map: Tensor  # (B, D, T)
    visual_map: Tensor
    audio_map: Tensor
    visual_frames: Tensor  # (B, T)
    audio_frames: Tensor
    fused_boundaries: Tensor | None = None  # (B, 2, T) start and end; only for a network with a boundary generator
    visual_boundaries: Tensor | None = None
    audio_boundaries: Tensor | None = None


class MapsLike(Protocol):
    """The three maps of a proposal relation block, each (B, D, T)."""

    @property
    def p(self) -> Tensor: ...
    @property
    def c(self) -> Tensor: ...
    @property
    def p_c(self) -> Tensor: ...


class BoundariesLike(Protocol):
    """Start and end probabilities (B, T); `reversed_*` has the last frame at index 0."""

    @property
    def start(self) -> Tensor: ...
    @property
    def end(self) -> Tensor: ...
    @property
    def reversed_start(self) -> Tensor: ...
    @property
    def reversed_end(self) -> Tensor: ...


class StreamLike(Protocol):
    """Additional outputs of BA-TFD+ for fused, visual or audio; None if a network has no such part."""

    @property
    def maps(self) -> MapsLike | None: ...
    @property
    def boundaries(self) -> BoundariesLike | None: ...
    @property
    def generator_features(self) -> Tensor | None: ...
    @property
    def reversed_generator_features(self) -> Tensor | None: ...


class Prediction(Protocol):
    """The output of a network; `fakespan.models.outputs.Output` implements it."""

    @property
    def fused(self) -> Tensor: ...
    @property
    def visual(self) -> Tensor: ...
    @property
    def audio(self) -> Tensor: ...
    @property
    def visual_logits(self) -> Tensor: ...
    @property
    def audio_logits(self) -> Tensor: ...
    @property
    def visual_features(self) -> Tensor: ...
    @property
    def audio_features(self) -> Tensor: ...
    @property
    def fused_parts(self) -> StreamLike | None: ...
    @property
    def visual_parts(self) -> StreamLike | None: ...
    @property
    def audio_parts(self) -> StreamLike | None: ...


@dataclass(frozen=True)
class StreamTerms:
    """Scalars of one of fused, visual and audio. None: the network has no such part."""

    map: Tensor  # of the one map, or the sum over the three of a relation block
    forward: Tensor | None = None  # start and end of the boundary generator
    backward: Tensor | None = None  # the same of its reversed run
    features: Tensor | None = None  # weighted disagreement of its two runs

    @property
    def boundary(self) -> Tensor | None:
        """Sum of the boundary generator's terms."""
        given = [term for term in (self.forward, self.backward, self.features) if term is not None]
        return torch.stack(given).sum() if given else None

    @property
    def total(self) -> Tensor:
        """Sum of the stream."""
        return self.map if self.boundary is None else self.map + self.boundary


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch, `total`, and its terms; all scalars."""

    total: Tensor
    fused: StreamTerms
    visual: StreamTerms
    audio: StreamTerms
    visual_frames: Tensor
    audio_frames: Tensor
    contrastive: Tensor  # before its weight
    video: Tensor | None = None  # before its weight; None where it has none

    def to_dict(self) -> dict[str, float]:
        """Plain numbers for logging, for instance {"total": ..., "fused.map": ..., "visual_frames": ...}."""
        numbers: dict[str, float] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, StreamTerms):
                terms = {f"{field.name}.{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)}
                numbers.update({name: float(term.detach()) for name, term in terms.items() if term is not None})
            elif value is not None:
                numbers[field.name] = float(value.detach())
        return numbers
