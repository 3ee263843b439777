"""The training workflow: from a config and clips to a folder with models, logs and plots, and a fitted threshold."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import math
import os
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from fakespan.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fakespan.config import to_mapping
from fakespan.data.example import Example
from fakespan.errors import ConfigError, DataError, FakespanError, MissingExtraError, UsageError
from fakespan.files import replacing
from fakespan.localizer import Localizer
from fakespan.localizer.threshold import pick_threshold, top_score
from fakespan.models import build_model
from fakespan.models.memory import save_memory
from fakespan.report.training_plots import plot_run
from fakespan.train.config import RunConfig
from fakespan.train.data import TrainingData
from fakespan.train.feed import Fed, Feed, IntactClips, make_loader
from fakespan.train.folder import RunFolder
from fakespan.train.keeper import Keeper
from fakespan.train.order import Order, Shard, TrainSampler, ValidationSampler
from fakespan.train.start import new_network
from fakespan.train.step import Plan
from fakespan.types import Progress

if TYPE_CHECKING:
    from fakespan.train.module import TrainingModule

__all__ = ["fit_threshold", "is_first_process", "train"]

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def train(
    run: RunConfig,
    data: TrainingData,
    out: Path,
    progress: Progress | None = None,
    *,
    device: str = "auto",
    n_devices: int = 1,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Train a model; returns the path of the final model.

    Args:
        run: the config.
        data: the clips, see `fakespan.train.data`.
        out: the run's folder (see `fakespan.train.folder`), created if missing.
        progress: called with the step, the number of steps, and the recent mean loss.
        device: "auto", "cpu", "cuda" or "cuda:1".
        n_devices: number of processes, one device each; the program is started once per process.
        resume: continue from the folder's last state, if there is one.
        overwrite: replace another run in this folder.

    Raises:
        UsageError: the folder holds another run, or the device is not available.
        DataError: too many clips are unreadable.
        FakespanError: a loss is not finite; the state from before that step is saved.
        MissingExtraError: lightning is not installed.
    """
    _check(run, data, device)
    machine = _machine(run, device, n_devices)
    folder, plan = RunFolder(out), make_plan(run, data, n_devices)
    if is_first_process():
        folder.claim(run, resume=resume, overwrite=overwrite)
    state = _state_to_resume(folder, run, data, plan) if resume else None
    if state is None or not _is_over(state, run, plan):
        _fit(_Job(run, data, folder, plan), state, progress, machine)
    path = folder.model_path(run.name)
    if is_first_process():
        _finish(run, folder, path)
    return path


def fit_threshold(
    path: Path, run: RunConfig, examples: Sequence[Example], device: str = "cpu", progress: Progress | None = None
) -> Checkpoint:
    """Fit a checkpoint's threshold on the real clips among these; the file is replaced.

    Raises DataError if there are no readable real clips.
    """
    checkpoint = load_checkpoint(path)
    watched = IntactClips(examples, range(len(examples)), progress)
    localizer = Localizer(checkpoint, device)
    scores = [top_score(localizer, *example.present) for example in watched if example.kind == "real"]
    threshold = pick_threshold(scores, run.train.threshold_share)
    post = dataclasses.replace(run.post, threshold=threshold)
    kept: dict[str, Any] = {"notes": checkpoint.notes, "head": checkpoint.head}
    save_checkpoint(path, checkpoint.network, name=run.name, model=run.model, post=post, **kept)
    return load_checkpoint(path)


