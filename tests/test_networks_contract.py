"""What every network promises, whatever its family: four doors, named outputs, any number of a clip's own frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fakespan.config import ModelConfig
from fakespan.media.features import input_of_mel
from fakespan.models import build_model

T, D = 32, 8
TINY = {"n_frames": T, "max_duration": D, "n_samples": 4, "n_features": 16, "boundary_widths": (12, 8)}
CONFIGS = {
    "batfd": ModelConfig(family="batfd", video_widths=(4, 4, 6, 8), audio_widths=(4, 6, 4), **TINY),
    "batfd-reference": ModelConfig(
        family="batfd", video_widths=(4, 4, 6, 8), audio_widths=(4, 6, 4), sampling="reference", **TINY
    ),
    "batfd_plus": ModelConfig(family="batfd_plus", video_widths=(4, 4, 6, 8), audio_widths=(4, 6, 4), **TINY),
    "batfd_plus-generator": ModelConfig(
        family="batfd_plus", video_widths=(4, 4, 6, 8), audio_widths=(4, 6, 4), boundary_generator=True, **TINY
    ),
    "experts": ModelConfig(
        family="experts",
        video_encoder="mouth",
        audio_encoder="texture",
        video_widths=(8, 8, 8),
        audio_widths=(4, 6, 8),
        **TINY,
    ),
    "small": ModelConfig(
        family="small",
        video_encoder="frames",
        audio_encoder="mel",
        video_widths=(8, 8, 8),
        audio_widths=(8, 8, 8),
        **TINY,
    ),
}


@pytest.fixture(params=CONFIGS, scope="module")
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model(CONFIGS[request.param]).eval()


def clips(network: torch.nn.Module, n_frames: int = T) -> tuple[Tensor, Tensor]:
    """Two clips of n frames, zero-padded to T, as the network takes them."""
    generator = torch.Generator().manual_seed(1)
    video, audio = torch.zeros(2, 3, T, 96, 96), torch.full((2, 64, 4 * T), -4.6)
    video[:, :, :n_frames] = torch.rand(2, 3, n_frames, 96, 96, generator=generator)
    audio[:, :, : 4 * n_frames] = torch.randn(2, 64, 4 * n_frames, generator=generator)
    return video, input_of_mel("texture" if hasattr(network, "sound") else "mel", audio)


@torch.inference_mode()
def test_shapes_and_ranges(network: torch.nn.Module) -> None:
    output = network(*clips(network))
    for name in ("fused", "visual", "audio", "score_map"):
        score_map = getattr(output, name)
        assert score_map.shape == (2, D, T)
        assert ((score_map >= 0) & (score_map <= 1)).all()
    assert output.visual_logits.shape == output.audio_logits.shape == (2, 1, T)
    assert output.visual_features.shape[::2] == output.audio_features.shape[::2] == (2, T)


@torch.inference_mode()
def test_forward_encodes_both_and_fuses_them(network: torch.nn.Module) -> None:
    video, audio = clips(network)
    whole, parts = network(video, audio), network.fuse(network.encode_video(video), network.encode_audio(audio))
    for name in ("fused", "visual", "audio", "visual_logits", "audio_logits", "score_map"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name), atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_each_modality_speaks_for_itself(network: torch.nn.Module) -> None:
    video, audio = clips(network)
    whole, other = network(video, audio), network(video, audio.flip(-1))
    assert torch.equal(whole.visual, other.visual)
    assert not torch.equal(whole.audio, other.audio)
    assert not torch.equal(whole.fused, other.fused)


@torch.inference_mode()
def test_clips_of_a_batch_do_not_see_each_other(network: torch.nn.Module) -> None:
    video, audio = clips(network)
    torch.testing.assert_close(
        network(video, audio).fused[:1], network(video[:1], audio[:1]).fused, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
@pytest.mark.parametrize("n_frames", [1, 9, 20, T])
def test_saying_how_many_frames_are_the_clips_own_changes_nothing_in_them(
    network: torch.nn.Module, n_frames: int
) -> None:
    video, audio = clips(network, n_frames)
    told = network(video, audio, n_frames=n_frames)
    if type(network).__name__ in ("Small", "Experts"):  # trained without padding: the cut clip is the measure
        untold = network(video[:, :, :n_frames], audio[..., : 4 * n_frames])
    else:
        untold = network(video, audio)
    fits = torch.arange(n_frames)[None, :] + torch.arange(D)[:, None] < n_frames
    for name in ("fused", "visual", "audio"):
        ours, plain = (getattr(o, name)[:, :, :n_frames][:, fits] for o in (told, untold))
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


def test_every_parameter_learns(network: torch.nn.Module) -> None:
    network.zero_grad()
    output = network.train()(*clips(network))
    total = (
        output.visual.sum()
        + output.audio.sum()
        + output.score_map.sum()
        + output.visual_logits.sum()
        + output.audio_logits.sum()
    )
    total.backward()
    network.eval()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert not without
