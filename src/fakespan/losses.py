"""What training minimises: frame, map, boundary and contrastive losses, and their published sum.

Contract: tensors in, scalars out. Every loss looks at a clip's own frames only and averages over the clips of a batch,
so that a long clip counts no more than a short one. All arithmetic is in float32, whatever the network ran in.
Networks, data sets and optimisers are unknown here: `Prediction` and `Targets` name what is needed of them.

Legend: B clips, C features, D longest proposal in frames, T frames after padding, n_frames (B,) the clips' own frames.
Papers: BA-TFD (arXiv 2204.06228, section 4.5) and BA-TFD+ (arXiv 2305.01979, section 3.6).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fakespan.errors import ConfigError, UsageError

__all__ = [
    "LossTerms",
    "LossWeights",
    "StreamTerms",
    "Targets",
    "contrastive_loss",
    "localization_loss",
    "masked_boundary_mse",
    "masked_frame_bce",
    "masked_map_bce",
    "masked_map_mse",
    "video_bce",
]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; the defaults are published."""

    maps: float = 1.0  # mean of the visual and the audio map's terms
    frames: float = 2.0  # mean of the visual and the audio frame classifier's terms
    contrastive: float = 0.1  # divided by C T once more, as published: in effect off
    margin: float = 0.99  # L2 distance that forged pairs should keep
    generator_features: float = 0.01  # agreement of the boundary generator's two runs
    map_error: Literal["mse", "bce"] = "mse"  # "mse" is published; "bce" trains faster from scratch
    frame_focus: float = 0.0  # gamma of a focal loss of the frames (1708.02002); 0 is published: cross-entropy
    video: float = 0.0  # cross-entropy of the whole clip by the top of the fused map; 0 is published: none

    def __post_init__(self) -> None:
        # below 1 the slope of the focal weight is endless where a frame is told for sure
        for key, is_fine, expected in (
            ("frame_focus", self.frame_focus == 0 or self.frame_focus >= 1, "0, or a number of at least 1"),
            ("video", self.video >= 0, "a number of at least 0"),
        ):
            if not is_fine:
                got, remedy = repr(getattr(self, key)), "change this key in the config"
                raise ConfigError(f"loss.{key}", expected=expected, got=got, remedy=remedy)


@dataclass(frozen=True)
class Targets:
    """The truth of a batch. A modality that was not modified has targets of zeros."""

    n_frames: Tensor  # (B,) the clips' own frames
    is_untouched: Tensor  # (B,) true where neither picture nor sound was modified
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
    """What BA-TFD+ says beyond the map of one of fused, visual and audio; None where a network has no such part."""

    @property
    def maps(self) -> MapsLike | None: ...
    @property
    def boundaries(self) -> BoundariesLike | None: ...
    @property
    def generator_features(self) -> Tensor | None: ...
    @property
    def reversed_generator_features(self) -> Tensor | None: ...


class Prediction(Protocol):
    """A network's answer; `fakespan.models.outputs.Output` is one."""

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
        """All that the boundary generator adds."""
        given = [term for term in (self.forward, self.backward, self.features) if term is not None]
        return torch.stack(given).sum() if given else None

    @property
    def total(self) -> Tensor:
        """Sum of the stream."""
        return self.map if self.boundary is None else self.map + self.boundary


