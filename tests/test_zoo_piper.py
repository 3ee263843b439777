"""An encoder that drives a voice's decoder: the decoder stays as it is unless told to learn, copies keep their time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakespan.errors import CheckpointError
from fakespan.media.decode import read_sound
from programs import load_program

pytestmark = pytest.mark.usefixtures("one_thread")

N_LATENTS, RATES, WIDTH = 6, (8, 8, 4), 16
KERNELS, DILATIONS = (3, 5, 7), ((1, 2), (2, 6), (3, 12))


def program(name: str) -> Any:
    return load_program("examples/zoo", name)


@pytest.fixture(scope="module")
def decoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of the same build with few channels, and two latents with what it makes of them."""
    draw = np.random.default_rng(0)

    def layer(name: str, *shape: int, fan: int, **facts: int) -> dict[str, Any]:
        weight = draw.standard_normal(shape).astype(np.float32) / fan**0.5
        return {f"{name}.weight": weight, **{f"{name}.{fact}": np.asarray(value) for fact, value in facts.items()}}

    held = layer("conv_pre", WIDTH, N_LATENTS, 7, fan=7 * N_LATENTS, dilation=1)
    width = WIDTH
    for k, rate in enumerate(RATES):
        held |= layer(f"ups.{k}", width, width // 2, 2 * rate, fan=2 * width, rate=rate)
        width //= 2
        for j, (kernel, dilations) in enumerate(zip(KERNELS, DILATIONS, strict=True)):
            for d, dilation in enumerate(dilations):
                name = f"resblocks.{3 * k + j}.convs.{d}"
                held |= layer(name, width, width, kernel, fan=4 * width * kernel, dilation=dilation)
    held |= layer("conv_post", 1, width, 7, fan=7 * width, dilation=1)
    make = program("piper").Decoder(held)
    for k in range(2):
        latents = torch.randn(1, N_LATENTS, 90, generator=torch.Generator().manual_seed(k))
        with torch.inference_mode():
            held |= {f"latents.{k}": latents[0].numpy().astype(np.float16), f"sounds.{k}": make(latents)[0].numpy()}
    path = tmp_path_factory.mktemp("voice") / "decoder.npz"
    np.savez(path, **held)
    return path


def build(decoder_path: Path, **settings: Any) -> Any:
    torch.manual_seed(0)
    small = {"decoder": str(decoder_path), "width": 16, "hidden": 32, "n_blocks": 2, "n_mels": 40}
    return program("kinds").build("piper", small | settings)


def test_a_copy_is_as_long_as_its_original_and_the_decoder_learns_nothing(decoder_path: Path) -> None:
    net = build(decoder_path)
    sound = 0.1 * torch.randn(2, 9_600)
    copy = net(sound).sound
    assert copy.shape == sound.shape
    copy.square().mean().backward()
    learning = {name for name, one in net.named_parameters() if one.grad is not None}
    assert learning == {name for name, _ in net.named_parameters()}
    assert not any(name.startswith("decoder.") for name in learning)


def test_a_decoder_that_follows_starts_as_it_was_and_moves_less_than_the_encoder(decoder_path: Path) -> None:
    fixed, following = build(decoder_path), build(decoder_path, follow=0.1)
    following.load_state_dict(fixed.state_dict(), strict=False)
    sound = 0.1 * torch.randn(1, 6_400)
    torch.testing.assert_close(fixed(sound).sound, following(sound).sound)
    optimizer = torch.optim.Adam(following.parameters(), 1e-3)
    following(sound).sound.square().mean().backward()
    optimizer.step()
    before, after = (net.decoder._one("ups.0.weight").detach() for net in (fixed, following))
    moved = (after - before).abs().max().item()
    assert 0 < moved <= 1.01e-4
    assert (following.first.weight - fixed.first.weight).abs().max().item() > 5 * moved


def test_a_copy_comes_neither_early_nor_late(decoder_path: Path) -> None:
    """With kernels that are the same forwards and backwards, reversed sound gives the reversed copy: no delay."""
    net = build(decoder_path).eval()
    for value in (*net.parameters(), *net.decoder.buffers()):
        if value.dim() == 3:
            value.data = (value + value.flip(2)) / 2
    sound = 0.1 * torch.randn(1, 81_920, generator=torch.Generator().manual_seed(3))  # whole frames
    sound *= 1 + torch.sin(torch.arange(81_920) / 700)
    with torch.inference_mode():
        forth, back = net(sound).sound[0], net(sound.flip(1)).sound[0].flip(0)
    assert torch.corrcoef(torch.stack([forth, back]))[0, 1] > 0.95
    late = torch.corrcoef(torch.stack([forth[93:], back[:-93]]))[0, 1]  # as if it came a quarter of a frame late
    assert late < 0.8


def test_the_encoder_learns_the_voice_s_own_latents(decoder_path: Path) -> None:
    piper = program("piper")
    held = piper.read_decoder(decoder_path)
    early, late = (piper.fit_to_latents(build(decoder_path, width=64, hidden=128), held, n_steps=n) for n in (10, 200))
    assert late < 0.8 * early


def test_no_decoder_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="make voices"):
        build(tmp_path / "none.npz")
    (tmp_path / "other.npz").write_bytes(b"PK no decoder")
    with pytest.raises(CheckpointError, match="expected piper's decoder"):
        build(tmp_path / "other.npz")


def test_the_whole_chain_writes_twins_of_three_systems(decoder_path: Path, tmp_path: Path) -> None:
    speech = tmp_path / "speech"
    t = np.arange(24_000) / 16_000
    for name in "ab":
        tone = 0.1 * sum(np.sin(2 * np.pi * k * (120 + 40 * (name == "b")) * t) / k for k in range(1, 9))
        program("utterances").write_flac(speech / name / "1.flac", (tone * (1 + np.sin(20 * t))).astype(np.float32))
    options = ["--minutes", "0.04", "--copy", "0.04", "--fit-steps", "3", "--decoder", str(decoder_path)]
    assert program("make_piper").main(["--speech", str(speech), "--out", str(tmp_path / "zoo"), *options]) == 0
    for system in ("piper", "piper-early", "piper-ft"):
        twins = tmp_path / "zoo" / "twins" / system
        assert (twins / "DONE").is_file()
        for line in (twins / "index.jsonl").read_text().splitlines():
            entry = json.loads(line)
            assert (entry["system"], entry["family"]) == (system, "vits")
            assert len(read_sound(twins / entry["twin"])) == len(read_sound(Path(entry["real"])))
