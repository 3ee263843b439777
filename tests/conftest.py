"""What several test files share: a tiny network of the `small` family in a file, with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fakespan.checkpoint import save_checkpoint
from fakespan.config import ModelConfig, PostConfig
from fakespan.models import build_model

TINY = ModelConfig(
    family="small",
    video_encoder="frames",
    audio_encoder="mel",
    n_frames=64,
    max_duration=10,
    n_samples=4,
    n_features=16,
    video_widths=(4, 4, 8, 8),
    audio_widths=(4, 4, 8, 8),
    boundary_widths=(8, 8),
)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file; what it says is random, but always the same."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(TINY)
    save_checkpoint(path, network, name="tiny", model=TINY, post=PostConfig(threshold=0.5))
    return path