def make_plan(run: RunConfig, data: TrainingData, n_devices: int) -> Plan:
    """Steps of the run and of an epoch. Epochs are whole steps: remaining clips come first in the next one."""
    options = run.train
    total = options.batch_size * options.accumulate * n_devices
    epoch_steps = max(1, (options.clips_per_epoch or len(data.train)) // total)
    by_epochs = options.n_epochs * epoch_steps
    n_steps = min(limit for limit in (options.n_steps, by_epochs) if limit)
    return Plan(n_steps, epoch_steps, total, 0 if data.is_endless else len(data.train))


def is_first_process() -> bool:
    """Whether this is the first of the training processes, which writes the files."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


@dataclass(frozen=True)
class _Job:
    """The inputs of a training job."""

    run: RunConfig
    data: TrainingData
    folder: RunFolder
    plan: Plan


@dataclass(frozen=True)
class _Loaders:
    """The data loaders of a process."""

    run: RunConfig
    data: TrainingData
    plan: Plan
    pin_memory: bool

    def training(self, shard: Shard, first_step: int) -> DataLoader[Fed]:
        options = self.run.train
        order = Order(len(self.data.train), options.seed, "endless" if self.data.is_endless else options.sampling)
        steps = first_step, self.plan.n_steps
        sampler = TrainSampler(order, options.batch_size, options.accumulate, steps, shard)
        feed = Feed(self.data.train, self.run.model)
        return make_loader(feed, sampler, options.n_workers, pin_memory=self.pin_memory)

    def validation(self, shard: Shard) -> DataLoader[Fed] | None:
        if self.data.validation is None:
            return None
        options, clips = self.run.train, self.data.validation
        sampler = ValidationSampler(len(clips), options.validation_clips, options.batch_size, shard)
        return make_loader(Feed(clips, self.run.model), sampler, options.n_workers, pin_memory=self.pin_memory)


def _fit(job: _Job, state: dict[str, Any] | None, progress: Progress | None, machine: dict[str, Any]) -> None:
    """Train from the state, or from random weights."""
    from lightning.pytorch import Trainer  # noqa: PLC0415

    from fakespan.train.module import TrainingModule  # noqa: PLC0415

    run, step = job.run, state["counters"]["step"] if state else 0
    torch.manual_seed(run.train.seed)
    keeper = Keeper(job.folder, run, job.data.source, step)
    loaders = _Loaders(run, job.data, job.plan, machine["accelerator"] == "gpu")
    network = new_network(run) if state is None else build_model(run.model)
    save_memory(network, run.train.save_memory)
    module = TrainingModule(run, network, job.plan, keeper, loaders, state=state, progress=progress)
    with _quiet(), contextlib.closing(keeper):
        trainer = Trainer(
            **machine,
            accumulate_grad_batches=run.train.accumulate,
            max_epochs=1,  # the loader yields the whole run as one sequence
            min_epochs=0,
            limit_val_batches=0,  # the module validates at the end of its own epochs
            use_distributed_sampler=False,
            default_root_dir=job.folder.path,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        _run(trainer, module)


def _run(trainer: Any, module: TrainingModule) -> None:
    """Run the fit; converts interruptions and worker failures, and only the first process reports errors."""
    handler, is_main = signal.getsignal(signal.SIGINT), threading.current_thread() is threading.main_thread()
    try:
        trainer.fit(module)
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    except FakespanError as error:
        if not is_first_process():
            raise SystemExit(error.exit_code) from error
        raise
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        remedy = "continue with --resume, with fewer train.n_workers if memory ran out"
        got = "a DataLoader worker that was killed"
        raise DataError("training", expected="running workers", got=got, remedy=remedy) from error
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)  # Lightning ignores it after an interruption
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _finish(run: RunConfig, folder: RunFolder, path: Path) -> None:
    """Write the final model and the plots."""
    best, last = folder.model_path("best"), folder.model_path("last")
    with replacing(path) as part:
        shutil.copyfile(best if run.train.keep == "best" and best.is_file() else last, part)
    plot_run(folder.path)


def _state_to_resume(folder: RunFolder, run: RunConfig, data: TrainingData, plan: Plan) -> dict[str, Any] | None:
    """The last state of this run. Raises ConfigError or UsageError if it cannot be resumed."""
    state = folder.load_state()
    if state is None:
        return None
    if state["total_batch"] != plan.total_batch:
        got, expected = f"{plan.total_batch}", f"{state['total_batch']} clips per step, as before"
        remedy = "keep batch_size x accumulate x devices as it was"
        raise ConfigError("the run to resume", expected=expected, got=got, remedy=remedy)
    remedy = "use the same --data, --subset and --limit, or start over with another --out"
    if state["source"] != data.source:
        raise UsageError("--data", expected=f"{state['source']}, as before", got=data.source, remedy=remedy)
    if (n_before := state.get("n_clips", plan.n_clips)) != plan.n_clips:  # unknown of earlier versions
        raise UsageError("--data", expected=f"{n_before} clips, as before", got=f"{plan.n_clips}", remedy=remedy)
    return state


def _is_over(state: dict[str, Any], run: RunConfig, plan: Plan) -> bool:
    """Whether the run is finished; with higher limits it continues."""
    is_same = state["limits"] == to_mapping(run)["train"]
    counters: dict[str, Any] = state["counters"]
    return bool(counters["step"] >= plan.n_steps or (counters["is_over"] and is_same))


def _check(run: RunConfig, data: TrainingData, device: str) -> None:
    """Check the requirements early."""
    for library in ("lightning", "tensorboard", "matplotlib"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, "train")
    if run.train.schedule == "plateau" and data.validation is None:
        expected = "validation clips for the plateau schedule"
        remedy = "use a data set with a validation split, or choose another schedule"
        raise ConfigError("train.schedule", expected=expected, got="none", remedy=remedy)
    if run.train.start:
        new_network(run)  # a wrong path must not claim the folder
    if run.train.precision == "16" and not _is_gpu(device):
        raise UsageError("--precision", expected="a GPU for 16", got="a CPU", remedy="use --precision bf16 or 32")


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def _machine(run: RunConfig, device: str, n_devices: int) -> dict[str, Any]:
    """The trainer's arguments for these devices. Raises UsageError if fewer are available."""
    kind, _, number = device.partition(":")
    n_there = torch.cuda.device_count() if _is_gpu(device) else math.inf
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()) or (number and n_devices > 1):
        expected = "auto, cpu, cuda or, for one device, cuda:NUMBER"
        raise UsageError("--device", expected=expected, got=repr(device), remedy="choose one of them")
    if max(n_devices, int(number or 0) + 1) > n_there:
        got, remedy = f"{n_there:.0f} GPUs", "use --device cpu or fewer --devices"
        raise UsageError("--device", expected="available devices", got=got, remedy=remedy)
    return {
        "precision": PRECISIONS[run.train.precision],
        "accelerator": "gpu" if _is_gpu(device) else "cpu",
        "devices": [int(number)] if number else n_devices,
        "strategy": "ddp" if n_devices > 1 else "auto",
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages of Lightning; this package reports what users need to know."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.|torch\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
