"""Masked error terms. Each uses only the clip's own frames, averages over the clips and is a float32 scalar.

Legend: B clips, C features, D longest proposal in frames, T frames after padding, n_frames (B,) the clips' own frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "contrastive_loss",
    "masked_boundary_mse",
    "masked_frame_bce",
    "masked_map_bce",
    "masked_map_mse",
    "mean_over_clips",
    "own_frames",
    "video_bce",
]


def masked_map_mse(map_: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Mean squared error of maps (B, D, T) over the columns of each clip's own frames; a scalar."""
    return mean_over_clips(F.mse_loss(map_.float(), target.float(), reduction="none").mean(1), n_frames)


def masked_map_bce(map_: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Binary cross-entropy of maps (B, D, T) against their IoU targets, weighted up to five times for better spans.

    Forged spans cover few cells of a map, where the squared error of a sigmoid has hardly any gradient.
    """
    with torch.autocast(map_.device.type, enabled=False):
        truth = target.float().clamp(0, 1)  # an IoU may exceed 1 by rounding
        errors = F.binary_cross_entropy(map_.float(), truth, 1 + 4 * truth, reduction="none")
    return mean_over_clips(errors.mean(1), n_frames)


def masked_frame_bce(logits: Tensor, target: Tensor, n_frames: Tensor, focus: float = 0.0) -> Tensor:
    """Binary cross-entropy of frame logits (B, 1, T) or (B, T) against (B, T) of 0 and 1; a scalar.

    With a focus, gamma of the focal loss (1708.02002, section 3), well-classified frames count less: each error is
    weighted by (1 - probability of the true class) ** gamma. The class balance of the paper is omitted.
    """
    flat = (logits.squeeze(1) if logits.ndim == 3 else logits).float()
    errors = F.binary_cross_entropy_with_logits(flat, target.float(), reduction="none")
    if focus:
        errors = errors * (1 - torch.exp(-errors)) ** focus
    return mean_over_clips(errors, n_frames)


def video_bce(map_: Tensor, is_untouched: Tensor, n_frames: Tensor, n_best: int = 8) -> Tensor:
    """Clip-level binary cross-entropy: the mean of the best cells of a map against whether the clip is forged.

    It acts on the maximum of a clip, while the map losses act on all cells equally; its effect is largest for untouched
    clips, in which a single high cell is a false alarm.

    Args:
        map_: (B, D, T) in 0..1.
        is_untouched: (B,) true where neither modality was modified.
        n_frames: (B,) the clips' own frames.
        n_best: number of best cells.

    Returns:
        A scalar.
    """
    own = map_.float().masked_fill(~own_frames(map_, n_frames)[:, None], 0).flatten(1)
    n_cells = (map_.shape[1] * n_frames.to(map_.device)).clamp(1, n_best)
    top = own.topk(min(n_best, own.shape[1]), dim=1).values.sum(1) / n_cells
    with torch.autocast(map_.device.type, enabled=False):
        return F.binary_cross_entropy(top.clamp(0, 1), 1 - is_untouched.float())


def masked_boundary_mse(start: Tensor, end: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Sum of the mean squared errors of start and end probabilities (B, T) against (B, 2, T); a scalar."""
    predicted = torch.stack((start, end), 1).float()
    return mean_over_clips(F.mse_loss(predicted, target.float(), reduction="none").sum(1), n_frames)


def contrastive_loss(
    visual: Tensor, audio: Tensor, is_untouched: Tensor, n_frames: Tensor, margin: float = 0.99
) -> Tensor:
    """Contrastive loss: features of the modalities attract in untouched clips and repel in forged ones.

    With d the L2 distance over a clip's own frames: d^2 for an untouched clip, max(0, margin - d)^2 for a forged one;
    the mean over the clips is divided by C T and clipped to 1.

    Args:
        visual: (B, C, T) features.
        audio: (B, C, T) features.
        is_untouched: (B,) true where neither modality was modified.
        n_frames: (B,) the clips' own frames.
        margin: distance from which the loss of a forged pair is 0.

    Returns:
        A scalar.
    """
    squares = (visual.float() - audio.float()).square().sum(1).masked_fill(~own_frames(visual, n_frames), 0).sum(1)
    # the square root has no finite gradient at 0; the clamp makes it 0
    distance = squares.clamp(min=1e-12).sqrt()
    costs = torch.where(is_untouched.bool(), squares, (margin - distance).clamp(min=0).square())
    return (costs.mean() / (visual.shape[1] * visual.shape[2])).clamp(max=1)


def mean_over_clips(errors: Tensor, n_frames: Tensor) -> Tensor:
    """Mean over each clip's own frames of (B, T), then over clips."""
    own = own_frames(errors, n_frames)
    return (errors.masked_fill(~own, 0).sum(1) / own.sum(1).clamp(min=1)).mean()


def own_frames(values: Tensor, n_frames: Tensor) -> Tensor:
    """Mask (B, T), true for each clip's own frames; T is the last dimension of `values`."""
    return torch.arange(values.shape[-1], device=values.device) < n_frames.to(values.device)[:, None]
