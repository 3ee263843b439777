"""The process that scans: `python -m fakespan.serve.worker`. It reads requests and writes answers, as JSON lines.

    -> {"models": {"small": "small"}, "device": "auto"}          once
    <- {"ready": {"small": {"sha256": ..., "threshold": ...}}}
    -> {"path": ..., "model": "small", "options": {...}, "picture": ...}
    <- {"progress": [done_s, total_s]}, ...
    <- {"scan": {...}, "scan_s": 0.4}   or   {"reason": ..., "detail": ...}

A decoder that crashes or grows takes this process down and nothing else. It ends when its input does, even in the
middle of a scan: no scan outlives the service that asked for it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from fakespan.errors import FakespanError
from fakespan.serve.problems import reason_of

__all__ = ["main"]

PROGRESS_S = 0.2  # least time between two reports


def main() -> None:
    """Serve requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, requests), daemon=True).start()
    setup = requests.get()
    os.nice(int(setup.get("niceness", 0)))
    try:
        scanner = _Scanner(setup["models"], setup["device"], answers)
    except FakespanError as error:
        print(json.dumps({"failed": str(error)}), file=answers, flush=True)
        return
    scanner.say(ready=scanner.facts())
    while True:
        scanner.serve(requests.get())


class _Scanner:
    """The loaded models, which stay warm."""

    def __init__(self, models: Mapping[str, str], device: str, answers: IO[str]) -> None:
        from fakespan.localizer import load_model  # noqa: PLC0415 - torch, in this process only

        self._answers = answers
        self._localizers = {name: load_model(model, device) for name, model in models.items()}
        self._told = 0.0

    def facts(self) -> dict[str, dict[str, Any]]:
        """What is said about each model."""
        from fakespan.models.digest import weights_digest  # noqa: PLC0415

        return {
            name: {"sha256": weights_digest(localizer.network.state_dict()), "threshold": localizer.post.threshold}
            for name, localizer in self._localizers.items()
        }

    def serve(self, request: Mapping[str, Any]) -> None:
        """Scan one file and answer."""
        from fakespan.serve.thumbnail import save_thumbnail  # noqa: PLC0415

        started, path = time.monotonic(), Path(request["path"])
        try:
            scan = self._localizers[request["model"]].scan(path, progress=self._progress, **request["options"])
            scan_s = time.monotonic() - started
            save_thumbnail(path, Path(request["picture"]))
        except Exception as error:
            reason, detail = reason_of(error)
            if reason == "internal":
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.say(reason=reason, detail=detail.replace(str(path), "the file"))
        else:
            self.say(scan=scan.to_dict(), scan_s=scan_s)

    def say(self, **answer: Any) -> None:
        """Write one line."""
        print(json.dumps(answer, allow_nan=False), file=self._answers, flush=True)

    def _progress(self, done: float, total: float, note: str = "") -> None:
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            self.say(progress=[done, total])


def _read(source: IO[str], requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in source:
        requests.put(json.loads(line))
    os._exit(0)  # the service is gone; a scan in progress is of no use to anybody


if __name__ == "__main__":
    main()
