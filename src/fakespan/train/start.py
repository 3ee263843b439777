"""The network that a run begins with: random weights, or those of an existing model."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fakespan.checkpoint import load_checkpoint
from fakespan.config import to_mapping
from fakespan.errors import ConfigError
from fakespan.models import build_model
from fakespan.train.config import RunConfig

__all__ = ["new_network"]


def new_network(run: RunConfig) -> nn.Module:
    """Random weights, or with `train.start` those of that model file.

    Raises:
        CheckpointError: `train.start` is not a readable model.
        ConfigError: its network is another one.
    """
    network = build_model(run.model)
    if not run.train.start:
        return network
    start = load_checkpoint(Path(run.train.start))
    theirs = to_mapping(start.model)
    differing = [f"{key} = {theirs[key]}" for key, value in to_mapping(run.model).items() if theirs[key] != value]
    if differing:
        raise ConfigError(
            "train.start",
            expected="a model of the same [model] table",
            got=f"{run.train.start} with {', '.join(differing)}",
            remedy="change the config, or start from another model",
        )
    network.load_state_dict(start.network.state_dict())
    return network
