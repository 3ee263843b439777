"""`Batch`: clips ready for a network, as padded tensors with their targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fakespan.boundary_map import boundary_targets, frame_target, iou_map_target
from fakespan.config import FPS, SAMPLES_PER_FRAME
from fakespan.data.example import Example, Span
from fakespan.media.features import sound_input

__all__ = ["Batch", "collate"]

Spans = tuple[Span, ...]


@dataclass(frozen=True)
class Batch:
    """Clips of up to T frames, zero-padded, with their training targets."""

    names: tuple[str, ...]
    video: Tensor  # (B, 3, T, 96, 96) in 0..1
    audio: Tensor  # (B, 64, 4T) log-mel, or (B, 5, 256, 4T), see `features.sound_input`
    n_frames: Tensor  # (B,) the clips' own frames
    has_picture: Tensor  # (B,) false: the video is zeros
    has_sound: Tensor  # (B,) false: the sound is zeros
    is_untouched: Tensor  # (B,)
    fused_map: Tensor  # (B, D, T)
    visual_map: Tensor
    audio_map: Tensor
    visual_frames: Tensor  # (B, T)
    audio_frames: Tensor
    fused_boundaries: Tensor | None = None  # (B, 2, T) start and end, for a network with a boundary generator
    visual_boundaries: Tensor | None = None
    audio_boundaries: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return self._with(lambda tensor: _unexpanded(tensor).to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in pinned memory."""
        return self._with(lambda tensor: _unexpanded(tensor).pin_memory())

    def _with(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values.update({name: change(v).expand(v.shape) for name, v in values.items() if isinstance(v, Tensor)})
        return Batch(**values)


def collate(
    examples: Sequence[Example],
    n_padded: int,
    max_duration: int,
    *,
    boundaries: bool = False,
    audio_encoder: str = "cnn",
) -> Batch:
    """Examples of at most n_padded frames (see `clock.fit_clock`) -> one batch with T = n_padded and D = max_duration.

    Args:
        examples: the clips.
        n_padded: T.
        max_duration: D.
        boundaries: whether to compute the targets of a boundary generator.
        audio_encoder: the encoder that the audio is for, see `features.sound_input`.

    Raises:
        ValueError: a clip is longer than n_padded frames, or its audio is longer than its video.
    """
    lengths = [len(e.faces) for e in examples]
    _check_lengths(examples, lengths, n_padded)
    sound = np.stack([np.pad(e.sound, (0, n_padded * SAMPLES_PER_FRAME - len(e.sound))) for e in examples])
    targets = _Targets(lengths, n_padded, max_duration)
    fused, audio = [e.spans for e in examples], [e.audio_spans for e in examples]
    visual = [e.visual_spans for e in examples]
    return Batch(
        names=tuple(e.name for e in examples),
        video=_video(examples, n_padded),
        audio=sound_input(audio_encoder, sound),
        n_frames=torch.tensor(lengths),
        has_picture=torch.tensor([e.has_picture for e in examples]),
        has_sound=torch.tensor([e.has_sound for e in examples]),
        is_untouched=torch.tensor([not e.spans for e in examples]),
        fused_map=targets.maps(fused),
        visual_map=targets.maps(visual),
        audio_map=targets.maps(audio),
        visual_frames=targets.frames(visual),
        audio_frames=targets.frames(audio),
        fused_boundaries=targets.boundaries(fused) if boundaries else None,
        visual_boundaries=targets.boundaries(visual) if boundaries else None,
        audio_boundaries=targets.boundaries(audio) if boundaries else None,
    )


def _check_lengths(examples: Sequence[Example], lengths: Sequence[int], n_padded: int) -> None:
    if max(lengths) > n_padded:
        raise ValueError(f"a clip of {max(lengths)} frames does not fit into {n_padded}")
    for e, n in zip(examples, lengths, strict=True):
        if len(e.sound) > n * SAMPLES_PER_FRAME:
            raise ValueError(f"{e.name}: {len(e.sound)} samples of sound do not fit {n} frames")


@dataclass(frozen=True)
class _Targets:
    """Computes the targets of clips of these lengths; each method takes the spans of every clip."""

    lengths: Sequence[int]  # frames of each clip
    n_padded: int
    max_duration: int

    def maps(self, spans: Sequence[Spans]) -> Tensor:
        """(B, D, T)."""
        sizes = self.n_padded, self.max_duration
        return torch.from_numpy(np.stack([iou_map_target(s, n, *sizes) for s, n in self._pairs(spans)]))

    def frames(self, spans: Sequence[Spans]) -> Tensor:
        """(B, T)."""
        ends = [_to_the_end(s, n) for s, n in self._pairs(spans)]
        return torch.from_numpy(np.stack([frame_target(s, self.n_padded, FPS) for s in ends]))

    def boundaries(self, spans: Sequence[Spans]) -> Tensor:
        """(B, 2, T)."""
        sizes = self.n_padded, self.max_duration
        return torch.from_numpy(np.array([boundary_targets(s, n, *sizes) for s, n in self._pairs(spans)]))

    def _pairs(self, spans: Sequence[Spans]) -> Iterator[tuple[Spans, int]]:
        return zip(spans, self.lengths, strict=True)


def _to_the_end(spans: Spans, n_frames: int) -> Spans:
    """Extend spans that end with the clip to include its last frame: in floats 29 / 25 * 25 is less than 29.

    >>> _to_the_end(((0.0, 29 / 25), (0.2, 0.4)), 29)
    ((0.0, 1.18), (0.2, 0.4))
    """
    return tuple((a, (n_frames + 0.5) / FPS if b * FPS > n_frames - 1e-6 else b) for a, b in spans)


def _unexpanded(tensor: Tensor) -> Tensor:
    """The tensor without its expanded dimensions: what has to be moved of a video of zeros."""
    return tensor[tuple(slice(0, 1) if step == 0 else slice(None) for step in tensor.stride())]


def _video(examples: Sequence[Example], n_padded: int) -> Tensor:
    """(B, 3, T, 96, 96) in 0..1; zeros that take no memory where no clip has a picture."""
    shape = len(examples), 3, n_padded, *examples[0].faces.shape[1:3]
    if not any(e.has_picture for e in examples):
        return torch.zeros(1).expand(shape)
    video = torch.zeros(shape)
    for row, example in zip(video, examples, strict=True):
        row[:, : len(example.faces)] = torch.from_numpy(example.faces).permute(3, 0, 1, 2).float().div_(255)
    return video