@dataclass(frozen=True)
class LossTerms:
    """The loss of a batch, `total`, and what it is made of; all scalars."""

    total: Tensor
    fused: StreamTerms
    visual: StreamTerms
    audio: StreamTerms
    visual_frames: Tensor
    audio_frames: Tensor
    contrastive: Tensor  # before its weight
    video: Tensor | None = None  # before its weight; None where it has none

    def to_dict(self) -> dict[str, float]:
        """Plain numbers for a log, for instance {"total": ..., "fused.map": ..., "visual_frames": ...}."""
        numbers: dict[str, float] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, StreamTerms):
                terms = {f"{field.name}.{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)}
                numbers.update({name: float(term.detach()) for name, term in terms.items() if term is not None})
            elif value is not None:
                numbers[field.name] = float(value.detach())
        return numbers


def localization_loss(output: Prediction, targets: Targets, weights: LossWeights | None = None) -> LossTerms:
    """The published training loss, of BA-TFD or BA-TFD+ by what the output holds.

    fused + maps * mean(visual, audio) + frames * mean(visual frames, audio frames) + contrastive / (C T) * contrast,
    and video * the whole clip's, where that weight is above 0 (ours).
    BA-TFD+ replaces each map's term by the sum over its three maps; with the boundary generator each stream adds the
    errors of start and end of both runs, and visual and audio the disagreement of the two runs' features.

    Args:
        output: the network's answer.
        targets: the truth, on the same device; boundaries are needed when the network has a boundary generator.
        weights: of the terms; published ones when not given.

    Raises:
        UsageError: the network has a boundary generator and the targets have no boundaries.

    Returns:
        The total, to call `backward` on, and its terms.

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


def masked_map_mse(map_: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Mean squared error of maps (B, D, T) over the columns of each clip's own frames; a scalar."""
    return _mean_over_clips(F.mse_loss(map_.float(), target.float(), reduction="none").mean(1), n_frames)


def masked_map_bce(map_: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Binary cross-entropy of maps (B, D, T) against their IoU targets, the better spans weighing up to five times.

    A span of BA-TFD's size covers few cells of a map, and the squared error of a sigmoid has next to no slope there.
    """
    with torch.autocast(map_.device.type, enabled=False):
        truth = target.float().clamp(0, 1)  # an IoU may exceed 1 by rounding
        errors = F.binary_cross_entropy(map_.float(), truth, 1 + 4 * truth, reduction="none")
    return _mean_over_clips(errors.mean(1), n_frames)


def masked_frame_bce(logits: Tensor, target: Tensor, n_frames: Tensor, focus: float = 0.0) -> Tensor:
    """Binary cross-entropy of frame logits (B, 1, T) or (B, T) against (B, T) of 0 and 1; a scalar.

    With a focus, gamma of the focal loss (1708.02002, section 3), frames that are told well already count less: each
    error is weighed by (1 - probability of the truth) ** gamma. Its balance of the classes is left out.
    """
    flat = (logits.squeeze(1) if logits.ndim == 3 else logits).float()
    errors = F.binary_cross_entropy_with_logits(flat, target.float(), reduction="none")
    if focus:
        errors = errors * (1 - torch.exp(-errors)) ** focus
    return _mean_over_clips(errors, n_frames)


def video_bce(map_: Tensor, is_untouched: Tensor, n_frames: Tensor, n_best: int = 8) -> Tensor:
    """Binary cross-entropy of whole clips: the mean of a map's best cells against whether the clip was forged.

    It asks of a clip's top what the maps' own errors ask of every cell alike: untouched clips, in which one bad cell is
    a false alarm, feel it most.

    Args:
        map_: (B, D, T) in 0..1.
        is_untouched: (B,) true where neither modality was modified.
        n_frames: (B,) the clips' own frames.
        n_best: cells of the top.

    Returns:
        A scalar.
    """
    own = map_.float().masked_fill(~_own(map_, n_frames)[:, None], 0).flatten(1)
    n_cells = (map_.shape[1] * n_frames.to(map_.device)).clamp(1, n_best)
    top = own.topk(min(n_best, own.shape[1]), dim=1).values.sum(1) / n_cells
    with torch.autocast(map_.device.type, enabled=False):
        return F.binary_cross_entropy(top.clamp(0, 1), 1 - is_untouched.float())


def masked_boundary_mse(start: Tensor, end: Tensor, target: Tensor, n_frames: Tensor) -> Tensor:
    """Squared errors of start and end probabilities (B, T) against (B, 2, T), means of both added; a scalar."""
    predicted = torch.stack((start, end), 1).float()
    return _mean_over_clips(F.mse_loss(predicted, target.float(), reduction="none").sum(1), n_frames)


def contrastive_loss(
    visual: Tensor, audio: Tensor, is_untouched: Tensor, n_frames: Tensor, margin: float = 0.99
) -> Tensor:
    """Pulls the two modalities' features together in untouched clips and apart in forged ones.

    With d the L2 distance over a clip's own frames: d^2 for an untouched clip, max(0, margin - d)^2 for a forged one;
    the mean over the clips is divided by C T and clipped to 1.

    Args:
        visual: (B, C, T) features.
        audio: (B, C, T) features.
        is_untouched: (B,) true where neither modality was modified.
        n_frames: (B,) the clips' own frames.
        margin: distance from which a forged pair costs nothing.

    Returns:
        A scalar.
    """
    squares = (visual.float() - audio.float()).square().sum(1).masked_fill(~_own(visual, n_frames), 0).sum(1)
    # the root of exactly 0 has no finite gradient; the clamp makes it 0
    distance = squares.clamp(min=1e-12).sqrt()
    costs = torch.where(is_untouched.bool(), squares, (margin - distance).clamp(min=0).square())
    return (costs.mean() / (visual.shape[1] * visual.shape[2])).clamp(max=1)


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
            remedy="make them with boundary_map.boundary_targets",
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
    """Weighted squared difference of the boundary generator's features in its two runs."""
    forward, backward = parts.generator_features, parts.reversed_generator_features
    if forward is None or backward is None:
        return None
    return weight * masked_map_mse(forward, backward.flip(-1), n_frames)


def _mean_over_clips(errors: Tensor, n_frames: Tensor) -> Tensor:
    """Mean over each clip's own frames of (B, T), then over clips."""
    own = _own(errors, n_frames)
    return (errors.masked_fill(~own, 0).sum(1) / own.sum(1).clamp(min=1)).mean()


def _own(values: Tensor, n_frames: Tensor) -> Tensor:
    """(B, T), true at each clip's own frames; T is the last dimension of `values`."""
    return torch.arange(values.shape[-1], device=values.device) < n_frames.to(values.device)[:, None]
