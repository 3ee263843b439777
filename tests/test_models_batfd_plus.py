"""BA-TFD+ against the numbers of the published system, and its fast layers against slow twins."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError, UsageError
from fakespan.models import build_model
from fakespan.models.complementary import combined_boundaries
from fakespan.models.mvit import MVIT_DEPTHS, BlockSize, MultiscaleViT, PooledAttention, block_sizes
from fakespan.models.outputs import Boundaries, Output
from fakespan.models.published import config_from_published, rename_published
from fakespan.models.relation import ChannelRelation, PositionRelation
from fakespan.models.vit import VIT_SIZES, AudioViT
from golden_cases import assert_matches, fill_state, golden_case, inputs

TRANSFORMERS = ModelConfig(
    family="batfd_plus",
    video_encoder="mvit_t",
    audio_encoder="vit_t",
    n_frames=16,
    max_duration=8,
    n_samples=4,
    n_features=32,
    boundary_widths=(16, 8),
)
CONVOLUTIONS = dataclasses.replace(
    TRANSFORMERS,
    video_encoder="c3d",
    audio_encoder="cnn",
    n_frames=64,
    video_widths=(4, 4, 6, 8),
    audio_widths=(4, 6, 8),
    boundary_generator=True,
)


def filled(module: torch.nn.Module) -> torch.nn.Module:
    """The module in eval mode with weights from their names."""
    module.load_state_dict(fill_state(module.state_dict()))
    return module.eval()


@pytest.mark.parametrize(
    "name",
    ["batfd_plus_small_cbg", "batfd_plus_tiny_encoders", pytest.param("batfd_plus_default", marks=pytest.mark.slow)],
)
@torch.inference_mode()
def test_published_network_gives_the_published_numbers(name):
    case = golden_case(name)
    config = config_from_published("batfd_plus", case.hyper_parameters, case.shapes)
    network = build_model(config).eval()
    network.load_state_dict(rename_published(case.published_state()))
    assert_matches(case.expected, by_published_name(network(*inputs(1, config.n_frames))))


def by_published_name(output: Output) -> dict[str, Tensor | None]:
    return {
        "fusion_bm_map": output.fused,
        "v_bm_map": output.visual,
        "a_bm_map": output.audio,
        "v_frame_logit": output.visual_logits,
        "a_frame_logit": output.audio_logits,
        "v_features": output.visual_features,
        "a_features": output.audio_features,
        "fusion_start": output.start,
        "fusion_end": output.end,
        "v_start": output.visual_start,
        "v_end": output.visual_end,
        "a_start": output.audio_start,
        "a_end": output.audio_end,
    }
