"""The shipped network: any length, each modality by itself, small enough to ship."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from fakespan.checkpoint import load_checkpoint, save_checkpoint
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.errors import ConfigError
from fakespan.media.features import sound_input
from fakespan.models import build_model
from fakespan.models.small import Small, shift_in_time
from fakespan.train import load_run_config

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = ModelConfig(
    family="small",
    video_encoder="frames",
    audio_encoder="mel",
    max_duration=10,
    n_samples=4,
    n_features=16,
    video_widths=(8, 8, 16),
    audio_widths=(8, 8, 16),
    boundary_widths=(16, 8),
)
SPECTRUM = dataclasses.replace(CONFIG, audio_encoder="spectrum", audio_widths=(8, 8, 16, 16))
N = 12


@pytest.fixture(scope="module")
def network() -> Small:
    """Random weights, and running statistics that are not those of a fresh norm."""
    torch.manual_seed(0)
    built = build_model(CONFIG).eval()
    assert isinstance(built, Small)
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.weight.data.uniform_(0.5, 1.5)
    return built


def inputs(n: int = N, seed: int = 0, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = torch.rand(batch, 3, n, 96, 96, generator=generator)
    return video, 2 * torch.randn(batch, 64, 4 * n, generator=generator)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("n", [1, 2, 5, 9, 10, 11, 33])
def test_a_clip_of_any_length_gives_a_map_of_its_length(network, n):
    output = network(*inputs(n, batch=2))
    for map_ in (output.fused, output.visual, output.audio):
        assert map_.shape == (2, 10, n)
        assert ((map_ >= 0) & (map_ <= 1)).all()
    assert output.visual_logits.shape == output.audio_logits.shape == (2, 1, n)
    assert output.visual_features.shape == output.audio_features.shape == (2, 16, n)


def test_the_padding_is_not_looked_at(network):
    video, audio = inputs(20)
    output = network(video, audio, n_frames=N)
    cut = network(video[:, :, :N], audio[:, :, : 4 * N])
    for name in ("fused", "visual", "audio", "visual_logits", "audio_logits", "visual_features", "audio_features"):
        padded, own = getattr(output, name), getattr(cut, name)
        assert padded.shape[-1] == 20
        torch.testing.assert_close(padded[..., :N], own)
        assert not padded[..., N:].any()


def test_forward_is_to_see_to_hear_and_to_fuse(network):
    video, audio = inputs()
    whole, parts = network(video, audio), network.fuse(network.encode_video(video), network.encode_audio(audio))
    for name in ("fused", "visual", "audio", "visual_logits", "audio_logits"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name))


def test_each_modality_is_judged_by_itself(network):
    (video, audio), (other_video, other_audio) = inputs(), inputs(seed=1)
    one, other_heard, other_seen = network(video, audio), network(video, other_audio), network(other_video, audio)
    torch.testing.assert_close(one.visual, other_heard.visual)
    torch.testing.assert_close(one.audio, other_seen.audio)
    assert not torch.allclose(one.audio, other_heard.audio)
    assert not torch.allclose(one.visual, other_seen.visual)
    assert not torch.allclose(one.fused, other_heard.fused)
    assert not torch.allclose(one.fused, other_seen.fused)


def test_clips_of_a_batch_do_not_meet(network):
    video, audio = inputs(batch=3)
    together, alone = network(video, audio), network(video[1:2], audio[1:2])
    torch.testing.assert_close(together.fused[1:2], alone.fused, atol=1e-5, rtol=1e-4)


def test_a_delayed_clip_gives_the_delayed_map(network):
    n, delay, reach = 72, 5, 26  # frames; reach: of the convolutions over time and of the longest proposal's samples
    video, audio = inputs(n)
    output = network(video, audio)
    late = network(video.roll(delay, 2), audio.roll(4 * delay, 2))
    for name in ("visual", "audio", "fused"):
        here = getattr(output, name)[..., reach : n - reach - 10 - delay]
        there = getattr(late, name)[..., reach + delay : n - reach - 10]
        torch.testing.assert_close(there, here, atol=1e-4, rtol=1e-3)
        assert here.shape[-1] > 3
        assert here.std() > 1e-5


def test_the_loudness_of_the_recording_says_nothing(network):
    _, audio = inputs()
    loud, plain = network.encode_audio(audio + 3), network.encode_audio(audio)
    torch.testing.assert_close(loud.map, plain.map, atol=1e-4, rtol=1e-3)


def test_a_black_and_silent_clip_has_a_finite_map(network):
    silence = torch.full((1, 64, 4 * N), 0.01).log()
    output = network(torch.zeros(1, 3, N, 96, 96), silence)
    assert torch.isfinite(output.fused).all()


def test_frames_lend_channels_to_their_neighbours():
    x = torch.arange(2 * 3 * 8, dtype=torch.float32).view(6, 8, 1, 1)  # 2 clips of 3 frames, 8 channels
    y = shift_in_time(x, 3).flatten(1)
    for clip in range(2):
        for t in range(3):
            row = 3 * clip + t
            assert y[row, 0] == (x[row - 1, 0, 0, 0] if t > 0 else 0)
            assert y[row, 1] == (x[row + 1, 1, 0, 0] if t < 2 else 0)
            assert torch.equal(y[row, 2:], x[row, 2:, 0, 0])


def test_the_shipped_sizes_are_small_and_survive_a_file(tmp_path):
    config = load_run_config(Path(__file__).parent.parent / "configs" / "small.toml").model
    torch.manual_seed(0)
    shipped = build_model(config).eval()
    assert sum(p.numel() for p in shipped.parameters()) < 3_000_000
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, shipped, name="small", model=config)
    assert path.stat().st_size < 8_000_000
    video, audio = inputs(6)[0], sound_input(config.audio_encoder, 0.1 * torch.randn(1, 6 * SAMPLES_PER_FRAME))
    again = load_checkpoint(path).network
    torch.testing.assert_close(again(video, audio).fused, shipped(video, audio).fused)


def test_a_network_that_hears_phases_takes_any_length_and_leaves_the_padding_alone():
    torch.manual_seed(0)
    network = build_model(SPECTRUM).eval()
    for n in (1, 2, 9, 33):
        video, audio = torch.rand(2, 3, n + 3, 96, 96), torch.randn(2, 5, 256, 4 * (n + 3))
        output = network(video, audio, n_frames=n)
        cut = network(video[:, :, :n], audio[..., : 4 * n])
        assert output.audio.shape == (2, 10, n + 3)
        torch.testing.assert_close(output.audio[..., :n], cut.audio)
        torch.testing.assert_close(output.fused[..., :n], cut.fused)
        assert not output.audio[..., n:].any()


@pytest.mark.parametrize("widths", [(8, 8), (8,) * 9])
def test_widths_that_make_no_spectrum_encoder_are_refused(widths):
    with pytest.raises(ConfigError, match="audio_widths"):
        build_model(dataclasses.replace(SPECTRUM, audio_widths=widths))
