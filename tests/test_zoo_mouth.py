"""Our own networks that draw faces: what they copy shows the same instant, and only where it should."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakespan.practice.picture_bank import BANK_SIZE, BankWriter, Entry, PictureBank
from programs import load_program

KINDS = ("deconv", "diffusion", "nearest", "quantised", "shuffle", "soft")


def program(name: str) -> Any:
    return load_program("examples/zoo", name)


def faces(seed: int, n: int = 6) -> np.ndarray[Any, Any]:
    """Smooth pictures that get brighter."""
    y, x = np.mgrid[:BANK_SIZE, :BANK_SIZE] / BANK_SIZE
    waves = [127 + 60 * np.sin(7 * x + seed) * np.cos(5 * y + c) for c in range(3)]
    return (np.stack(waves, -1)[None] + 8 * np.arange(n)[:, None, None, None]).clip(0, 255).astype(np.uint8)


@pytest.fixture
def bank(tmp_path: Path) -> PictureBank:
    """Two genuine clips."""
    entries = [Entry(f"{k}.npy", "real", None, None, None, f"person {k}", f"{k}.mp4", 6, 200) for k in range(2)]
    BankWriter(tmp_path / "bank").add((entry, faces(k)) for k, entry in enumerate(entries))
    return PictureBank(tmp_path / "bank")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [64, 104])
def test_every_kind_copies_pictures_of_any_side_that_8_divides(kind: str, side: int) -> None:
    nets = program("mouth_nets")
    net = nets.FaceCopier(nets.KINDS[kind], width=8).eval()
    copies, penalty = net(torch.rand(2, 3, side, side) * 2 - 1)
    assert copies.shape == (2, 3, side, side)
    assert copies.abs().max() <= 1
    assert penalty.ndim == 0


@pytest.mark.parametrize("kind", ["plain", "quantised", "diffusion"])
def test_a_network_learns_to_copy(kind: str) -> None:
    nets = program("mouth_nets")
    chosen = nets.KINDS[{"plain": "soft"}.get(kind, kind)]
    torch.manual_seed(1)
    net = nets.FaceCopier(dataclasses.replace(chosen, n_levels=2), width=8)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    pictures = torch.from_numpy(faces(0, 4)).permute(0, 3, 1, 2)[..., 40:72, 40:72].float() / 127.5 - 1
    errors = []
    for _ in range(60):
        copies, penalty = net(pictures)
        error = (copies - pictures).abs().mean()
        optimiser.zero_grad()
        (error + penalty).backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert np.mean(errors[-10:]) < 0.5 * errors[0]


def test_only_the_lower_part_is_drawn_anew_and_every_frame_is_its_own() -> None:
    mouth, nets = program("mouth"), program("mouth_nets")
    net = nets.FaceCopier(nets.KINDS["soft"], width=8)
    net.forward = lambda pictures: (pictures, torch.zeros(()))  # copies without traces
    clip = faces(1)
    for seed in range(6):
        copied = mouth.twin(net, clip, np.random.default_rng(seed)).astype(int)
        assert np.abs(copied - clip).max() <= 6  # smaller and larger again
    net.forward = lambda pictures: (torch.zeros_like(pictures), torch.zeros(()))
    masks = [mouth.lower_part(np.random.default_rng(seed), BANK_SIZE) for seed in range(30)]
    assert any(mask.min() == 1 for mask in masks)
    partial = next(seed for seed, mask in enumerate(masks) if mask.min() == 0)
    mask = masks[partial]
    assert mask[:50].max() == 0
    assert mask[-30:, 70:90].min() == 1


def test_training_leaves_two_networks_and_copying_fills_the_bank_once(bank: PictureBank, tmp_path: Path) -> None:
    mouth, out = program("mouth"), tmp_path / "nets"
    mouth.BATCH = 2
    mouth.train("nearest", bank, out, minutes=0.02, seed=1)
    assert sorted(path.name for path in out.iterdir()) == ["nearest-early.pt", "nearest.pt"]
    mouth.copy(bank, out, 1, seed=1)
    mouth.copy(PictureBank(bank.folder), out, 1, seed=1)
    twins = PictureBank(bank.folder).twins()
    assert [len(one.fakes) for one in twins] == [1, 1]
    for one in twins:
        (fake,) = one.fakes
        assert fake.family == "own"
        assert fake.generator in ("mouth-nearest", "mouth-nearest-early")
        assert bank.faces(fake).shape == bank.faces(one.real).shape
