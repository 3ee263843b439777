"""What all networks have in common: how they are called, and the way from features to the maps.

A network encodes each modality by itself (`encode_video`, `encode_audio`) and fuses both branches (`fuse`); `forward`
is the three together. So a clip without sound or without a face is judged by the branch that it has.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.errors import UsageError
from fakespan.models.fusion import Fusion
from fakespan.models.outputs import Branch, Output

__all__ = ["COLUMNS_PER_FRAME", "Network", "TwoBranchNetwork", "branch_evidence", "own_part", "pad_output"]

COLUMNS_PER_FRAME = 4  # of the sound's features


class Network(nn.Module, ABC):
    """A network of any family. `n_frames` says after how many frames all clips of a batch are padding."""

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """Maps (B, D, T) of faces (B, 3, T, 96, 96) in 0..1 and the features of their sound (B, ..., 4T).

        Raises UsageError when picture and sound differ in length.
        """
        if audio.shape[-1] != COLUMNS_PER_FRAME * video.shape[2]:
            raise UsageError(
                "audio",
                expected=f"{COLUMNS_PER_FRAME} columns for each of {video.shape[2]} frames",
                got=f"{audio.shape[-1]} columns",
                remedy="pad both to the same length",
            )
        return self.fuse(self.encode_video(video, n_frames), self.encode_audio(audio, n_frames))

    @abstractmethod
    def encode_video(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the faces (B, 3, T, 96, 96) alone."""

    @abstractmethod
    def encode_audio(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the sound (B, ..., 4T) alone, as `media.features.sound_input` gives it."""

    @abstractmethod
    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """The answer of both branches together."""


class TwoBranchNetwork(Network):
    """Both encoders, a frame classifier and a boundary module for each, and the fusion of their maps.

    Args:
        encoders: of the picture, (B, 3, T, 96, 96) -> (B, C_f, T), and of the sound, (B, ..., 4T) -> (B, C_f, T).
        boundaries: of the picture and of the sound, (B, C_f + 1, T) -> (B, D, T).
        fusion: of the two maps.
        n_features: C_f.
    """

    def __init__(
        self,
        encoders: tuple[nn.Module, nn.Module],
        boundaries: tuple[nn.Module, nn.Module],
        fusion: Fusion,
        n_features: int,
    ) -> None:
        super().__init__()
        self.video_encoder, self.audio_encoder = encoders
        self.visual_classifier = nn.Conv1d(n_features, 1, 1)
        self.audio_classifier = nn.Conv1d(n_features, 1, 1)
        self.visual_boundary, self.audio_boundary = boundaries
        self.fusion = fusion

    def encode_video(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the faces (B, 3, T, 96, 96) alone."""
        features = self.encode(self.video_encoder, video, n_frames, axis=2, columns=1)
        return _branch(features, self.visual_classifier, self.visual_boundary)

    def encode_audio(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the sound (B, ..., 4T) alone."""
        axis = audio.ndim - 1
        features = self.encode(self.audio_encoder, audio, n_frames, axis=axis, columns=COLUMNS_PER_FRAME)
        return _branch(features, self.audio_classifier, self.audio_boundary)

    @abstractmethod
    def encode(self, encoder: nn.Module, x: Tensor, n_frames: int | None, *, axis: int, columns: int) -> Tensor:
        """Features (B, C_f, T) of one modality; `axis` of x is time, with so many `columns` for a frame."""

    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """The answer of both branches together."""
        fused = self.fusion(visual.map, audio.map, visual.evidence, audio.evidence)
        return Output(
            fused, visual.map, audio.map, visual.logits, audio.logits, visual.features, audio.features
        )  # fmt: skip


def branch_evidence(features: Tensor, classifier: nn.Module) -> tuple[Tensor, Tensor]:
    """Frame logits (B, 1, T) and evidence (B, C_f + 1, T) of features (B, C_f, T)."""
    logits: Tensor = classifier(features)
    return logits, torch.cat([features, logits], dim=1)


def own_part(x: Tensor, n_frames: int | None, axis: int, columns: int) -> Tensor:
    """The first `n_frames` of an input whose `axis` is time, with so many `columns` per frame; None: all of it."""
    return x if n_frames is None else x.narrow(axis, 0, min(columns * n_frames, x.shape[axis]))


def pad_output(output: Output, n_frames: int) -> Output:
    """The answer with zeros after it, up to n frames; for networks that look at a clip's own frames alone."""
    missing = (0, n_frames - output.fused.shape[-1])
    if missing == (0, 0):
        return output
    parts: dict[str, Any] = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    padded = {name: F.pad(part, missing) for name, part in parts.items() if isinstance(part, Tensor)}
    return Output(**{**parts, **padded})


def _branch(features: Tensor, classifier: nn.Module, boundary: nn.Module) -> Branch:
    logits, evidence = branch_evidence(features, classifier)
    return Branch(features, logits, evidence, boundary(evidence))
