"""Training on practice forgeries: a folder of real clips and one config file -> a checkpoint.

Every example is a function of the seed and its number, whatever the workers. A run's folder holds the config, the log
(CSV) and the checkpoint; a loss that is not finite stops the run with the names of the batch's clips.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fakespan.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fakespan.config import ModelConfig, PostConfig, from_mapping, load_toml, to_mapping
from fakespan.data.dataset import Batch, Example, collate
from fakespan.errors import ConfigError, DataError, FakespanError
from fakespan.evaluate import pick_threshold
from fakespan.forge.bank import Clip, load_bank
from fakespan.forge.practice import PracticeConfig, make_example
from fakespan.localizer import Localizer
from fakespan.losses import LossWeights, Targets, localization_loss
from fakespan.models import build_model

__all__ = [
    "ClipsConfig",
    "PracticeSet",
    "RunConfig",
    "TrainConfig",
    "find_clips",
    "fit_threshold",
    "load_clips",
    "load_run_config",
    "train",
]

Progress = Callable[..., None]
"""Called with how much is done, how much there is and, if wanted, a word about it."""

LABEL_SUFFIXES = (".txt", ".align")  # of files that lie beside clips
N_VALIDATION = 320  # practice clips that the threshold is fitted on


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


class PracticeSet(Dataset[Example]):
    """Practice example number k, always the same; folders are drawn with equal chance, then a clip of the folder."""

    def __init__(self, clips: Sequence[Clip], practice: PracticeConfig, seed: int, n_examples: int) -> None:
        self.clips, self.practice, self.seed, self.n_examples = clips, practice, seed, n_examples
        folders = [clip.name.split("/", maxsplit=1)[0] for clip in clips]
        self.groups = [np.flatnonzero([f == folder for f in folders]) for folder in sorted(set(folders))]

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, k: int) -> Example:
        rng = np.random.default_rng([self.seed, k])
        group = self.groups[rng.integers(len(self.groups))]
        return make_example(self.clips, int(rng.choice(group)), self.practice, rng)


def load_run_config(path: Path) -> RunConfig:
    """The typed config of a TOML file. Raises ConfigError for what does not fit."""
    return from_mapping(RunConfig, load_toml(path), str(path))


def find_clips(root: Path, clips: ClipsConfig) -> dict[str, list[Path]]:
    """The files of each split; what validation and test name is taken out of train.

    Raises:
        DataError: a pattern fits no file, or validation and test share one.
    """
    found: dict[str, list[Path]] = {}
    for split in ("train", "validation", "test"):
        paths: set[Path] = set()
        for pattern in getattr(clips, split):
            fits = {p for p in root.glob(pattern) if p.is_file() and p.suffix not in LABEL_SUFFIXES}
            if not fits:
                raise DataError(
                    root,
                    expected=f"files that fit {pattern!r} ({split})",
                    got="none",
                    remedy="give the folder of real clips, or change [clips] in the config",
                )
            paths |= fits
        found[split] = sorted(paths)
    shared = set(found["validation"]) & set(found["test"])
    if shared:
        raise DataError(
            min(shared), expected="a clip in one split only", got="it in two", remedy="change [clips] in the config"
        )
    held_out = {*found["validation"], *found["test"]}
    found["train"] = [p for p in found["train"] if p not in held_out]
    return found


def load_clips(
    run: RunConfig, root: Path, cache: Path, splits: Sequence[str], progress: Progress | None = None
) -> dict[str, list[Clip]]:
    """The decoded clips of these splits, from the cache folder where they have been decoded before.

    Raises:
        DataError: as `find_clips`; or a split has no file, or no file with a face and sound.
    """
    files = find_clips(root, run.clips)
    for split in splits:
        if not files[split]:
            raise DataError(
                root, expected=f"clips for {split}", got="none", remedy=f"name some under [clips] {split} in the config"
            )
    total, done = sum(len(files[split]) for split in splits), itertools.count(1)

    def told(paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            yield path
            if progress:
                progress(next(done), total)

    return {split: load_bank(files[split], cache, told) for split in splits}


def train(run: RunConfig, clips: Sequence[Clip], out: Path, progress: Progress | None = None) -> Path:
    """Train by the config on practice forgeries of these clips; the checkpoint's path.

    Args:
        run: the config.
        clips: real clips of the train split.
        out: the run's folder, made if missing.
        progress: called with the step, the number of steps, and the mean loss of late.

    Raises:
        FakespanError: the loss is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.train.seed)
    examples = PracticeSet(clips, run.practice, run.train.seed, run.train.n_steps * run.train.batch_size)
    network = build_model(run.model)
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_Averaging(run.train.average), use_buffers=True)
    steps = _steps(network, examples, run)
    with (out / "log.csv").open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(["step", "minutes", "learning_rate", "total", "fused", "visual", "audio", "vframes", "aframes"])
        begin, late = time.monotonic(), 0.0
        for step, (rate, numbers) in enumerate(steps, 1):
            average.update_parameters(network)
            late = numbers[0] if step == 1 else 0.98 * late + 0.02 * numbers[0]
            minutes = (time.monotonic() - begin) / 60
            log.writerow([step, f"{minutes:.2f}", f"{rate:.2e}", *(f"{v:.5f}" for v in numbers)])
            if step % 200 == 0:
                file.flush()
                _save(average.module, run, out / "last.safetensors", step)
            if progress:
                progress(step, run.train.n_steps, f"loss {late:.3f}")
    return _save(average.module, run, out / f"{run.name}.safetensors", step)


