"""A training that takes a moment: a small set in memory, tiny networks, what a run's logs say."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.config import ModelConfig
from fakespan.data.example import Example
from fakespan.errors import MediaError
from fakespan.train import RunConfig, TrainConfig, TrainingData

T, D = 8, 4
SIZES: dict[str, Any] = {"n_frames": T, "max_duration": D, "n_samples": 2, "n_features": 8, "boundary_widths": (8, 8)}
SMALL = ModelConfig(
    family="small",
    video_encoder="frames",
    audio_encoder="mel",
    video_widths=(8, 8, 8),
    audio_widths=(8, 8, 8),
    **SIZES,
)
BATFD = ModelConfig(family="batfd", video_widths=(2, 2, 4, 4), audio_widths=(2, 4, 2), **SIZES)
PLUS = ModelConfig(
    family="batfd_plus", video_widths=(2, 2, 4, 4), audio_widths=(2, 4, 2), boundary_generator=True, **SIZES
)


class TinySet:
    """Clips of noise, made anew from their number each time; some may be damaged.

    Args:
        n_clips: of the set.
        lengths: frames of the clips, in turn.
        damaged: numbers of clips that cannot be read.
        nan: numbers of clips whose sound is no number.
    """

    def __init__(
        self, n_clips: int = 12, lengths: Sequence[int] = (T,), damaged: Sequence[int] = (), nan: Sequence[int] = ()
    ) -> None:
        self.n_clips, self.lengths, self.damaged, self.nan = n_clips, lengths, damaged, nan

    def __len__(self) -> int:
        return self.n_clips

    def __getitem__(self, k: int) -> Example:
        if not 0 <= k < self.n_clips:
            raise IndexError(k)
        if k in self.damaged:
            raise MediaError(f"clip{k}.mp4", expected="a clip", got="rubbish", remedy="take it out")
        rng, n = np.random.default_rng(k), self.lengths[k % len(self.lengths)]
        sound = (0.1 * rng.standard_normal(640 * n)).astype(np.float32)
        spans = ((0.08, 0.24),) if k % 2 else ()
        faces = np.repeat(rng.integers(0, 255, (1, 96, 96, 3), np.uint8), n, axis=0)
        return Example(f"clip{k}.mp4", faces, sound * np.float32("nan") if k in self.nan else sound, audio_spans=spans)


def tiny_run(model: ModelConfig = SMALL, **options: Any) -> RunConfig:
    """A run of six steps of two clips; the options are those of [train]."""
    settings = {"n_steps": 6, "batch_size": 2, "warmup_steps": 2, "n_workers": 0, "save_every": 2, **options}
    return RunConfig(name="tiny", model=model, train=TrainConfig(**settings))


def tiny_data(train: TinySet | None = None, validation: TinySet | None = None) -> TrainingData:
    return TrainingData("tiny", train or TinySet(), validation, ())


def changed(run: RunConfig, **options: Any) -> RunConfig:
    """The run with other options of [train]."""
    return dataclasses.replace(run, train=dataclasses.replace(run.train, **options))


def rows(folder: Path, name: str = "log.csv") -> list[dict[str, float]]:
    """The log; its steps must be those of one run."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        found = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    if name == "log.csv":
        assert [row["step"] for row in found] == list(range(1, len(found) + 1))
    return found


def losses(folder: Path) -> np.ndarray:
    """(steps, 5) total, maps, gradient."""
    names = ("total", "fused", "visual", "audio", "gradient")
    return np.array([[row[name] for name in names] for row in rows(folder)])
