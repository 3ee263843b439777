"""The workflow of training: clips and a config -> a checkpoint with a fitted threshold."""

from __future__ import annotations

import csv
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fakespan.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fakespan.config import to_mapping
from fakespan.data.dataset import Batch, Example, collate
from fakespan.errors import FakespanError
from fakespan.evaluate import pick_threshold
from fakespan.forge.bank import Clip
from fakespan.localizer import Localizer
from fakespan.losses import Targets, localization_loss
from fakespan.models import build_model
from fakespan.train.config import RunConfig
from fakespan.train.practice import PracticeSet, Progress

__all__ = ["fit_threshold", "train"]

N_VALIDATION = 320  # practice clips that the threshold is fitted on


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


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _save(network: nn.Module, run: RunConfig, path: Path, step: int) -> Path:
    notes = {"step": step, "config": to_mapping(run)}
    save_checkpoint(path, network, name=run.name, model=run.model, post=run.post, notes=notes)
    return path
