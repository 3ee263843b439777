"""Configuration of a training run: network, examples, optimiser, losses. Every key has a default.

Published values (2204.06228, section 5; 2305.01979, section 4) are those of configs/batfd.toml and batfd_plus.toml; the
defaults here are this project's own.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fakespan.config import ModelConfig, PostConfig, from_mapping, load_toml, to_mapping
from fakespan.data.augment import AugmentConfig
from fakespan.errors import ConfigError, UsageError
from fakespan.losses import LossWeights
from fakespan.practice.picture import PicturePractice
from fakespan.practice.sound import SoundRecipe

__all__ = ["RunConfig", "TrainConfig", "config_text", "load_run_config"]

Precision = Literal["32", "bf16", "16"]


@dataclass(frozen=True)
class TrainConfig:
    """Duration, optimiser and batches (table [train]). A run ends at the first of its limits."""

    seed: int = 1
    n_steps: int = 2000  # optimiser steps; 0: determined by n_epochs
    n_epochs: int = 0  # 0: determined by n_steps
    time_limit_min: float = 0.0  # the cosine schedule completes within it; 0: no limit
    batch_size: int = 8  # clips per device and batch
    accumulate: int = 1  # batches whose gradients are accumulated per step
    sampling: Literal["epoch", "published"] = "epoch"  # "published": with replacement
    clips_per_epoch: int = 0  # 0: the size of the set (banks: 1600)
    validation_clips: int = 0  # drawn once from the validation split; 0: all of it (banks: 192)
    optimizer: Literal["adam", "adamw"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    learning_rate: float = 1e-3
    lr_per_batch: int = 0  # above 0: learning_rate refers to so many clips per step, and scales with their number
    clip_norm: float = 5.0  # maximum gradient norm; 0: no clipping
    schedule: Literal["cosine", "plateau", "exponential", "constant"] = "cosine"
    warmup_steps: int = 100  # of the cosine schedule
    lr_factor: float = 0.5  # plateau: when the validation loss stalls; exponential: after every epoch
    lr_patience: int = 3  # plateau: epochs without a better validation loss before the reduction
    min_learning_rate: float = 0.0  # the run stops below this learning rate
    stop_patience: int = 0  # the run stops after so many epochs without a better validation loss; 0: never
    average: float = 0.998  # decay of the running average of the weights, which is saved; 0: none
    keep: Literal["last", "best"] = "last"  # which weights become NAME.safetensors; best: by the validation loss
    precision: Precision = "32"
    save_memory: bool = False  # recompute the encoders' activations in backward: a fifth of the memory of BA-TFD
    threshold_share: float = 0.95  # share of the untouched validation clips whose scores stay below the threshold
    save_every: int = 200  # steps between saved states
    start: str = ""  # file of a model with the same [model] table, whose weights the run starts from
    n_workers: int = 1  # DataLoader processes; 0: the training process

    def __post_init__(self) -> None:
        for key, least in _LEAST.items():
            if getattr(self, key) < least:
                raise _bad_value(key, f"a number of at least {least}", getattr(self, key))
        for key in ("learning_rate", "lr_factor"):
            if not getattr(self, key) > 0:
                raise _bad_value(key, "a number above 0", getattr(self, key))
        if not 0 < self.threshold_share <= 1:
            raise _bad_value("threshold_share", "a share above 0", self.threshold_share)
        if not 0 <= self.average < 1:
            raise _bad_value("average", "a number of at least 0 and below 1", self.average)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise _bad_value("betas", "two numbers of at least 0 and below 1", self.betas)
        if self.n_steps == self.n_epochs == 0:
            raise _bad_value("n_steps", "a number of at least 1, or n_epochs above 0", 0)


_LEAST = {
    **dict.fromkeys(("batch_size", "accumulate", "warmup_steps", "save_every"), 1),
    **dict.fromkeys(("seed", "n_steps", "n_epochs", "time_limit_min", "clips_per_epoch", "validation_clips"), 0),
    **dict.fromkeys(("weight_decay", "lr_per_batch", "clip_norm", "lr_patience", "min_learning_rate"), 0),
    **dict.fromkeys(("stop_patience", "n_workers"), 0),
}


@dataclass(frozen=True)
class RunConfig:
    """A config file."""

    name: str = "small"
    model: ModelConfig = field(default_factory=lambda: ModelConfig(family="small"))
    post: PostConfig = field(default_factory=PostConfig)
    sound: SoundRecipe = field(default_factory=SoundRecipe)  # of sound banks
    picture: PicturePractice = field(default_factory=PicturePractice)  # of picture banks
    augment: AugmentConfig = field(default_factory=AugmentConfig)  # of sets and stores
    train: TrainConfig = field(default_factory=TrainConfig)
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.name in ("", "..", "last", "best") or self.name != Path(self.name).name:
            raise ConfigError(
                "name",
                expected="a file's name, not last or best",
                got=repr(self.name),
                remedy="change name in the config",
            )


def load_run_config(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read a config from TOML, with overrides like "train.batch_size=8". Raises ConfigError if it is invalid."""
    values = load_toml(path)
    for change in changes:
        _apply(values, change)
    return from_mapping(RunConfig, values, str(path))


def config_text(run: RunConfig) -> str:
    """TOML with every key, including defaults; `load_run_config` reads the same config from it.

    >>> config_text(RunConfig(name="x")).splitlines()[:3]
    ['name = "x"', '', '[model]']
    """
    lines: list[str] = []
    for key, value in to_mapping(run).items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *(f"{k} = {_toml(v)}" for k, v in value.items())]
        else:
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value) if isinstance(value, bool) else repr(value)


def _apply(values: dict[str, Any], change: str) -> None:
    """Apply an override "table.key=value"; the value is TOML, or a plain word."""
    place, equals, text = change.partition("=")
    *tables, key = place.strip().split(".")
    if not equals or not key or len(tables) > 1:
        raise UsageError("--set", expected="table.key=value", got=repr(change), remedy="e.g. --set train.batch_size=8")
    table = values.setdefault(tables[0], {}) if tables else values
    if not isinstance(table, Mapping):
        raise UsageError("--set", expected="table.key=value", got=repr(change), remedy=f"{tables[0]} is not a table")
    table[key] = _value(text.strip())  # type: ignore[index]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"train.{key}", expected=expected, got=repr(got), remedy="change this key in the config")
