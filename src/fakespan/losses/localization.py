"""The published training loss, summed over the three streams (fused, visual and audio) of a network."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from fakespan.errors import UsageError
from fakespan.losses.masked import (
    contrastive_loss,
    masked_boundary_mse,
    masked_frame_bce,
    masked_map_bce,
    masked_map_mse,
    video_bce,
)
from fakespan.losses.terms import LossTerms, LossWeights, Prediction, StreamLike, StreamTerms, Targets

__all__ = ["localization_loss"]


def localization_loss(output: Prediction, targets: Targets, weights: LossWeights | None = None) -> LossTerms:
    """The published training loss of BA-TFD or BA-TFD+ (depending on the output): total and terms.

    fused + maps * mean(visual, audio) + frames * mean(visual frames, audio frames) + contrastive / (C T) * contrast,
    and video * the clip-level loss, if that weight is above 0 (ours). BA-TFD+ replaces the term of each map by the sum
    over its three maps; with the boundary generator each stream adds the errors of start and end of both runs, and
    visual and audio add the difference of the features of the two runs.

    Args:
        output: the network's output.
        targets: the targets on the same device, with boundaries if the network has a boundary generator.
        weights: weights of the terms; default: the published ones.

    Raises:
        UsageError: the network has a boundary generator and the targets have no boundaries.

    >>> flat = torch.zeros(1, 2, 4)
    >>> truth = Targets(torch.tensor([4]), torch.tensor([True]), flat, flat, flat, flat[:, 0], flat[:, 0])
    >>> from types import SimpleNamespace
    >>> answer = SimpleNamespace(fused=flat, visual=flat, audio=flat, visual_logits=flat[:, :1], fused_parts=None,
    ...     audio_logits=flat[:, :1], visual_features=flat, audio_features=flat, visual_parts=None, audio_parts=None)
    >>> round(float(localization_loss(answer, truth).total), 4)  # two coins, each weighing 2 * ln(2) / 2
    1.3863
    """
    w = weights or LossWeights()
    n = targets.n_frames
    map_error = masked_map_mse if w.map_error == "mse" else masked_map_bce
    stream = functools.partial(_stream, n_frames=n, map_error=map_error, feature_weight=w.generator_features)
    fused = stream(output.fused, output.fused_parts, targets.fused_map, targets.fused_boundaries)
    visual = stream(output.visual, output.visual_parts, targets.visual_map, targets.visual_boundaries)
    audio = stream(output.audio, output.audio_parts, targets.audio_map, targets.audio_boundaries)
    visual_frames = masked_frame_bce(output.visual_logits, targets.visual_frames, n, w.frame_focus)
    audio_frames = masked_frame_bce(output.audio_logits, targets.audio_frames, n, w.frame_focus)
    contrast = contrastive_loss(output.visual_features, output.audio_features, targets.is_untouched, n, w.margin)
    n_values = output.visual_features.shape[1] * output.visual_features.shape[2]
    total = (
        fused.total
        + w.maps * (visual.total + audio.total) / 2
        + w.frames * (visual_frames + audio_frames) / 2
        + w.contrastive / n_values * contrast
    )
    video = video_bce(output.fused, targets.is_untouched, n) if w.video else None
    total = total if video is None else total + w.video * video
    return LossTerms(total, fused, visual, audio, visual_frames, audio_frames, contrast, video)


def _stream(
    map_: Tensor,
    parts: StreamLike | None,
    target: Tensor,
    boundary_target: Tensor | None,
    n_frames: Tensor,
    *,
    map_error: Callable[[Tensor, Tensor, Tensor], Tensor],
    feature_weight: float,
) -> StreamTerms:
    """The terms of one of fused, visual and audio."""
    maps = None if parts is None else parts.maps
    predicted = (map_,) if maps is None else (maps.p, maps.c, maps.p_c)
    error = torch.stack([map_error(one, target, n_frames) for one in predicted]).sum()
    if parts is None or parts.boundaries is None:
        return StreamTerms(error)
    if boundary_target is None:
        raise UsageError(
            "targets",
            expected="start and end targets, as the network has a boundary generator",
            got="none",
            remedy="compute them with boundary_map.boundary_targets",
        )
    runs = parts.boundaries
    # in the reversed run a start looks like an end
    back_start, back_end = runs.reversed_end.flip(-1), runs.reversed_start.flip(-1)
    return StreamTerms(
        error,
        masked_boundary_mse(runs.start, runs.end, boundary_target, n_frames),
        masked_boundary_mse(back_start, back_end, boundary_target, n_frames),
        _disagreement(parts, n_frames, feature_weight),
    )


def _disagreement(parts: StreamLike, n_frames: Tensor, weight: float) -> Tensor | None:
    """Weighted squared difference of the features of the boundary generator's two runs."""
    forward, backward = parts.generator_features, parts.reversed_generator_features
    if forward is None or backward is None:
        return None
    return weight * masked_map_mse(forward, backward.flip(-1), n_frames)
