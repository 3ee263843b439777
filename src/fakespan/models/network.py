"""Common parts of all networks: their interface, and the path from features to maps.

A network encodes each modality separately (`encode_video`, `encode_audio`) and fuses both branches (`fuse`); `forward`
is all three together. A clip without audio or without a face is scored by its only branch.
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

COLUMNS_PER_FRAME = 4  # of the audio features


class Network(nn.Module, ABC):
    """A network of any family. `n_frames`: all clips of a batch are padding after so many frames."""

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """Maps (B, D, T) from faces (B, 3, T, 96, 96) in 0..1 and audio features (B, ..., 4T).

        Raises UsageError if video and audio differ in length.
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
        """The branch of the audio features (B, ..., 4T) alone, from `media.features.sound_input`."""

    @abstractmethod
    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """The output of both branches together."""


class TwoBranchNetwork(Network):
    """Two encoders, each with a frame classifier and a boundary module, and the fusion of their maps.

    Args:
        encoders: of the video, (B, 3, T, 96, 96) -> (B, C_f, T), and of the audio, (B, ..., 4T) -> (B, C_f, T).
        boundaries: boundary modules of video and audio, (B, C_f + 1, T) -> (B, D, T).
        fusion: fusion of the two maps.
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
        """The branch of the audio features (B, ..., 4T) alone."""
        axis = audio.ndim - 1
        features = self.encode(self.audio_encoder, audio, n_frames, axis=axis, columns=COLUMNS_PER_FRAME)
        return _branch(features, self.audio_classifier, self.audio_boundary)

    @abstractmethod
    def encode(self, encoder: nn.Module, x: Tensor, n_frames: int | None, *, axis: int, columns: int) -> Tensor:
        """Features (B, C_f, T) of one modality; `axis` of x is time, with so many `columns` per frame."""

    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """The output of both branches together."""
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
    """Pad the output with zeros to n frames; for networks that process only a clip's own frames."""
    missing = (0, n_frames - output.fused.shape[-1])
    if missing == (0, 0):
        return output
    parts: dict[str, Any] = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    padded = {name: F.pad(part, missing) for name, part in parts.items() if isinstance(part, Tensor)}
    return Output(**{**parts, **padded})


def _branch(features: Tensor, classifier: nn.Module, boundary: nn.Module) -> Branch:
    logits, evidence = branch_evidence(features, classifier)
    return Branch(features, logits, evidence, boundary(evidence))
