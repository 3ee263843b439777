"""Saves states, models and metrics of a training run to its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from fakespan.checkpoint import save_checkpoint
from fakespan.config import to_mapping
from fakespan.data.sets import named
from fakespan.train.config import RunConfig
from fakespan.train.folder import RunFolder
from fakespan.train.logs import EPOCH_COLUMNS, STEP_COLUMNS, RunLog

__all__ = ["Keeper"]


class Keeper:
    """Writes the files of a run; used only in its first process.

    Args:
        folder: the folder of the run.
        run: its config, stored in every model without folders of this machine.
        source: the data set as named by the user; models store only `named` of it.
        step: number of finished steps.
    """

    def __init__(self, folder: RunFolder, run: RunConfig, source: str, step: int) -> None:
        self.folder, self.run, self.source, self._step = folder, run, source, step
        self._log: RunLog | None = None

    def log_step(self, numbers: Sequence[float]) -> None:
        """One row of log.csv."""
        self._logs().step(dict(zip(STEP_COLUMNS, numbers, strict=True)))

    def log_epoch(self, numbers: Sequence[float]) -> None:
        """One row of epochs.csv."""
        self._logs().epoch(dict(zip(EPOCH_COLUMNS, numbers, strict=True)))

    def save(self, name: str, state: dict[str, Any], network: nn.Module | None) -> None:
        """Save a model and its state; the state comes last: a run that is resumed repeats nothing before it."""
        self._logs().flush()
        if network is not None:
            notes = {"step": state["counters"]["step"], "data": named(self.source), "config": _published(self.run)}
            path = self.folder.model_path(name)
            save_checkpoint(path, network, name=self.run.name, model=self.run.model, post=self.run.post, notes=notes)
        self.folder.save_state(name, {**state, "source": self.source, "limits": to_mapping(self.run)["train"]})

    def close(self) -> None:
        """Close the logs."""
        if self._log is not None:
            self._log.close()

    def _logs(self) -> RunLog:
        if self._log is None:
            self._log = RunLog(self.folder.path, self._step)
        return self._log


def _published(run: RunConfig) -> dict[str, Any]:
    """The config as models store it: of the model that it started from only the name of the file."""
    start = Path(run.train.start).name
    return to_mapping(dataclasses.replace(run, train=dataclasses.replace(run.train, start=start)))
