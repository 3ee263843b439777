"""The training loss of an expert: frames, seams, offsets and the map of one modality.

Contract as in `fakespan.losses`: tensors in, scalars out; a clip's own frames only; the mean over the clips. Seams and
offsets are derived from the frame targets: two spans that touch are one.

Legend: B clips, D longest proposal in frames, T frames after padding, n_frames (B,) the clips' own frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fakespan.losses.masked import masked_map_bce, mean_over_clips, own_frames

__all__ = ["ExpertTerms", "ExpertWeights", "diou", "expert_loss", "seams_and_offsets"]


@dataclass(frozen=True)
class ExpertWeights:
    """Weights of the terms."""

    frames: float = 1.0
    seams: float = 0.5
    offsets: float = 0.5
    map: float = 1.0
    seam_balance: float = 6.0  # weight of a frame at a seam relative to others
    smoothing: float = 0.1  # label smoothing of the two frames at a seam


class ExpertLike(Protocol):
    """The output of an expert; `fakespan.models.expert.ExpertOutput` implements it."""

    @property
    def frames(self) -> Tensor: ...
    @property
    def seams(self) -> Tensor: ...
    @property
    def offsets(self) -> Tensor: ...
    @property
    def map(self) -> Tensor: ...


@dataclass(frozen=True)
class ExpertTerms:
    """The loss of a batch and its terms before their weights; scalars."""

    total: Tensor
    frames: Tensor
    seams: Tensor
    offsets: Tensor
    map: Tensor

    def to_dict(self) -> dict[str, float]:
        """Plain numbers for logging."""
        return {name: float(getattr(self, name).detach()) for name in ("total", "frames", "seams", "offsets", "map")}


def expert_loss(
    output: ExpertLike, frames: Tensor, map_: Tensor, n_frames: Tensor, weights: ExpertWeights | None = None
) -> ExpertTerms:
    """The loss of an expert.

    Args:
        output: its output.
        frames: (B, T) 1 inside a forged span, else 0.
        map_: (B, D, T) IoU targets of `boundary_map.iou_map_target`.
        n_frames: (B,) the clips' own frames.
        weights: of the terms.

    Returns:
        The total, to call `backward` on, and its terms.
    """
    w = weights or ExpertWeights()
    inside = frames.float()
    seams, offsets = seams_and_offsets(inside, n_frames)
    with torch.autocast(inside.device.type, enabled=False):
        terms = (
            _frame_bce(output.frames.squeeze(1).float(), inside, seams, n_frames, w.smoothing),
            _seam_bce(output.seams.float(), seams, n_frames, w.seam_balance),
            _offset_loss(output.offsets.float(), offsets, inside, n_frames),
        )
    map_error = masked_map_bce(output.map, map_, n_frames)
    total = w.frames * terms[0] + w.seams * terms[1] + w.offsets * terms[2] + w.map * map_error
    return ExpertTerms(total, *terms, map_error)


def seams_and_offsets(frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
    """Targets of seams and offsets.

    Args:
        frames: (B, T) 1 inside a forged span, else 0.
        n_frames: (B,) the clips' own frames.

    Returns:
        (B, 2, T) 1 at the first frame of a span, and at the last; a span that is cut by the border of the clip has no
        seam there. (B, 2, T) frames from the middle of each frame back to the start and on to the end of its span; 0
        outside.

    >>> seams, offsets = seams_and_offsets(torch.tensor([[0., 1, 1, 0, 1]]), torch.tensor([5]))
    >>> seams[0].int().tolist(), offsets[0].tolist()
    ([[0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], [[0.0, 0.5, 1.5, 0.0, 0.5], [0.0, 1.5, 0.5, 0.0, 0.5]])
    """
    own = own_frames(frames, n_frames)
    inside = (frames > 0.5) & own
    starts = inside & ~F.pad(inside[:, :-1], (1, 0))
    ends = inside & ~F.pad(inside[:, 1:], (0, 1))
    back, on = _since(starts) * inside, _since(ends.flip(1)).flip(1) * inside
    last = F.pad(own[:, 1:], (0, 1))  # all frames but the last
    seams = torch.stack([starts & (torch.arange(frames.shape[1], device=frames.device) > 0), ends & last], dim=1)
    return seams.float(), torch.stack([back, on], dim=1)


def diou(offsets: Tensor, target: Tensor) -> Tensor:
    """1 - IoU of two spans about one frame, and the squared distance of their middles as a share of what holds both.

    Args:
        offsets: (..., 2, T) distances to start and end.
        target: the same.

    Returns:
        (..., T) in 0..2 (Zheng et al. 1911.08287, in one dimension).
    """
    shared = torch.minimum(offsets, target).sum(-2)
    hull = torch.maximum(offsets, target).sum(-2).clamp(min=1e-3)
    union = (offsets.sum(-2) + target.sum(-2) - shared).clamp(min=1e-3)
    between = (offsets - target).diff(dim=-2).squeeze(-2) / 2
    return 1 - shared / union + (between / hull).square()


def _since(marks: Tensor) -> Tensor:
    """Frames since the last mark, from the middle of the frame: (B, T) bool -> float."""
    index = torch.arange(marks.shape[1], device=marks.device).expand_as(marks)
    latest = torch.where(marks, index, torch.zeros_like(index)).cummax(dim=1).values
    return (index - latest).float() + 0.5


def _frame_bce(logits: Tensor, inside: Tensor, seams: Tensor, n_frames: Tensor, smoothing: float) -> Tensor:
    near = _meeting(seams).amax(dim=1)
    truth = inside + smoothing * near * (1 - 2 * inside)
    return mean_over_clips(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), n_frames)


def _seam_bce(logits: Tensor, seams: Tensor, n_frames: Tensor, balance: float) -> Tensor:
    """Ignore the frames next to a seam: labels are not that exact."""
    truth = _meeting(seams)
    unsure = F.max_pool1d(truth, 3, stride=1, padding=1) - truth
    weight = (1 + (balance - 1) * truth) * (1 - unsure)
    errors = F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="none")
    return mean_over_clips(errors.mean(1), n_frames)


def _meeting(seams: Tensor) -> Tensor:
    """Mark both frames at a seam: (B, 2, T) first and last frames of spans -> the same with their neighbours."""
    before, after = F.pad(seams[:, 0, 1:], (0, 1)), F.pad(seams[:, 1, :-1], (1, 0))
    return torch.maximum(seams, torch.stack([before, after], dim=1))


def _offset_loss(offsets: Tensor, target: Tensor, inside: Tensor, n_frames: Tensor) -> Tensor:
    """Mean over the frames inside spans; 0 for a clip without spans."""
    weight = inside * own_frames(inside, n_frames)
    return ((diou(offsets, target) * weight).sum(1) / weight.sum(1).clamp(min=1)).mean()
