"""A worker: a process with a loaded model, and its keeper, which replaces it when a file kills it.

Contract: `Worker.scan` always ends with a scan or an error. A file that kills the process, for instance by a fault in a
decoder or because memory runs out, is tried once more in a new process, and then is an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakespan.errors
from fakespan.config import Backend
from fakespan.errors import FakespanError, InputError, MediaError, UsageError
from fakespan.line_process import LineProcess
from fakespan.types import Scan

__all__ = ["Setup", "Worker", "error_of"]

_TRIES = 2


@dataclass(frozen=True)
class Setup:
    """What every scan of a run has in common."""

    model: str = "small"
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)  # of Localizer.scan
    threads: int = 1  # of the network and of the pictures
    backend: Backend = "auto"  # see `load_model`
    program: tuple[str, ...] = ("-m", "fakespan.bulk.child")  # arguments of Python

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"expected at least one thread, got {self.threads}")


class Worker:
    """One process at a time, from `start` to `stop`."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._process: LineProcess | None = None
        self._code = 0  # of the latest process that ended
        self._is_stopped = False
        self._in_use = threading.Lock()

    def start(self) -> None:
        """Start the process, if there is none, and wait until its model is loaded.

        Raises:
            FakespanError: the model cannot be loaded.
        """
        with self._in_use:
            is_ready = self._is_ready()
        if not is_ready:
            got = f"one that ended while it loaded the model ({self._end()})"
            raise UsageError("worker", expected="a process that scans", got=got, remedy="give it more memory")

    def scan(self, path: Path) -> Scan:
        """Scan one file. Raises InputError or UsageError if it cannot be scanned."""
        for _ in range(_TRIES):
            with self._in_use:
                answer = self._ask({"path": str(path)}) if self._is_ready() else None
            if answer is not None:
                return _scan_of(answer)
        raise MediaError(
            path,
            expected="a file that can be scanned",
            got=f"one that ended the worker process {_TRIES} times ({self._end()})",
            remedy="nothing was recorded for it; to see why, scan it alone",
        )

    def stop(self) -> None:
        """Kill the process, even while another thread scans, and wait for its end; there will be no other."""
        self._is_stopped = True
        if (process := self._process) is not None:
            process.break_off()
        with self._in_use:
            self._kill()

    def _kill(self) -> None:
        if self._process is None:
            return
        self._code = self._process.kill()
        self._process = None

    def _is_ready(self) -> bool:
        """Whether there is a process with a loaded model; one is started if there is none."""
        if self._process is not None and self._process.is_running:
            return True
        self._kill()
        if self._is_stopped:
            return False
        threads = str(self.setup.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUTF8": "1"}
        self._process = LineProcess([sys.executable, *self.setup.program], environment=environment)
        if self._is_stopped:  # meanwhile
            self._process.break_off()
        answer = self._ask({**dataclasses.asdict(self.setup), "options": dict(self.setup.options)})
        if answer and "error" in answer:
            raise error_of(answer["error"])
        return answer is not None

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer; None if the process ended instead."""
        assert self._process is not None
        self._process.ask(request)
        try:
            return self._process.answer()
        except EOFError:
            self._kill()
            return None

    def _end(self) -> str:
        """How the process ended."""
        with contextlib.suppress(ValueError):
            return signal.Signals(-self._code).name
        return f"exit code {self._code}"


def error_of(parts: Mapping[str, str]) -> FakespanError:
    """The error that a process described, see `child`."""
    known = (fakespan.errors.MediaError, fakespan.errors.CheckpointError, UsageError, InputError)
    kind = next((kind for kind in known if kind.__name__ == parts["kind"]), InputError)
    about = {name: parts[name] for name in ("expected", "got", "remedy")}
    return kind(parts["subject"], **about)


def _scan_of(answer: Mapping[str, Any]) -> Scan:
    if "error" in answer:
        raise error_of(answer["error"])
    return Scan.from_dict(answer["scan"])
