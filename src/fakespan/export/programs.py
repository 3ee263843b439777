"""The three steps of a network, `encode_video`, `encode_audio` and `fuse`, as functions of plain tensors.

Exporters know tensors only, so the `Branch` that each encoder gives is taken apart into its tensors, by dotted names,
and put together again before the fusion. Inputs are those of a `Runner`: bytes and a waveform, so that an exported file
needs no other code for its features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.localizer.shifts import audio_branch
from fakespan.media.crop import FACE_SIZE
from fakespan.models.outputs import Branch

__all__ = ["AudioProgram", "FuseProgram", "VideoProgram", "example", "tensors_of"]


class VideoProgram(nn.Module):
    """Bytes (B, T, 96, 96, 3) -> score map, frame probabilities, and the tensors of the branch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """As the class."""
        return _answers(self.branch(faces))

    def branch(self, faces: Tensor) -> Branch:
        """The branch alone."""
        video = faces.permute(0, 4, 1, 2, 3).to(torch.float32, memory_format=torch.contiguous_format) / 255
        branch: Branch = self.network.encode_video(video)
        return branch


class AudioProgram(nn.Module):
    """A waveform (B, 640 T) -> score map, frame probabilities, and the tensors of the branch."""

    def __init__(self, network: nn.Module, model: ModelConfig) -> None:
        super().__init__()
        self.network: Any = network
        self.model = model

    def forward(self, sound: Tensor) -> tuple[Tensor, ...]:
        """As the class."""
        return _answers(self.branch(sound))

    def branch(self, sound: Tensor) -> Branch:
        """The branch alone."""
        return audio_branch(self.network, self.model, sound)


class FuseProgram(nn.Module):
    """The tensors of the visual branch, then those of the audio branch -> score map (B, D, T).

    Args:
        network: the network.
        visual: a branch of the same structure.
        audio: likewise.
    """

    def __init__(self, network: nn.Module, visual: Branch, audio: Branch) -> None:
        super().__init__()
        self.network: Any = network
        self.visual, self.audio = visual, audio

    def forward(self, *tensors: Tensor) -> Tensor:
        """As the class."""
        names = list(tensors_of(self.visual))
        first, second = tensors[: len(names)], tensors[len(names) :]
        visual = _rebuilt(self.visual, dict(zip(names, first, strict=True)))
        audio = _rebuilt(self.audio, dict(zip(tensors_of(self.audio), second, strict=True)))
        score: Tensor = self.network.fuse(visual, audio).score_map
        return score


def example(n_frames: int, n_clips: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random faces (B, T, 96, 96, 3) and sound (B, 640 T), always the same."""
    random = torch.Generator().manual_seed(seed)
    faces = torch.randint(0, 256, (n_clips, n_frames, FACE_SIZE, FACE_SIZE, 3), generator=random, dtype=torch.uint8)
    return faces, 0.1 * torch.randn(n_clips, SAMPLES_PER_FRAME * n_frames, generator=random)


def tensors_of(branch: Any, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of nested dataclasses by dotted names, in the order of their fields."""
    return dict(_leaves(branch, prefix))


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for field in dataclasses.fields(value):
        inner, name = getattr(value, field.name), f"{prefix}{field.name}"
        if isinstance(inner, Tensor):
            yield name, inner
        elif inner is not None:
            yield from _leaves(inner, f"{name}.")


def _rebuilt(template: Any, tensors: Mapping[str, Tensor], prefix: str = "") -> Any:
    """The inverse of `tensors_of`: the same structure with these tensors."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(template):
        inner, name = getattr(template, field.name), f"{prefix}{field.name}"
        if isinstance(inner, Tensor):
            changes[field.name] = tensors[name]
        elif inner is not None:
            changes[field.name] = _rebuilt(inner, tensors, f"{name}.")
    return dataclasses.replace(template, **changes)


def _answers(branch: Branch) -> tuple[Tensor, ...]:
    return branch.score_map, branch.logits.sigmoid()[:, 0], *tensors_of(branch).values()
