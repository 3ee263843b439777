"""The loss terms: against arithmetic spelled out clip by clip, and what a loss must do."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.errors import ConfigError, UsageError
from fakespan.losses import (
    LossWeights,
    Targets,
    contrastive_loss,
    localization_loss,
    masked_boundary_mse,
    masked_frame_bce,
    masked_map_mse,
    video_bce,
)

B, C, D, T = 3, 5, 4, 12
N_FRAMES = torch.tensor([12, 7, 1])


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def stream(seed: int, with_features: bool) -> SimpleNamespace:
    maps = SimpleNamespace(
        p=noise(B, D, T, seed=seed), c=noise(B, D, T, seed=seed + 1), p_c=noise(B, D, T, seed=seed + 2)
    )
    names = ("start", "end", "reversed_start", "reversed_end")
    runs = SimpleNamespace(**{name: noise(B, T, seed=seed + 3 + k) for k, name in enumerate(names)})
    features = [noise(B, 6, T, seed=seed + 7 + k) if with_features else None for k in range(2)]
    return SimpleNamespace(
        maps=maps, boundaries=runs, generator_features=features[0], reversed_generator_features=features[1]
    )


def answer(**changes) -> SimpleNamespace:
    values = {
        "fused": noise(B, D, T, seed=1),
        "visual": noise(B, D, T, seed=2),
        "audio": noise(B, D, T, seed=3),
        "visual_logits": noise(B, 1, T, seed=4) * 4 - 2,
        "audio_logits": noise(B, 1, T, seed=5) * 4 - 2,
        "visual_features": noise(B, C, T, seed=6),
        "audio_features": noise(B, C, T, seed=7),
        "fused_parts": None,
        "visual_parts": None,
        "audio_parts": None,
    }
    return SimpleNamespace(**{**values, **changes})


def truth(with_boundaries: bool = False) -> Targets:
    boundaries = [noise(B, 2, T, seed=20 + k) if with_boundaries else None for k in range(3)]
    return Targets(
        N_FRAMES,
        torch.tensor([False, False, True]),
        noise(B, D, T, seed=11),
        noise(B, D, T, seed=12),
        noise(B, D, T, seed=13),
        (noise(B, T, seed=14) > 0.5).float(),
        (noise(B, T, seed=15) > 0.5).float(),
        *boundaries,
    )


def slow_map_mse(map_, target) -> float:
    errors = []
    for clip, n in enumerate(N_FRAMES.tolist()):
        cells = [(map_[clip, d, t] - target[clip, d, t]) ** 2 for d in range(map_.shape[1]) for t in range(n)]
        errors.append(sum(cells) / len(cells))
    return float(sum(errors) / len(errors))


def slow_frame_bce(logits, target) -> float:
    errors = []
    for clip, n in enumerate(N_FRAMES.tolist()):
        chances = [1 / (1 + math.exp(-float(logits[clip, 0, t]))) for t in range(n)]
        hits = [p if target[clip, t] else 1 - p for t, p in enumerate(chances)]
        errors.append(-sum(map(math.log, hits)) / n)
    return sum(errors) / len(errors)


def slow_contrast(visual, audio, is_untouched, margin) -> float:
    costs = []
    for clip, n in enumerate(N_FRAMES.tolist()):
        distance = float((visual[clip, :, :n] - audio[clip, :, :n]).norm())
        costs.append(distance**2 if is_untouched[clip] else max(0, margin - distance) ** 2)
    return min(1, sum(costs) / len(costs) / (visual.shape[1] * visual.shape[2]))


def slow_boundary_mse(start, end, target) -> float:
    return sum(slow_map_mse(run[:, None], target[:, k : k + 1]) for k, run in enumerate((start, end)))


def test_each_term_is_the_slow_one():
    a, b = noise(B, D, T, seed=1), noise(B, D, T, seed=2)
    assert float(masked_map_mse(a, b, N_FRAMES)) == pytest.approx(slow_map_mse(a, b), abs=1e-6)
    logits, frames = a[:, :1] * 6 - 3, (b[:, 0] > 0.5).float()
    assert float(masked_frame_bce(logits, frames, N_FRAMES)) == pytest.approx(slow_frame_bce(logits, frames), abs=1e-6)
    found = masked_boundary_mse(a[:, 0], a[:, 1], b[:, :2], N_FRAMES)
    assert float(found) == pytest.approx(slow_boundary_mse(a[:, 0], a[:, 1], b[:, :2]), abs=1e-6)


@pytest.mark.parametrize("spread", [0.001, 0.1, 1.0, 50.0])
def test_contrast_is_the_slow_one(spread):
    visual, audio = noise(B, C, T, seed=1), noise(B, C, T, seed=1) + spread * noise(B, C, T, seed=2)
    untouched = [False, True, False]
    found = contrastive_loss(visual, audio, torch.tensor(untouched), N_FRAMES)
    assert float(found) == pytest.approx(slow_contrast(visual, audio, untouched, 0.99), rel=1e-4)


def test_the_sum_without_a_relation_block():
    output, targets = answer(), truth()
    terms = localization_loss(output, targets).to_dict()
    assert terms["fused.map"] == pytest.approx(slow_map_mse(output.fused, targets.fused_map))
    expected = (
        slow_map_mse(output.fused, targets.fused_map)
        + (slow_map_mse(output.visual, targets.visual_map) + slow_map_mse(output.audio, targets.audio_map)) / 2
        + slow_frame_bce(output.visual_logits, targets.visual_frames)
        + slow_frame_bce(output.audio_logits, targets.audio_frames)
        + 0.1 / (C * T) * terms["contrastive"]
    )
    assert terms["total"] == pytest.approx(expected, abs=1e-6)


def test_a_relation_block_adds_its_three_maps_and_a_generator_both_its_runs():
    parts = stream(40, with_features=True)
    output = answer(fused_parts=stream(60, with_features=False), visual_parts=parts, audio_parts=stream(80, True))
    targets = truth(with_boundaries=True)
    terms = localization_loss(output, targets, LossWeights(generator_features=0.5))
    three = sum(slow_map_mse(one, targets.visual_map) for one in (parts.maps.p, parts.maps.c, parts.maps.p_c))
    assert float(terms.visual.map) == pytest.approx(three, abs=1e-6)
    runs, goal = parts.boundaries, targets.visual_boundaries
    assert float(terms.visual.forward) == pytest.approx(slow_boundary_mse(runs.start, runs.end, goal), abs=1e-6)
    backward = slow_boundary_mse(runs.reversed_end.flip(-1), runs.reversed_start.flip(-1), goal)
    assert float(terms.visual.backward) == pytest.approx(backward, abs=1e-6)
    features = slow_map_mse(parts.generator_features, parts.reversed_generator_features.flip(-1))
    assert float(terms.visual.features) == pytest.approx(0.5 * features, abs=1e-6)
    assert terms.fused.features is None
    total = terms.fused.total + (terms.visual.total + terms.audio.total) / 2
    total += terms.visual_frames + terms.audio_frames + 0.1 / (C * T) * terms.contrastive
    assert float(terms.total) == pytest.approx(float(total), abs=1e-6)


def test_a_generator_needs_boundary_targets():
    with pytest.raises(UsageError, match="start and end targets"):
        localization_loss(answer(fused_parts=stream(60, with_features=False)), truth())


@settings(deadline=None)
@given(st.integers(1, T), st.floats(-1e30, 1e30) | st.just(math.nan))
def test_the_padding_does_not_count(n, value):
    n_frames = torch.tensor([n])
    clean = noise(1, D, T, seed=3)
    dirty = torch.where(torch.arange(T) < n, clean, torch.tensor(value, dtype=torch.float32))
    target = noise(1, D, T, seed=4)
    assert masked_map_mse(dirty, target, n_frames) == masked_map_mse(clean, target, n_frames)
    frames = (target[:, 0] > 0.5).float()
    assert masked_frame_bce(dirty[:, 0], frames, n_frames) == masked_frame_bce(clean[:, 0], frames, n_frames)
    untouched = torch.tensor([True])
    assert contrastive_loss(dirty, target, untouched, n_frames) == contrastive_loss(clean, target, untouched, n_frames)


def test_a_perfect_answer_costs_nothing_but_the_frames_doubt():
    targets = truth()
    certain = {
        "visual_logits": targets.visual_frames[:, None] * 60 - 30,
        "audio_logits": targets.audio_frames[:, None] * 60 - 30,
    }
    maps = {"fused": targets.fused_map, "visual": targets.visual_map, "audio": targets.audio_map}
    output = answer(**maps, **certain)
    terms = localization_loss(output, replace(targets, is_untouched=torch.zeros(B, dtype=torch.bool)))
    assert float(terms.total) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_finite_even_where_both_modalities_agree(dtype):
    features = noise(B, C, T, seed=6).to(dtype).requires_grad_()
    fused = noise(B, D, T, seed=1).to(dtype).requires_grad_()
    output = answer(fused=fused, visual_features=features, audio_features=features * 1)
    terms = localization_loss(output, truth())
    terms.total.backward()
    assert terms.total.dtype == torch.float32
    assert torch.isfinite(features.grad).all()
    assert torch.isfinite(fused.grad).all()
    assert fused.grad[1, :, 7:].abs().max() == 0


def test_numbers_for_a_log():
    numbers = localization_loss(answer(), truth()).to_dict()
    names = ["total", "fused.map", "visual.map", "audio.map", "visual_frames", "audio_frames", "contrastive"]
    assert list(numbers) == names
    assert all(isinstance(value, float) for value in numbers.values())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_frames_against_a_slow_twin(gamma):
    logits, frames = noise(B, 1, T, seed=1) * 6 - 3, (noise(B, T, seed=2) < 0.4).float()
    total = 0.0
    for b in range(B):
        errors = []
        for t in range(int(N_FRAMES[b])):
            p = 1 / (1 + math.exp(-float(logits[b, 0, t])))
            right = p if frames[b, t] else 1 - p
            errors.append(-((1 - right) ** gamma) * math.log(right))
        total += sum(errors) / len(errors) / B
    assert float(masked_frame_bce(logits, frames, N_FRAMES, gamma)) == pytest.approx(total, abs=1e-5)


def test_without_focus_frames_cost_what_is_published():
    logits, frames = noise(B, 1, T, seed=1) * 6 - 3, (noise(B, T, seed=2) < 0.4).float()
    assert masked_frame_bce(logits, frames, N_FRAMES, 0.0) == masked_frame_bce(logits, frames, N_FRAMES)


def test_video_loss_is_that_of_the_mean_of_the_best_own_cells():
    map_, untouched = noise(B, D, T) * 0.98 + 0.01, torch.arange(B) % 2 == 0
    total = 0.0
    for b in range(B):
        cells = sorted((float(map_[b, d, t]) for d in range(D) for t in range(int(N_FRAMES[b]))), reverse=True)
        top = sum(cells[:8]) / len(cells[:8])
        total -= math.log(1 - top if untouched[b] else top) / B
    assert float(video_bce(map_, untouched, N_FRAMES)) == pytest.approx(total, abs=1e-5)
    dirty = map_.clone()
    for b in range(B):
        dirty[b, :, int(N_FRAMES[b]) :] = 1.0
    assert video_bce(dirty, untouched, N_FRAMES) == video_bce(map_, untouched, N_FRAMES)


def test_video_loss_is_added_by_its_weight_and_absent_without_one():
    output, targets = answer(), truth()
    plain = localization_loss(output, targets)
    weighted = localization_loss(output, targets, LossWeights(video=0.5))
    assert plain.video is None
    assert "video" not in plain.to_dict()
    assert float(weighted.total) == pytest.approx(float(plain.total) + 0.5 * float(weighted.video), rel=1e-6)


@pytest.mark.parametrize("weights", [{"frame_focus": 0.5}, {"frame_focus": -1.0}, {"video": -0.1}])
def test_weights_that_break_a_loss_are_refused(weights):
    (key,) = weights
    with pytest.raises(ConfigError, match=rf"loss\.{key}: expected .* at least"):
        LossWeights(**weights)
