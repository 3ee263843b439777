"""One config file of a run: sizes of the network, examples, optimiser, losses. Every key has a default."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fakespan.config import ModelConfig, PostConfig, from_mapping, load_toml
from fakespan.errors import ConfigError
from fakespan.forge.practice import PracticeConfig
from fakespan.losses import LossWeights

__all__ = ["ClipsConfig", "RunConfig", "TrainConfig", "load_run_config"]


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast."""

    seed: int = 1
    n_steps: int = 2000
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    average: float = 0.998  # decay of the running average of the weights, which is what is kept
    time_limit_min: float = 80.0  # the learning rate still reaches its end when time runs short
    n_workers: int = 1

    def __post_init__(self) -> None:
        for key, least in (("n_steps", 1), ("batch_size", 1), ("warmup_steps", 1), ("n_workers", 0)):
            if getattr(self, key) < least:
                raise _bad_value(key, f"a number of at least {least}", getattr(self, key))
        for key in ("learning_rate", "time_limit_min"):
            if getattr(self, key) <= 0:
                raise _bad_value(key, "a number above 0", getattr(self, key))
        if not 0 <= self.average < 1:
            raise _bad_value("average", "a number of at least 0 and below 1", self.average)


@dataclass(frozen=True)
class ClipsConfig:
    """Which real clips are in which split: patterns below the clips' folder."""

    train: tuple[str, ...] = ("**/*.mp4",)
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunConfig:
    """One config file."""

    name: str = "small"
    model: ModelConfig = field(default_factory=lambda: ModelConfig(family="small"))
    post: PostConfig = field(default_factory=PostConfig)
    practice: PracticeConfig = field(default_factory=PracticeConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    clips: ClipsConfig = field(default_factory=ClipsConfig)


def load_run_config(path: Path) -> RunConfig:
    """The typed config of a TOML file. Raises ConfigError for what does not fit."""
    return from_mapping(RunConfig, load_toml(path), str(path))


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"train.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
