"""BA-TFD against the numbers of the published system, and short clips against padded ones."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError, UsageError
from fakespan.models import build_model
from fakespan.models.audio_encoder import CnnEncoder
from fakespan.models.fusion import Fusion
from fakespan.models.outputs import Output
from fakespan.models.published import config_from_published, rename_published
from fakespan.models.video_encoder import C3dEncoder
from golden_cases import assert_matches, fill_state, golden_case, inputs

TINY = ModelConfig(
    n_frames=40,
    max_duration=8,
    n_samples=4,
    n_features=32,
    video_widths=(4, 4, 6, 8),
    audio_widths=(4, 6, 8),
    boundary_widths=(16, 8),
)


def tiny(**changes) -> torch.nn.Module:
    network = build_model(dataclasses.replace(TINY, **changes))
    network.load_state_dict(fill_state(network.state_dict()))
    return network.eval()


@pytest.mark.parametrize(
    "name",
    [
        "batfd_small",
        pytest.param("batfd_avdeepfake1m", marks=pytest.mark.slow),
        pytest.param("batfd_default", marks=pytest.mark.slow),
    ],
)
@torch.inference_mode()
def test_published_network_gives_the_published_numbers(name):
    case = golden_case(name)
    config = config_from_published("batfd", case.hyper_parameters, case.shapes)
    network = build_model(config).eval()
    network.load_state_dict(rename_published(case.published_state()))
    output = network(*inputs(1, config.n_frames))
    assert_matches(case.expected, by_published_name(output))


def by_published_name(output: Output) -> dict[str, torch.Tensor]:
    return {
        "fusion_bm_map": output.fused,
        "v_bm_map": output.visual,
        "a_bm_map": output.audio,
        "v_frame_logit": output.visual_logits,
        "a_frame_logit": output.audio_logits,
        "v_features": output.visual_features,
        "a_features": output.audio_features,
    }


def test_every_published_weight_has_its_place_and_no_other():
    for name in ("batfd_small", "batfd_default", "batfd_avdeepfake1m"):
        case = golden_case(name)
        config = config_from_published("batfd", case.hyper_parameters, case.shapes)
        with torch.device("meta"):
            state = build_model(config).state_dict()
        assert {key: tuple(value.shape) for key, value in state.items()} == rename_published(case.shapes)


def test_the_avdeepfake1m_baseline_is_known_by_its_length():
    clocks = {}
    for name in ("batfd_default", "batfd_avdeepfake1m"):
        case = golden_case(name)
        clocks[name] = config_from_published("batfd", case.hyper_parameters, case.shapes).clock
    assert clocks == {"batfd_default": "pad", "batfd_avdeepfake1m": "stretch"}


@pytest.mark.parametrize(
    ("n_frames", "sampling"),
    [(0, "bmn"), (1, "bmn"), (9, "reference"), (22, "bmn"), (23, "bmn"), (24, "bmn"), (40, "bmn")],
)
@torch.inference_mode()
def test_a_short_clip_gets_the_answer_of_its_padded_self(n_frames, sampling):
    network = tiny(sampling=sampling)
    video, audio = inputs(1, 40)
    video[:, :, n_frames:] = 0
    audio[..., 4 * n_frames + 1 :] = -4.6  # one column after the clip still echoes it
    padded, short = network(video, audio), network(video, audio, n_frames)
    for field in ("fused", "visual", "audio", "visual_logits", "audio_logits", "visual_features", "audio_features"):
        torch.testing.assert_close(getattr(short, field), getattr(padded, field), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_short_clip_encodes_only_its_own_frames_and_the_reach():
    network, seen = tiny(), []
    network.video_encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2]))
    network.audio_encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1] // 4))
    network(*inputs(1, 40), n_frames=5)
    assert seen == [5 + 2 * C3dEncoder.reach + 1, 6 + 2 * CnnEncoder.reach + 1]


@pytest.mark.parametrize("n_frames", [1, 2, 16, 17])
def test_streaming_the_video_changes_nothing(n_frames):
    encoder = tiny().video_encoder
    video = inputs(1, n_frames)[0]
    whole = encoder(video)
    with torch.no_grad():
        streamed = encoder(video)
    torch.testing.assert_close(streamed, whole.detach(), rtol=0, atol=1e-5)


def test_c3d_is_a_plain_stack_of_3d_convolutions():
    encoder = tiny().video_encoder
    video = inputs(2, 5)[0]
    x = video
    for conv in encoder.convs:
        x = torch.nn.functional.conv3d(x, conv.weight, conv.bias, padding=1)
        x = torch.nn.functional.max_pool3d(torch.nn.functional.leaky_relu(x, 0.01), (1, conv.pool, conv.pool))
    x = x.permute(0, 1, 3, 4, 2).flatten(1, 3)
    x = torch.nn.functional.leaky_relu(encoder.project(x), 0.01)
    torch.testing.assert_close(encoder(video), x, rtol=1e-5, atol=1e-5)


def test_every_weight_gets_a_gradient():
    network = tiny().train()
    output = network(*inputs(2, 10), n_frames=8)
    (output.fused.sum() + output.visual_logits.sum() + output.audio_logits.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fusion_survives_half_precision_when_both_maps_are_distrusted(dtype):
    fusion = Fusion(3, 2)
    for trust in (fusion.visual_trust, fusion.audio_trust):
        torch.nn.init.constant_(trust.of_map.bias, -200.0)
    maps, evidence = torch.rand(1, 2, 4), torch.rand(1, 3, 4)
    exact = fusion(maps, 1 - maps, evidence, evidence)
    args = [x.to(dtype) for x in (maps, 1 - maps, evidence, evidence)]
    half = fusion.to(dtype)(*args)
    assert torch.isfinite(exact).all()
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.25)


def test_fusion_is_the_papers_quotient():
    fusion = Fusion(3, 2)
    v_map, a_map, v, a = torch.rand(1, 2, 4), torch.rand(1, 2, 4), torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    wv, wa = fusion.visual_trust(v_map, v, a).sigmoid(), fusion.audio_trust(a_map, a, v).sigmoid()
    torch.testing.assert_close(fusion(v_map, a_map, v, a), (wv * v_map + wa * a_map) / (wv + wa))


def test_bfloat16_training_step_is_finite():
    network = tiny().train()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(*inputs(1, 10))
        loss = output.fused.float().square().mean() + output.visual_logits.float().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_unlike_lengths_are_refused():
    video, audio = inputs(1, 16)
    with pytest.raises(UsageError, match="pad both to the same length"):
        tiny()(video, audio[..., :-4])


def test_encoders_of_another_family_are_refused():
    with pytest.raises(ConfigError, match="video_encoder"):
        build_model(dataclasses.replace(TINY, video_encoder="frames"))
    with pytest.raises(ConfigError, match="audio_widths"):
        build_model(dataclasses.replace(TINY, audio_widths=(4, 6, 9)))
