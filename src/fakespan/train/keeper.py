"""Puts states, models and numbers of a running training into its folder."""

from __future__ import annotations

from collections.abc import Sequence
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
    """The one who writes; only the first process of a run has one that is ever asked to.

    Args:
        folder: of the run.
        run: its config, kept in every model.
        source: the data set as the user named it; a model says no more of it than `named` does.
        step: steps that are done already.
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
        """Keep a state, and the model that belongs to it; the log is in its file before the state that needs it."""
        self._logs().flush()
        self.folder.save_state(name, {**state, "source": self.source, "limits": to_mapping(self.run)["train"]})
        if network is not None:
            notes = {"step": state["counters"]["step"], "data": named(self.source), "config": to_mapping(self.run)}
            path = self.folder.model_path(name)
            save_checkpoint(path, network, name=self.run.name, model=self.run.model, post=self.run.post, notes=notes)

    def close(self) -> None:
        """Close the logs."""
        if self._log is not None:
            self._log.close()

    def _logs(self) -> RunLog:
        if self._log is None:
            self._log = RunLog(self.folder.path, self._step)
        return self._log
