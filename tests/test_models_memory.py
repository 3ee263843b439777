"""Activations that are computed again: the same numbers, the same gradients, less kept."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fakespan.config import ModelConfig
from fakespan.models import build_model, video_encoder
from fakespan.models.memory import Recomputing, save_memory
from fakespan.models.video_encoder import C3dEncoder
from golden_cases import fill_state, inputs

SIZES = {"n_frames": 24, "max_duration": 6, "n_samples": 4, "n_features": 16, "boundary_widths": (12, 8)}
BATFD = ModelConfig(video_widths=(4, 4, 6, 8), audio_widths=(4, 6, 4), **SIZES)
PLUS = ModelConfig(family="batfd_plus", video_encoder="mvit_t", audio_encoder="vit_t", **{**SIZES, "n_frames": 8})
SMALL = ModelConfig(
    family="small",
    video_encoder="frames",
    audio_encoder="mel",
    video_widths=(8, 8, 8),
    audio_widths=(8, 8, 8),
    **SIZES,
)


def step(network: torch.nn.Module, n_frames: int, dtype: torch.dtype | None = None) -> list[torch.Tensor]:
    """The map and all gradients of a training step."""
    network.zero_grad()
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        output = network.train()(*inputs(2, n_frames))
    loss = output.fused.square().mean() + output.visual_logits.float().mean() + output.audio_logits.float().mean()
    loss.backward()
    return [output.fused.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize(
    ("config", "n_frames"),
    [
        *((BATFD, n) for n in (1, 5, 7, 13)),
        (dataclasses.replace(BATFD, family="batfd_plus", boundary_generator=True), 8),
        pytest.param(PLUS, 8, marks=pytest.mark.slow),
    ],
)
def test_a_step_gives_the_same_with_less_memory(config, n_frames, dtype, monkeypatch):
    monkeypatch.setattr(video_encoder, "PIECE_FRAMES", 5)
    network = build_model(config)
    network.load_state_dict(fill_state(network.state_dict()))
    kept = step(network, n_frames, dtype)
    assert save_memory(network)
    recomputed = step(network, n_frames, dtype)
    save_memory(network, on=False)
    again = step(network, n_frames, dtype)
    share = 1e-4 if dtype is None else 5e-2  # of the whole tensor's size: bfloat16 rounds a sum as it is grouped
    for a, b, c in zip(kept, recomputed, again, strict=True):
        assert torch.isfinite(b).all()
        assert (a - b).norm() <= share * a.norm() + 1e-5
        assert (a - c).norm() <= share * a.norm() + 1e-5


def test_only_the_input_and_the_blocks_results_are_kept(monkeypatch):
    monkeypatch.setattr(video_encoder, "PIECE_FRAMES", 4)
    encoder, video = C3dEncoder((8, 8, 8, 8), 16), inputs(1, 24)[0]
    sizes = {}
    for on in (False, True):
        save_memory(encoder, on)
        storages: dict[int, int] = {}

        def pack(x: torch.Tensor, storages=storages) -> torch.Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            encoder(video)
        sizes[on] = sum(storages.values())
    assert sizes[True] < 0.25 * sizes[False]


def test_encoders_whose_statistics_run_are_left_alone():
    network = build_model(SMALL)
    assert not save_memory(network)
    assert not any(isinstance(module, Recomputing) for module in network.modules())


def test_without_gradients_nothing_changes():
    network = build_model(BATFD).eval()
    names = list(network.state_dict())
    with torch.inference_mode():
        before = network(*inputs(1, 24)).fused
        save_memory(network)
        assert torch.equal(network(*inputs(1, 24)).fused, before)
    assert list(network.state_dict()) == names
