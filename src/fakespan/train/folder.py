"""The folder of a run: its files, its lock, and the training states from which a run is resumed.

    config.toml          the complete configuration
    log.csv epochs.csv   metrics of every step and every epoch; also in tensorboard/
    NAME.safetensors     the final model (`fakespan scan --model`), at the end of the run
    last.safetensors     the model of the last saved state; best.safetensors: with the best validation loss
    last.ckpt best.ckpt  the corresponding states: weights, optimiser, schedule, average, counters
    loss.png learning_rate.png

Files are written atomically. States hold tensors and plain values; no code in them is executed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from fakespan.config import from_mapping, load_toml, to_mapping
from fakespan.errors import CheckpointError, ConfigError, UsageError
from fakespan.files import differences, replacing, sweep
from fakespan.train.config import RunConfig, config_text

__all__ = ["RunFolder"]

STATE_FORMAT = 1
OWN_FILES = ("config.toml", "log.csv", "epochs.csv", "last.ckpt", "best.ckpt", "last.safetensors", "best.safetensors",
             "loss.png", "learning_rate.png")  # fmt: skip
MAY_CHANGE = (  # keys of [train] that may change when resuming: they do not affect the steps done so far
    "n_steps",
    "n_epochs",
    "time_limit_min",
    "min_learning_rate",
    "stop_patience",
    "keep",
    "save_every",
    "n_workers",
)


class RunFolder:
    """The files of one run; `claim` creates the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def claim(self, run: RunConfig, *, resume: bool, overwrite: bool) -> None:
        """Create the folder and write the config.

        Raises:
            UsageError: the folder holds a run that is to be neither resumed nor overwritten, or a finished one without
                its state, or is not writable; or the run is to be both resumed and overwritten.
            ConfigError: the run to resume has another config.
        """
        if resume and overwrite:
            raise UsageError("--resume", expected="it or --overwrite", got="both", remedy="choose one of them")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            sweep(self.path)
            if resume and self.state_path("last").is_file():
                self._check_same(run)
            elif resume and self.model_path(run.name).is_file():
                got, remedy = "a finished run without it", "start over with --overwrite, or use another --out"
                raise UsageError(self.path, expected="last.ckpt to resume from", got=got, remedy=remedy)
            else:
                self._make_room(self.model_path(run.name), overwrite or resume)
            with replacing(self.path / "config.toml") as part:
                part.write_text(config_text(run), encoding="utf-8")
        except OSError as error:
            got = (error.strerror or str(error)).lower()
            raise UsageError(self.path, expected="a folder to write to", got=got, remedy="change --out") from error

    def state_path(self, name: str) -> Path:
        """Path of the state "last" or "best"."""
        return self.path / f"{name}.ckpt"

    def model_path(self, name: str) -> Path:
        """Path of the model "last" or "best", or of the final model."""
        return self.path / f"{name}.safetensors"

    def save_state(self, name: str, state: dict[str, Any]) -> None:
        """Replace a state."""
        path = self.state_path(name)
        try:
            with replacing(path) as part:
                torch.save({"format": STATE_FORMAT, **state}, part)
        except (OSError, RuntimeError) as error:  # torch has no OSError for a full disk
            reason = error.strerror if isinstance(error, OSError) else None
            got, remedy = (reason or "a write that failed").lower(), "free some space; --resume continues"
            raise UsageError(path, expected="free space for a training state", got=got, remedy=remedy) from error

    def load_state(self, name: str = "last") -> dict[str, Any] | None:
        """A saved state, on the CPU; None if there is none. Raises CheckpointError if it is damaged or foreign."""
        path = self.state_path(name)
        if not path.is_file():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can raise anything
            raise _bad_state(path, f"a damaged or foreign file ({type(error).__name__})") from error
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise _bad_state(path, "another format")
        return state

    def _make_room(self, model: Path, may_clear: bool) -> None:
        there = [path for path in (model, *(self.path / name for name in OWN_FILES)) if path.exists()]
        if there and not may_clear:
            raise UsageError(
                self.path,
                expected="a new folder for this run",
                got=f"the folder of another run ({there[0].name})",
                remedy="use --resume to continue it, --overwrite to start over, or another --out",
            )
        for path in there:
            path.unlink()
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)

    def _check_same(self, run: RunConfig) -> None:
        """Check that the stored config is that of the run, except for keys that may change."""
        path = self.path / "config.toml"
        before, now = to_mapping(from_mapping(RunConfig, load_toml(path), str(path))), to_mapping(run)
        for table in (before, now):
            for key in MAY_CHANGE:
                table["train"].pop(key)
        for where, there, here in differences(before, now):
            remedy = "resume with the same config, or start over with --overwrite or another --out"
            raise ConfigError(where, expected=f"{there!r}, as in {path}", got=repr(here), remedy=remedy)


def _bad_state(path: Path, got: str) -> CheckpointError:
    remedy = "start over with --overwrite"
    return CheckpointError(path, expected="a training state of fakespan", got=got, remedy=remedy)
