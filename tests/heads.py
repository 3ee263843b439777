"""Verdict heads that nobody trained, for the tests of all that uses one."""

from __future__ import annotations

from typing import Any

import torch

from fakespan.checkpoint import Checkpoint, model_of
from fakespan.config import VerdictConfig
from fakespan.models.verdict_head import Calibration, Head, HeadModel, VerdictMLP, WayFit

CONFIG = VerdictConfig(rows=3, columns=4, widths=(6, 5), restarts=1, epochs=2)
MODEL = HeadModel("tiny", "0" * 64, n_frames=64, max_duration=10, clock="pad")
MAXIMUM = WayFit.of(0.7, Calibration(2.0, -0.5))
MLP = WayFit.of(0.41, Calibration(1.3, 0.25))


def random_mlp(config: VerdictConfig = CONFIG, seed: int = 0) -> VerdictMLP:
    """Random weights, always the same, and an input whose mean and deviation are not 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mlp = VerdictMLP.of(config)
        mlp.standardise(3 * torch.randn(50, len(mlp.mean)) - 4)
    return mlp


def a_head(model: HeadModel = MODEL, *, with_mlp: bool = True, **changes: Any) -> Head:
    """A head with or without a network."""
    parts: dict[str, Any] = {"config": CONFIG, "model": model, "maximum": MAXIMUM}
    if with_mlp:
        parts |= {"mlp": random_mlp(), "mlp_fit": MLP}
    return Head(**{**parts, "notes": {"data": "noise", "clips": 3}, **changes})


def head_of(checkpoint: Checkpoint, **changes: Any) -> Head:
    """A head of this very model."""
    return a_head(model_of(checkpoint.name, checkpoint.model, checkpoint.network), **changes)
