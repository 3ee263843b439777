"""Running services for tests: in this process on a free port, or as the command in a process of its own."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from fakespan.serve.app import create_app
from fakespan.serve.schema import describe
from fakespan.serve.server import server_config
from fakespan.serve.service import Service
from fakespan.serve.settings import Settings
from fakespan.serve.store import Store

SAMPLE = Path(__file__).parents[1] / "src" / "fakespan" / "samples" / "sample.mp4"
PATIENCE_S = 180.0  # a condition that is not met by then is not met at all


class Running:
    """A service that answers, with a client for it."""

    def __init__(self, service: Service, address: str) -> None:
        self.service, self.address = service, address
        self.http = httpx.Client(base_url=address, timeout=PATIENCE_S)

    def submit(self, content: bytes | None = None, name: str = "sample.mp4", **fields: Any) -> httpx.Response:
        """Post a file as a job; by default the bundled sample."""
        return submit(self.http, content, name, **fields)

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until the job has ended."""
        return ended(self.http, job_id)


@contextlib.contextmanager
def running(data: Path, **settings: Any) -> Iterator[Running]:
    """A service in this process. Only one may be open in a process at a time, which is how dbos works."""
    service = Service(Settings(port=0, data=str(data), niceness=0, **settings), describe)
    service.open()
    try:
        with _listening(service) as found:
            yield found
    finally:
        service.close()


@contextlib.contextmanager
def variant(served: Running, **changes: Any) -> Iterator[Running]:
    """The API of a running service a second time, with other settings: limits, tokens, allowed hosts."""
    service = copy.copy(served.service)
    service.settings = settings = dataclasses.replace(service.settings, **changes)
    service.store = Store(
        settings.folder,
        quota_bytes=settings.quota_gb * 1e9,
        min_free_bytes=settings.min_free_gb * 1e9,
        max_file_bytes=settings.max_upload_bytes,
    )
    with _listening(service) as found:
        yield found


@contextlib.contextmanager
def _listening(service: Service) -> Iterator[Running]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    app = create_app(service)
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started)
        found = Running(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield found
        found.http.close()
    finally:
        app.state.hub.close()
        server.should_exit = True
        thread.join()
        listener.close()


class Process:
    """`fakespan serve` in a process of its own."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        command = [sys.executable, "-m", "fakespan", "serve", "--port", "0", *map(str, arguments)]
        self._log: list[str] = []
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "FAKESPAN_SERVE_NICENESS": "0", **environment},
        )
        self.address = self._address()
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()
        self.http = httpx.Client(base_url=self.address, timeout=PATIENCE_S)

    @property
    def log(self) -> str:
        """What it printed."""
        return "".join(self._log)

    def kill(self, *stopped: int) -> None:
        """End it as a power cut would, and then processes below it that were stopped and cannot end by themselves."""
        self._end(self.process.kill, stopped)

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self._end(self.process.terminate, ())

    def _end(self, how: Callable[[], None], stopped: Iterable[int]) -> None:
        how()
        self.process.wait(PATIENCE_S)
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
        self._reader.join(PATIENCE_S)
        self.http.close()

    def _address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._log.append(line)
            if found := re.search(r"serves at (http://\S+:\d+)", line):
                return found[1]
        self.process.stdout.close()
        self.process.wait(PATIENCE_S)
        raise AssertionError(self.log)

    def _drain(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            self._log += lines


def submit(http: httpx.Client, content: bytes | None = None, name: str = "sample.mp4", **fields: Any) -> httpx.Response:
    """Post a file as a job; by default the bundled sample."""
    headers = {"prefer": fields.pop("prefer")} if "prefer" in fields else {}
    file = SAMPLE.read_bytes() if content is None else content
    data = {key: str(value) for key, value in fields.items()}
    return http.post("/v1/jobs", files={"file": (name, file)}, data=data, headers=headers)


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait until the job has ended."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        return job if job["state"] in ("done", "failed", "cancelled") else None

    return until(look)


def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait until the condition holds; what it returned."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
    return value


def children_of(pid: int) -> list[int]:
    """The child processes of a process, whichever of its threads started them."""
    lists = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in lists for child in children.split()]


def files_below(folder: Path) -> set[str]:
    """The stored files of a service: uploads, results, and what is being received."""
    parts = ("uploads", "results", "incoming", "resumable")
    return {str(path.relative_to(folder)) for part in parts for path in (folder / part).rglob("*") if path.is_file()}
