"""The training loss of the published networks on three clips, term by term, against the published system's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fakespan.boundary_map import boundary_targets, frame_target, iou_map_target
from fakespan.losses import LossTerms, LossWeights, Targets, localization_loss
from fakespan.models import build_model
from fakespan.models.published import config_from_published, family_from_names, rename_published
from golden_cases import GoldenCase, golden_case, inputs

RECORD = json.loads((Path(__file__).parent / "golden" / "losses.json").read_text())
GENERATOR = ("_comp_boundary_generator.", "cbg_fusion_")
T, D = 64, 40


def published_case(name: str) -> GoldenCase:
    """The network of this name; "batfd_plus_small" is the one with a boundary generator without it."""
    if name != "batfd_plus_small":
        return golden_case(name)
    full = golden_case("batfd_plus_small_cbg")
    shapes = {key: shape for key, shape in full.shapes.items() if not any(part in key for part in GENERATOR)}
    return GoldenCase({**full.hyper_parameters, "cbg_feature_weight": 0.0}, {}, shapes)


def network(case: GoldenCase) -> torch.nn.Module:
    config = config_from_published(family_from_names(case.shapes), case.hyper_parameters, case.shapes)
    built = build_model(config).eval()
    built.load_state_dict(rename_published(case.published_state()))
    return built


def targets(clips: list[dict]) -> Targets:
    def stacked(make, modified: str | None) -> torch.Tensor:
        rows = [
            make(clip["fake_periods"] if modified is None or clip[modified] else [], clip["video_frames"])
            for clip in clips
        ]
        return torch.from_numpy(np.stack(rows))

    def map_of(periods_s, n_frames):
        return iou_map_target(periods_s, n_frames, T, D)

    def frames_of(periods_s, _):
        return frame_target(periods_s, T)

    def boundaries_of(periods_s, n_frames):
        return np.stack(boundary_targets(periods_s, n_frames, T, D))

    streams = (None, "modify_video", "modify_audio")
    return Targets(
        torch.tensor([clip["video_frames"] for clip in clips]),
        torch.tensor([not (clip["modify_video"] or clip["modify_audio"]) for clip in clips]),
        *(stacked(map_of, which) for which in streams),
        *(stacked(frames_of, which) for which in streams[1:]),
        *(stacked(boundaries_of, which) for which in streams),
    )


def by_published_name(terms: LossTerms) -> dict[str, float]:
    found = {
        "loss": terms.total,
        "v_frame_loss": terms.visual_frames,
        "a_frame_loss": terms.audio_frames,
        "contrast_loss": terms.contrastive,
    }
    for name, stream in (("fusion", terms.fused), ("v", terms.visual), ("a", terms.audio)):
        found |= {
            f"{name}_bm_loss": stream.total,
            f"{name}_prb_loss": stream.map,
            f"{name}_cbg_loss": stream.boundary,
            f"{name}_cbg_loss_forward": stream.forward,
            f"{name}_cbg_loss_backward": stream.backward,
            f"{name}_cbg_feature_loss": stream.features,
        }
    return {name: float(term) for name, term in found.items() if term is not None}


@pytest.mark.parametrize("name", ["batfd_small", "batfd_plus_small", "batfd_plus_small_cbg"])
@torch.inference_mode()
def test_every_term_is_the_published_one(name):
    case = published_case(name)
    weights = LossWeights(generator_features=case.hyper_parameters.get("cbg_feature_weight", 0.0))
    terms = by_published_name(localization_loss(network(case)(*inputs(3, T)), targets(RECORD["clips"]), weights))
    expected = RECORD[name]
    assert {key: terms[key] for key in expected} == pytest.approx(expected, abs=1e-4)
