"""Worker processes of the service: each request gets its own answer, whatever happened to the one before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakespan.line_process import LineProcess
from fakespan.serve import pool
from fakespan.serve.pool import Answer, Worker
from fakespan.serve.settings import Settings

SLOW = (
    "import time; from fakespan.line_process import serve_lines; request, say = serve_lines()\n"
    "request(); say(ready={})\n"
    "while True: path = request()['path']; say(progress=[0, 1]); time.sleep(1); say(scan={'file': path})\n"
)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """A worker whose process scans nothing and answers with the path, a second later."""
    monkeypatch.setattr(pool, "LineProcess", lambda _: LineProcess([sys.executable, "-c", SLOW]))
    started = Worker(Settings(data=str(tmp_path)))
    yield started
    started.stop()


def test_an_answer_that_was_not_waited_for_is_not_that_of_the_next_request(worker: Worker) -> None:
    def fail(*_: Any) -> str | None:
        raise OSError("the database is away")

    with pytest.raises(OSError, match="away"):
        worker.scan({"path": "a"}, fail)
    assert worker.scan({"path": "b"}, lambda *_: None) == Answer(scan={"file": "b"})
