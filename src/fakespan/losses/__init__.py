"""Training losses: frame, map, boundary and contrastive terms, and their published sum.

Contract: tensors in, scalars out. Every loss uses only the clip's own frames and averages over the clips of a batch, so
that long and short clips have the same weight. All computations are in float32, whatever the precision of the network.
Independent of networks, data sets and optimisers: `Prediction` and `Targets` define what is needed of them.

Legend: B clips, C features, D longest proposal in frames, T frames after padding, n_frames (B,) the clips' own frames.
Papers: BA-TFD (arXiv 2204.06228, section 4.5) and BA-TFD+ (arXiv 2305.01979, section 3.6).
"""

from fakespan.losses.expert import ExpertTerms, ExpertWeights, diou, expert_loss, seams_and_offsets
from fakespan.losses.localization import localization_loss
from fakespan.losses.masked import (
    contrastive_loss,
    masked_boundary_mse,
    masked_frame_bce,
    masked_map_bce,
    masked_map_mse,
    video_bce,
)
from fakespan.losses.terms import LossTerms, LossWeights, StreamTerms, Targets

__all__ = [
    "ExpertTerms",
    "ExpertWeights",
    "LossTerms",
    "LossWeights",
    "StreamTerms",
    "Targets",
    "contrastive_loss",
    "diou",
    "expert_loss",
    "localization_loss",
    "masked_boundary_mse",
    "masked_frame_bce",
    "masked_map_bce",
    "masked_map_mse",
    "seams_and_offsets",
    "video_bce",
]
