"""Logs of a run: log.csv (per step), epochs.csv (per epoch), TensorBoard files."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from fakespan.errors import MissingExtraError, UsageError
from fakespan.files import replacing

__all__ = ["EPOCH_COLUMNS", "STEP_COLUMNS", "RunLog"]

LOSSES = ("total", "fused", "visual", "audio", "vframes", "aframes")
STEP_COLUMNS = ("step", "epoch", "minutes", "learning_rate", *LOSSES, "gradient")
EPOCH_COLUMNS = ("epoch", "step", "minutes", "learning_rate", "train_loss", "validation_loss", "damaged_clips")


class RunLog:
    """The logs of a run, from a step on; entries of later steps are removed.

    Args:
        folder: the folder of the run.
        step: number of finished steps; 0: a new run.

    All methods raise UsageError if a log cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        with _told(folder):
            self._steps = _open(folder / "log.csv", STEP_COLUMNS, step)
            self._epochs = _open(folder / "epochs.csv", EPOCH_COLUMNS, step)
            self._board = _board(folder / "tensorboard", step)

    def step(self, numbers: Mapping[str, float]) -> None:
        """Log a step: one number per column of STEP_COLUMNS."""
        with _told(self._folder):
            _write(self._steps, STEP_COLUMNS, numbers)
            self._show("train", numbers, ("learning_rate", *LOSSES, "gradient"))

    def epoch(self, numbers: Mapping[str, float]) -> None:
        """Log an epoch: one number per column of EPOCH_COLUMNS."""
        with _told(self._folder):
            _write(self._epochs, EPOCH_COLUMNS, numbers)
            self._show("epoch", numbers, ("train_loss", "validation_loss", "damaged_clips"))

    def flush(self) -> None:
        """Write buffered entries to the files."""
        with _told(self._folder):
            for file in (self._steps, self._epochs, self._board):
                file.flush()

    def close(self) -> None:
        """Flush and close."""
        with _told(self._folder), contextlib.ExitStack() as stack:
            for file in (self._steps, self._epochs, self._board):
                stack.callback(file.close)

    def _show(self, group: str, numbers: Mapping[str, float], names: Sequence[str]) -> None:
        for name in names:
            self._board.add_scalar(f"{group}/{name}", numbers[name], int(numbers["step"]))


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        got, remedy = (error.strerror or str(error)).lower(), "free some space or change --out; --resume continues"
        raise UsageError(folder, expected="logs that can be written", got=got, remedy=remedy) from error


def _open(path: Path, columns: Sequence[str], step: int) -> TextIO:
    """Open the file for appending after the row of this step."""
    rows = _rows_until(path, step) if step else []
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    with replacing(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path.open("a", newline="", encoding="utf-8")


def _rows_until(path: Path, step: int) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            columns, *rows = csv.reader(file)
            at = columns.index("step")
            return [row for row in rows if len(row) == len(columns) and row[at].isdigit() and int(row[at]) <= step]
    except (OSError, ValueError, UnicodeDecodeError, csv.Error):
        return []  # the log is optional: continue without it


def _write(file: TextIO, columns: Sequence[str], numbers: Mapping[str, float]) -> None:
    csv.writer(file).writerow([_text(name, numbers[name]) for name in columns])


def _text(name: str, number: float) -> str:
    if name in ("step", "epoch", "damaged_clips"):
        return str(int(number))
    return f"{number:.2f}" if name == "minutes" else f"{number:.9g}"  # nine digits represent a float32 exactly


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import
    except ImportError as error:
        raise MissingExtraError("tensorboard", "train") from error
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