def fit_threshold(path: Path, run: RunConfig, clips: Sequence[Clip]) -> Checkpoint:
    """Set a checkpoint's threshold by practice clips of the validation split; the file is replaced."""
    checkpoint = load_checkpoint(path)
    examples = PracticeSet(clips, run.practice, run.train.seed + 1, N_VALIDATION)
    threshold = pick_threshold(Localizer(checkpoint, "cpu"), [examples[k] for k in range(N_VALIDATION)])
    post = dataclasses.replace(run.post, threshold=threshold)
    save_checkpoint(path, checkpoint.network, name=run.name, model=run.model, post=post, notes=checkpoint.notes)
    return load_checkpoint(path)


def _steps(network: nn.Module, examples: PracticeSet, run: RunConfig) -> Iterator[tuple[float, list[float]]]:
    """Take the training steps; the learning rate and the loss terms of each."""
    options = run.train
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    begin = time.monotonic()
    loader = DataLoader(
        examples,
        batch_size=options.batch_size,
        num_workers=options.n_workers,
        collate_fn=_Collate(run.practice.n_frames, run.model.max_duration),
        worker_init_fn=_one_thread,
        prefetch_factor=4 if options.n_workers else None,
    )
    network.train()
    for step, batch in enumerate(loader, 1):
        share = max(step / options.n_steps, (time.monotonic() - begin) / 60 / options.time_limit_min)
        rate = (
            options.learning_rate
            * min(1.0, step / options.warmup_steps)
            * (0.5 + 0.5 * math.cos(math.pi * min(share, 1)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        output = network(batch.video, batch.audio)
        terms = localization_loss(output, _targets(batch), run.loss)
        if not torch.isfinite(terms.total):
            raise FakespanError(
                f"step {step}",
                expected="a finite loss",
                got=f"{float(terms.total.detach())} on {', '.join(batch.names)}",
                remedy="lower learning_rate, or look at these clips",
            )
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        values = (
            terms.total,
            terms.fused.map,
            terms.visual.map,
            terms.audio.map,
            terms.visual_frames,
            terms.audio_frames,
        )
        yield rate, [float(v.detach()) for v in values]
        if share >= 1:
            return


@dataclass(frozen=True)
class _Averaging:
    """A running average that forgets the untrained network soon: its decay grows to `most`."""

    most: float

    def __call__(self, average: Tensor, new: Tensor, n_averaged: Tensor | int) -> Tensor:
        decay = min(self.most, (1 + int(n_averaged)) / (10 + int(n_averaged)))
        return average + (new - average) * (1 - decay)


@dataclass(frozen=True)
class _Collate:
    n_frames: int
    max_duration: int

    def __call__(self, examples: list[Example]) -> Batch:
        return collate(examples, self.n_frames, self.max_duration)


def _targets(batch: Batch) -> Targets:
    named = {f.name for f in dataclasses.fields(Targets)}
    return Targets(**{f.name: getattr(batch, f.name) for f in dataclasses.fields(batch) if f.name in named})


def _bad_value(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"train.{key}", expected=expected, got=repr(got), remedy="change this key in the config")


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _save(network: nn.Module, run: RunConfig, path: Path, step: int) -> Path:
    notes = {"step": step, "config": to_mapping(run)}
    save_checkpoint(path, network, name=run.name, model=run.model, post=run.post, notes=notes)
    return path
