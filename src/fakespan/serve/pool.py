"""Worker processes as the service sees them: started, asked, watched, and killed when they need too much."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakespan.errors import UsageError
from fakespan.line_process import LineProcess
from fakespan.serve.settings import Settings

__all__ = ["Answer", "Pool", "Worker"]

LOOK_S = 0.2  # time between two looks at a working process
START_S = 300.0  # a worker that needs longer to load its models has failed

Watch = Callable[[float, float], str | None]
"""Called with the seconds done and the seconds in total; a reason stops the scan."""


@dataclass(frozen=True)
class Answer:
    """What came of a request: a scan, or a reason and a detail."""

    scan: Mapping[str, Any] | None = None
    scan_s: float | None = None
    reason: str | None = None
    detail: str = ""


class Worker:
    """One process. It is started at once and asked later; after a kill or a crash a new process takes its place."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._facts: Mapping[str, Any] | None = None
        self._start()

    @property
    def pid(self) -> int:
        """Of the present process."""
        return self._process.pid

    def facts(self) -> Mapping[str, Any]:
        """What the process says of its models; waits until they are loaded. Raises UsageError if they are not."""
        if self._facts is None:
            answer = self._next(START_S)
            if not answer or "ready" not in answer:
                silence = "a process that ended" if answer is None else f"none in {START_S:g} s"
                got = (answer or {}).get("failed", silence)
                self.stop()
                raise UsageError("models", expected="models that load", got=got, remedy="change the setting models")
            self._facts = answer["ready"]
        return self._facts

    def scan(self, request: Mapping[str, Any], watch: Watch) -> Answer:
        """Scan one file. The process is replaced if it dies, or if it must be stopped, also by an error of `watch`."""
        if not self._process.is_running:  # it died of something else
            self.stop()
            self._start()
        try:
            self.facts()
        except UsageError:
            return self._replaced("crashed")
        self._process.ask(request)
        try:
            return self._watched(watch)
        except BaseException:  # or the next request would get the answer to this one
            self._replaced("crashed")
            raise

    def stop(self) -> None:
        """Kill the process and wait for its end."""
        self._process.kill()

    def _watched(self, watch: Watch) -> Answer:
        """What comes of the request in progress."""
        deadline = time.monotonic() + self._settings.time_limit_s
        done, total = 0.0, 0.0
        while True:
            answer = self._next(LOOK_S)
            if answer is None:
                return self._replaced("crashed")
            if "progress" in answer:
                done, total = answer["progress"]
            elif answer:
                return Answer(**answer)
            if reason := watch(done, total):
                return self._replaced(reason)
            if excess := self._excess(deadline):
                return self._replaced(*excess)

    def _start(self) -> None:
        self._process, self._facts = LineProcess([sys.executable, "-m", "fakespan.serve.worker"]), None
        models = self._settings.model_names
        self._process.ask({"models": models, "device": self._settings.device, "niceness": self._settings.niceness})

    def _replaced(self, reason: str, detail: str = "") -> Answer:
        self.stop()
        if reason != "stopping":
            self._start()
        return Answer(reason=reason, detail=detail)

    def _excess(self, deadline: float) -> tuple[str, str] | None:
        if time.monotonic() > deadline:
            return "time_limit", f"expected at most {self._settings.time_limit_s:g} s"
        if (used_mb := _memory_mb(self.pid)) > self._settings.memory_mb:
            return "out_of_memory", f"expected at most {self._settings.memory_mb} MB, got {used_mb:.0f} MB"
        return None

    def _next(self, wait_s: float) -> dict[str, Any] | None:
        """The next answer; {} if there is none in that time, None if the process has ended."""
        try:
            return self._process.answer(wait_s) or {}
        except EOFError:
            return None


class Pool:
    """The workers of this machine, each of which scans one file at a time."""

    def __init__(self, settings: Settings) -> None:
        self._workers = [Worker(settings) for _ in range(settings.scans_at_once)]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        try:
            self.models = self._workers[0].facts()
        except UsageError:
            self.stop()
            raise

    @contextlib.contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker that nobody else uses meanwhile; waits for one."""
        worker = self._free.get()
        try:
            yield worker
        finally:
            self._free.put(worker)

    def pids(self) -> list[int]:
        """Of the processes."""
        return [worker.pid for worker in self._workers]

    def stop(self) -> None:
        """Kill all processes."""
        for worker in self._workers:
            worker.stop()


def _memory_mb(pid: int) -> float:
    """Resident memory of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
