"""Communication between training processes: sums, and common failure. No-ops for a single process.

Contract: every process calls the same function at the same point and waits there for the others.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from fakespan.train.trouble import Trouble

__all__ = ["agreed", "end_together", "summed"]


def summed(trainer: Trainer, values: Tensor, device: torch.device) -> Tensor:
    """The sum of the values over all processes."""
    if trainer.world_size == 1:
        return values
    return torch.as_tensor(trainer.strategy.reduce(values.to(device, torch.float32), reduce_op="sum"))


def agreed(trainer: Trainer, trouble: Trouble | None, device: torch.device) -> Trouble | None:
    """The trouble of the first process that has any, so that no process waits for another forever."""
    if trainer.world_size == 1 or not float(summed(trainer, torch.tensor([float(trouble is not None)]), device)):
        return trouble
    everyone: list[Trouble | None] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyone, trouble)
    return next(one for one in everyone if one is not None)


def end_together(trainer: Trainer) -> None:
    """Let SIGTERM end this process and its children at once: saved states are always complete.

    Lightning would let terminating processes wait for each other for half an hour.
    """
    if trainer.world_size == 1 or threading.current_thread() is not threading.main_thread():
        return

    def end(signum: int, frame: object) -> None:
        launcher: Any = trainer.strategy.launcher
        if launcher is not None:
            launcher.kill(signal.SIGKILL)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    signal.signal(signal.SIGTERM, end)
