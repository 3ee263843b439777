"""BA-TFD+ against the numbers of the published system, and its fast layers against slow twins."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

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


def test_every_published_weight_has_its_place_and_no_other():
    for name in ("batfd_plus_small_cbg", "batfd_plus_tiny_encoders"):
        case = golden_case(name)
        config = config_from_published("batfd_plus", case.hyper_parameters, case.shapes)
        state = build_model(config).state_dict()
        assert {key: tuple(value.shape) for key, value in state.items()} == rename_published(case.shapes)


def explicit_attention(attention: PooledAttention, x: Tensor, n_frames: int) -> Tensor:
    """`PooledAttention` step by step: all tokens projected, every score written down, every pair's bias looked up."""
    size, grid, at = attention.size, attention.size.grid, attention
    q, k, v = at.qkv(x).unflatten(-1, (3, size.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, N, c)

    def pooled(tokens: Tensor, pool: torch.nn.Module) -> Tensor:
        frames = tokens[:, :, 1:].unflatten(2, (n_frames, grid, grid))
        by_head = [pool.pool(frames[:, head].movedim(-1, 1)).flatten(2).transpose(1, 2) for head in range(size.heads)]
        return pool.norm_act(torch.cat((tokens[:, :, :1], torch.stack(by_head, 1)), dim=2))

    q, k, v = pooled(q, at.pool_q), pooled(k, at.pool_k), pooled(v, at.pool_v)
    scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    scores[:, :, 1:, 1:] += torch.einsum("bhqc,qkc->bhqk", q[:, :, 1:], relative_positions(at, n_frames))
    attended = scores.softmax(-1) @ v
    attended[:, :, 1:] += q[:, :, 1:]
    return at.project(attended.transpose(1, 2).flatten(2))


def relative_positions(attention: PooledAttention, n_frames: int) -> Tensor:
    """(queries, keys, c): the summed table rows of every pair but the class token's."""
    n_q, n_k, spare = attention.grid_q, attention.grid_kv, attention.size.n_frames - n_frames
    table = torch.empty(n_frames * n_q**2, n_frames * n_k**2, attention.rel_pos_t.shape[1])
    for i in range(len(table)):
        t_q, (h_q, w_q) = i // n_q**2, divmod(i % n_q**2, n_q)
        for j in range(table.shape[1]):
            t_k, (h_k, w_k) = j // n_k**2, divmod(j % n_k**2, n_k)
            table[i, j] = (
                attention.rel_pos_t[t_q - t_k + n_frames - 1 + spare]
                + attention.rel_pos_h[h_q * max(n_k // n_q, 1) - (h_k + 1 - n_k) * max(n_q // n_k, 1)]
                + attention.rel_pos_w[w_q * max(n_k // n_q, 1) - (w_k + 1 - n_k) * max(n_q // n_k, 1)]
            )
    return table


@pytest.mark.parametrize("n_frames", [5, 3])
@pytest.mark.parametrize(
    ("grid", "stride_q", "stride_kv"), [(8, 1, 8), (8, 2, 4), (4, 1, 4), (4, 2, 2), (2, 2, 1), (2, 1, 2), (1, 1, 1)]
)
def test_pooled_attention_is_the_explicit_one(grid, stride_q, stride_kv, n_frames, monkeypatch):
    monkeypatch.setattr("fakespan.models.mvit._MAX_SCORES", 1)  # a frame at a time
    size = BlockSize(5, n_in=12, n_out=8, heads=2, grid=grid, stride_q=stride_q, stride_kv=stride_kv)
    attention = filled(PooledAttention(size))
    x = torch.randn(2, 1 + n_frames * grid**2, 12, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(attention(x, n_frames), explicit_attention(attention, x, n_frames))


def test_gradients_of_pooled_attention_are_those_of_the_explicit_one():
    attention = filled(PooledAttention(BlockSize(3, n_in=8, n_out=8, heads=2, grid=4, stride_q=2, stride_kv=2)))
    x = torch.randn(1, 1 + 3 * 16, 8, generator=torch.Generator().manual_seed(0))
    found = []
    for attend in (attention, lambda *args: explicit_attention(attention, *args)):
        attention.zero_grad()
        attend(x, 3).square().sum().backward()
        found.append({name: weight.grad.clone() for name, weight in attention.named_parameters()})
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_position_relation_is_the_explicit_one():
    block = filled(PositionRelation(6))
    x = torch.randn(2, 6, 4, 10, generator=torch.Generator().manual_seed(0))
    q, k, v = block.theta(x).flatten(2), block.phi(x).flatten(2), block.g(x).flatten(2)
    weights = torch.softmax(q.transpose(1, 2) @ k, dim=-1)  # (B, D*T, D*T / 4)
    related = (v @ weights.transpose(1, 2)).view_as(x)
    torch.testing.assert_close(block(x), x + block.W(related))


@torch.inference_mode()
def test_attention_never_falls_back_on_the_whole_matrix():
    relation, attention = filled(PositionRelation(8)), filled(PooledAttention(BlockSize(4, 8, 8, 2, 8, 2, 4)))
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where this way is closed
        relation(torch.zeros(1, 8, 4, 10))
        attention(torch.zeros(1, 1 + 4 * 64, 8), 4)


@torch.inference_mode()
def test_channel_relation_leaves_cells_in_place_unless_scattered():
    plain, scattering = filled(ChannelRelation(6)), filled(ChannelRelation(6, scatter=True))
    x = torch.randn(1, 6, 4, 10, generator=torch.Generator().manual_seed(0))
    # with every cell of a column alike, a branch that keeps cells in place gives columns alike
    striped = x[:, :, :1].expand_as(x).contiguous()
    assert torch.allclose(plain(striped)[:, :, :1].expand_as(x), plain(striped), atol=1e-5)
    assert not torch.allclose(scattering(striped)[:, :, :1].expand_as(x), scattering(striped), atol=1e-2)


def test_strides_and_widths_of_the_published_encoder():
    sizes = block_sizes("mvit_b", 512, 256)
    assert len(sizes) == sum(MVIT_DEPTHS["mvit_b"]) == 24
    assert [(s.n_in, s.n_out, s.heads, s.grid, s.stride_q, s.stride_kv) for s in (sizes[0], sizes[2], sizes[-1])] == [
        (96, 96, 1, 8, 1, 8),
        (96, 192, 2, 8, 2, 4),
        (768, 256, 8, 1, 1, 1),
    ]


@pytest.mark.parametrize("name", sorted(VIT_SIZES))
@torch.inference_mode()
def test_audio_encoder_gives_one_vector_a_frame(name):
    assert AudioViT(name, 8, 24)(torch.zeros(2, 64, 32)).shape == (2, 24, 8)


@pytest.mark.parametrize("name", sorted(MVIT_DEPTHS))
@torch.inference_mode()
def test_video_encoder_gives_one_vector_a_frame_also_of_a_shorter_clip(name):
    encoder = MultiscaleViT(name, 4, 24)
    assert encoder(torch.zeros(1, 3, 4, 96, 96)).shape == (1, 24, 4)
    assert encoder(torch.zeros(1, 3, 3, 96, 96)).shape == (1, 24, 3)


@torch.inference_mode()
def test_a_short_clip_gives_the_answer_of_the_padded_one():
    network = filled(build_model(CONVOLUTIONS))
    video, audio = inputs(1, 64)
    video[:, :, 20:] = 0
    audio[:, :, 80:] = -4.6
    whole, short = by_published_name(network(video, audio)), by_published_name(network(video, audio, n_frames=20))
    for name, value in whole.items():
        torch.testing.assert_close(short[name], value, rtol=1e-4, atol=1e-4, msg=name)


@torch.inference_mode()
def test_a_start_of_one_run_is_an_end_of_the_other():
    peak = torch.tensor([[0.0, 0.0, 0.64, 0.0]])
    runs = Boundaries(start=peak, end=peak, reversed_start=torch.ones(1, 4), reversed_end=peak.flip(-1))
    start, end = combined_boundaries(runs)
    torch.testing.assert_close(start, peak, rtol=0, atol=1e-5)
    torch.testing.assert_close(end, peak.sqrt(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [pytest.param(TRANSFORMERS, marks=pytest.mark.slow, id="transformers"), pytest.param(CONVOLUTIONS, id="c3d")],
)
def test_trains_in_bf16_without_nan(config):
    torch.manual_seed(0)
    config = dataclasses.replace(config, n_frames=8)
    network = build_model(config).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    video, audio = inputs(2, 8)
    video[1], audio[1] = 0, -4.6  # a clip that is all padding
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(video, audio)
        wanted = [value for value in by_published_name(output).values() if value is not None]
        loss = sum(value.float().square().mean() for value in wanted)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(w.grad).all() for w in network.parameters() if w.grad is not None)
        optimizer.step()


def test_the_root_of_certain_denials_has_a_finite_gradient():
    zero = torch.zeros(1, 4, requires_grad=True)
    start, end = combined_boundaries(Boundaries(zero, zero, zero, zero))
    (start.sum() + end.sum()).backward()
    assert torch.isfinite(zero.grad).all()


def test_picture_and_sound_of_different_length_are_refused():
    with pytest.raises(UsageError, match="16 frames, got 60 columns"):
        build_model(TRANSFORMERS)(torch.zeros(1, 3, 16, 96, 96), torch.zeros(1, 64, 60))


def test_a_boundary_generator_needs_a_length_that_it_can_halve_twice():
    with pytest.raises(ConfigError, match="multiple of 4"):
        build_model(dataclasses.replace(CONVOLUTIONS, n_frames=62))
