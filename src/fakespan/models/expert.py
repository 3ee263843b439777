"""The head of an expert: localizes forged spans from the features of one modality over time.

It has four related outputs: which frames are *inside* a forged span, where its *seams* are (a detector of seams alone
would flag every genuine cut), the distances of the frames inside to both ends (ActionFormer, 2202.07925, section 3.3),
and the boundary map of BMN (1907.09702, section 3.2), computed from the features and the logits. It is independent of
modality and frame rate, which the encoder determines.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.models.boundary import BoundaryModule

__all__ = ["ExpertHead", "ExpertOutput", "agreement", "refined_map", "seam_confidence", "span_sums"]

N_LOGITS = 3  # inside, start, end
USUAL_DISTANCE = 8.0  # initial distance in frames from inside a span to its ends
SEAM_WEIGHT = 0.3  # exponent of the seams' confidence in `refined_map`
SEAM_PRIOR = -3.0  # initial logit of a seam: few frames have one


@dataclass(frozen=True)
class ExpertOutput:
    """The output of an expert."""

    frames: Tensor  # (B, 1, T) logits: inside a forged span
    seams: Tensor  # (B, 2, T) logits: a span starts, ends here
    offsets: Tensor  # (B, 2, T) frames, at least 0: from the middle of the frame back to the start, on to the end
    map: Tensor  # (B, D, T) in 0..1
    evidence: Tensor  # (B, C + 3, T) features, then the logits of frame, start and end


class ExpertHead(nn.Module):
    """Features (B, C, T) -> `ExpertOutput`.

    Args:
        n_features: C.
        config: D, N, widths of the boundary module and its sampling.
    """

    def __init__(self, n_features: int, config: ModelConfig) -> None:
        super().__init__()
        self.mix = nn.Conv1d(n_features, n_features, 3, padding=1)
        self.logits = nn.Conv1d(n_features, N_LOGITS, 1)
        self.distances = nn.Conv1d(n_features, 2, 1)
        self.boundary = BoundaryModule(
            n_features + N_LOGITS, config.boundary_widths, config.max_duration, config.n_samples, config.sampling
        )
        nn.init.constant_(self.logits.bias[1:], SEAM_PRIOR)  # type: ignore[index]
        nn.init.zeros_(self.distances.weight)

    @property
    def n_evidence(self) -> int:
        """Channels of `ExpertOutput.evidence`."""
        return self.mix.in_channels + N_LOGITS

    def forward(self, features: Tensor) -> ExpertOutput:
        """Of features (B, C, T), any T."""
        hidden = features + F.relu(self.mix(features))
        logits = self.logits(hidden)
        evidence = torch.cat([features, logits], dim=1)
        offsets = USUAL_DISTANCE * torch.exp(self.distances(hidden).float().clamp(-4, 4))
        return ExpertOutput(logits[:, :1], logits[:, 1:], offsets, self.boundary(evidence), evidence)


def refined_map(output: ExpertOutput) -> Tensor:
    """The boundary map (B, D, T) weighted by the agreement with offsets and seams; the ranking score of spans.

    The exponent of the seams was chosen on held-out speakers and people (docs/experiments.md).
    """
    n_durations = output.map.shape[1]
    confirmed = agreement(output.frames, output.offsets, n_durations)
    return output.map.float() * confirmed * seam_confidence(output.seams, n_durations) ** SEAM_WEIGHT


def seam_confidence(seams: Tensor, max_duration: int) -> Tensor:
    """Geometric mean of the probabilities that a span starts and that it ends there, at least 0.001.

    Args:
        seams: (B, 2, T) logits. The borders of the clip count as undecided, because a seam there is not observable.
        max_duration: D.

    Returns:
        (B, D, T) for the spans [t, t + d + 1].
    """
    n_frames = seams.shape[2]
    start, end = torch.sigmoid(seams.float()).unbind(1)  # (B, T) each
    index = torch.arange(n_frames, device=seams.device)
    start = torch.where(index == 0, start.clamp_min(0.5), start)
    end = torch.where(index == n_frames - 1, end.clamp_min(0.5), end)
    last = (index + torch.arange(max_duration, device=seams.device)[:, None]).clamp(max=n_frames - 1)  # (D, T)
    return (start[:, None] * end[:, last]).sqrt().clamp_min(1e-3)


def agreement(frames: Tensor, offsets: Tensor, max_duration: int) -> Tensor:
    """How well each span of a map agrees with the ends that the frames inside it predict.

    Args:
        frames: (B, 1, T) logits: a frame counts by its probability of lying inside a forged span.
        offsets: (B, 2, T) frames from the middle of each frame back to the start and on to the end.
        max_duration: D.

    Returns:
        (B, D, T) in 0..1: the IoU of the span [t, t + d + 1] with the mean prediction of its frames. A span that ends
        beyond the clip uses the existing frames.

    >>> offsets = torch.tensor([[[0.5, 1.5, 2.5], [2.5, 1.5, 0.5]]])  # all three say: frames 0 to 3
    >>> agreement(torch.zeros(1, 1, 3), offsets, 3)[0, :, 0]
    tensor([0.3333, 0.6667, 1.0000])
    """
    n_frames = frames.shape[2]
    weight = torch.sigmoid(frames[:, 0].float())  # (B, T)
    middle = torch.arange(n_frames, device=frames.device) + 0.5
    begin = torch.arange(n_frames, device=frames.device).expand(max_duration, -1)  # (D, T)
    end = begin + torch.arange(1, max_duration + 1, device=frames.device)[:, None]
    mass = span_sums(weight, max_duration).clamp_min(1e-6)
    start_there = span_sums(weight * (middle - offsets[:, 0].float()), max_duration) / mass
    end_there = span_sums(weight * (middle + offsets[:, 1].float()), max_duration) / mass
    shared = torch.minimum(end_there, end) - torch.maximum(start_there, begin)
    hull = torch.maximum(end_there, end) - torch.minimum(start_there, begin)
    return shared.clamp_min(0) / hull


def span_sums(values: Tensor, max_duration: int) -> Tensor:
    """Sums over the frames of each span, of those that exist if it ends beyond the clip: (B, T) -> (B, D, T)."""
    n_frames = values.shape[1]
    begin = torch.arange(n_frames, device=values.device).expand(max_duration, -1)  # (D, T)
    end = (begin + torch.arange(1, max_duration + 1, device=values.device)[:, None]).clamp(max=n_frames)
    sums = F.pad(values.cumsum(1), (1, 0))
    return sums[:, end] - sums[:, begin]
