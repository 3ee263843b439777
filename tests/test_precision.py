"""Mixed precision: networks train and answer without NaN, whatever they are shown and however sure they are.

Tolerance: maps in bfloat16 within 0.05 of those in float32; bfloat16 keeps 8 bits, a logit of 10 is off by up to 0.04.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fakespan.boundary_map import boundary_targets, frame_target, iou_map_target
from fakespan.config import ModelConfig
from fakespan.losses import LossWeights, Targets, localization_loss
from fakespan.models import build_model
from fakespan.models.fusion import Fusion
from fakespan.models.mvit import BlockSize, PooledAttention
from fakespan.models.relation import ChannelRelation

T, D = 16, 6
SIZES = {"n_frames": T, "max_duration": D, "n_samples": 4, "n_features": 16, "boundary_widths": (12, 8)}
CONVOLUTIONS = {"video_widths": (4, 4, 6, 8), "audio_widths": (4, 6, 4)}
CONFIGS = {
    "batfd": ModelConfig(**CONVOLUTIONS, **SIZES),
    "batfd_plus": ModelConfig(family="batfd_plus", **CONVOLUTIONS, **SIZES),
    "generator": ModelConfig(family="batfd_plus", boundary_generator=True, **CONVOLUTIONS, **SIZES),
    "transformers": ModelConfig(family="batfd_plus", video_encoder="mvit_t", audio_encoder="vit_t", **SIZES),
    "small": ModelConfig(
        family="small",
        video_encoder="frames",
        audio_encoder="mel",
        video_widths=(8, 8, 8),
        audio_widths=(8, 8, 8),
        **SIZES,
    ),
}
NAMES = [pytest.param(name, marks=pytest.mark.slow if name == "transformers" else ()) for name in CONFIGS]
HEADS = ("trust", "classifier", "score", "proposal_block.conv2.0", "proposal_block.conv5.0", ".final.")


def network_of(name: str, *, saturated: bool = False) -> torch.nn.Module:
    """Fresh weights; saturated: the layers that give logits a hundred times as large."""
    torch.manual_seed(0)
    network = build_model(CONFIGS[name]).train()
    if saturated:
        for parameter_name, parameter in network.named_parameters():
            if any(head in parameter_name for head in HEADS):
                parameter.data.mul_(100)
    return network


def clips() -> tuple[Tensor, Tensor, Targets]:
    """Noise, a black and silent clip, and one that is white and loud; forged, untouched, forged to the last frame."""
    torch.manual_seed(1)
    video, audio = torch.rand(3, 3, T, 96, 96), torch.randn(3, 64, 4 * T)
    video[1], audio[1] = 0, -4.605
    video[2], audio[2] = 1, 12
    spans, lengths = ([[0.2, 0.4]], [], [[0.1, 0.6]]), (T, 5, T)
    maps = torch.stack([torch.from_numpy(iou_map_target(s, n, T, D)) for s, n in zip(spans, lengths, strict=True)])
    frames = torch.stack([torch.from_numpy(frame_target(s, T)) for s in spans])
    edges = [boundary_targets(s, n, T, D) for s, n in zip(spans, lengths, strict=True)]
    both = torch.stack([torch.stack([torch.from_numpy(e) for e in pair]) for pair in edges])
    untouched = torch.tensor([False, True, False])
    return video, audio, Targets(torch.tensor(lengths), untouched, maps, maps, maps, frames, frames, both, both, both)


@pytest.mark.parametrize(
    ("dtype", "saturated", "map_error"),
    [
        (torch.float32, True, "bce"),
        (torch.bfloat16, False, "mse"),
        (torch.bfloat16, True, "mse"),
        (torch.bfloat16, True, "bce"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_training_stays_finite(name, dtype, saturated, map_error):
    network = network_of(name, saturated=saturated)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    video, audio, targets = clips()
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = network(video, audio)
            loss = localization_loss(output, targets, LossWeights(map_error=map_error)).total
        loss.backward()
        assert loss.dtype == output.fused.dtype == torch.float32
        assert torch.isfinite(loss)
        broken = [n for n, p in network.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert not broken
        optimizer.step()
    assert all(p.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_bfloat16_says_what_float32_says(name):
    network = network_of(name).eval()
    video, audio, _ = clips()
    exact = network(video, audio)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(video, audio)
    for field in ("fused", "visual", "audio", "score_map"):
        torch.testing.assert_close(getattr(rough, field), getattr(exact, field), rtol=0, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_float16_answers_are_finite_and_in_range(name):
    network = network_of(name, saturated=True).eval()
    video, audio, targets = clips()
    with torch.autocast("cpu", torch.float16):
        output = network(video, audio)
        loss = localization_loss(output, targets).total
    for field in ("fused", "visual", "audio", "score_map"):
        assert ((getattr(output, field) >= 0) & (getattr(output, field) <= 1)).all()
    assert torch.isfinite(loss)


# -- the places where it broke, one by one ----------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(0, 1), st.floats(0, 1))
def test_fusion_is_the_papers_quotient_at_any_trust(visual_logit, audio_logit, visual, audio):
    fusion = Fusion(1, 1)
    for trust, logit in ((fusion.visual_trust, visual_logit), (fusion.audio_trust, audio_logit)):
        for conv in (trust.of_map, trust.of_own, trust.of_other):
            torch.nn.init.zeros_(conv.weight)
            torch.nn.init.constant_(conv.bias, logit)
    maps = [torch.full((1, 1, 1), value, requires_grad=True) for value in (visual, audio)]
    nothing = torch.zeros(1, 1, 1)
    fused = fusion(*maps, nothing, nothing)
    v = fusion.visual_trust(maps[0], nothing, nothing).double().sigmoid()
    a = fusion.audio_trust(maps[1], nothing, nothing).double().sigmoid()
    quotient = (v * visual + a * audio) / (v + a)
    assert abs(float(fused.detach()) - float(quotient.detach())) < 1e-6
    fused.sum().backward()
    assert all(p.grad.isfinite().all() for p in (*maps, *fusion.parameters()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fusion_takes_logits_that_overflow_half_precision(dtype):
    fusion = Fusion(3, 2)
    for trust in (fusion.visual_trust, fusion.audio_trust):
        torch.nn.init.constant_(trust.of_own.bias, -1e5)  # float16 ends at 65504
    maps = torch.rand(1, 2, 4)
    with torch.autocast("cpu", dtype):
        fused = fusion(maps, maps, torch.rand(1, 3, 4), torch.rand(1, 3, 4))
    torch.testing.assert_close(fused, maps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_channel_relation_sums_many_cells(dtype):
    torch.manual_seed(0)
    relation = ChannelRelation(4).eval()
    x = 10 * torch.rand(1, 4, 40, 512)
    with torch.no_grad():
        exact = relation(x)
        with torch.autocast("cpu", dtype):
            rough = relation(x)
    assert torch.isfinite(rough).all()
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.2)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_gradients_of_strided_pooling_are_set_in_bfloat16(heads):
    """torch 2.13 on CPUs with AVX512-BF16 leaves that weight gradient as the memory was, now and then NaN."""
    torch.manual_seed(0)
    attention = PooledAttention(BlockSize(8, 96, 96, heads, grid=8, stride_q=1, stride_kv=8))
    x = torch.randn(2, 1 + 8 * 64, 96)
    found = []
    for enabled in (False, True):
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = attention(x, 8).float().square().mean()
        loss.backward()
        found.append(attention.pool_k.pool.weight.grad.clone())
    assert (found[0] - found[1]).norm() < 0.1 * found[0].norm()


def test_a_sure_and_wrong_map_still_learns():
    """In half precision its probability is exactly 1 from a logit of 6 on, from where no gradient leads back."""
    network = network_of("batfd")
    torch.nn.init.constant_(network.visual_boundary.score.bias, 9.0)
    video, audio, _ = clips()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(video, audio)
    F.mse_loss(output.visual, torch.zeros_like(output.visual)).backward()
    assert network.visual_boundary.score.bias.grad.abs() > 1e-5


def test_identical_features_have_a_contrastive_gradient():
    weights = dataclasses.replace(LossWeights(), contrastive=1.0)
    network = network_of("batfd")
    video, audio, targets = clips()
    output = network(video, audio)
    same = dataclasses.replace(output, audio_features=output.visual_features)
    localization_loss(same, targets, weights).total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
