"""The process that scans: `python -m fakespan.serve.worker`. It reads requests and writes answers, as JSON lines.

    -> {"models": {"small": "small"}, "device": "auto"}          once
    <- {"ready": {"small": {"sha256": ..., "threshold": ...}}}
    -> {"path": ..., "model": "small", "options": {...}, "picture": ..., "closeups": ...}
    <- {"progress": [done_s, total_s]}, ...
    <- {"scan": {...}, "scan_s": 0.4}   or   {"reason": ..., "detail": ...}

A decoder that crashes or grows takes this process down and nothing else. It ends when its input does, even in the
middle of a scan: no scan outlives the service that asked for it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fakespan.errors import FakespanError
from fakespan.line_process import serve_lines
from fakespan.serve.problems import reason_of

__all__ = ["main"]

PROGRESS_S = 0.2  # least time between two reports


def main() -> None:
    """Serve requests until stdin ends."""
    request, say = serve_lines()
    setup = request()
    os.nice(int(setup.get("niceness", 0)))
    try:
        scanner = _Scanner(setup["models"], setup["device"], say)
    except FakespanError as error:
        say(failed=str(error))
        return
    say(ready=scanner.facts())
    while True:
        scanner.serve(request())


class _Scanner:
    """The loaded models, which stay warm."""

    def __init__(self, models: Mapping[str, str], device: str, say: Callable[..., None]) -> None:
        from fakespan.localizer import load_model, model_path, model_source  # noqa: PLC0415 - in this process only

        self._say = say
        self._localizers = {name: load_model(model, device) for name, model in models.items()}
        self._files = {name: model_source(model_path(model)) for name, model in models.items()}
        self._told = 0.0

    def facts(self) -> dict[str, dict[str, Any]]:
        """What is said about each model."""
        return {
            name: {"sha256": self._files[name].sha256, "threshold": localizer.post.threshold}
            for name, localizer in self._localizers.items()
        }

    def serve(self, request: Mapping[str, Any]) -> None:
        """Scan one file and answer."""
        from fakespan.serve.thumbnail import save_closeups, save_thumbnail  # noqa: PLC0415

        started, path = time.monotonic(), Path(request["path"])
        try:
            scan = self._localizers[request["model"]].scan(path, progress=self._progress, **request["options"])
            scan_s = time.monotonic() - started
            save_thumbnail(path, Path(request["picture"]))
            save_closeups(path, scan, Path(request["closeups"]))
        except Exception as error:
            reason, detail = reason_of(error)
            if reason == "internal":
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._say(reason=reason, detail=detail.replace(str(path), "the file"))
        else:
            self._say(scan=scan.to_dict(), scan_s=scan_s)

    def _progress(self, done: float, total: float, note: str = "") -> None:
        if time.monotonic() - self._told >= PROGRESS_S:
            self._told = time.monotonic()
            self._say(progress=[done, total])


if __name__ == "__main__":
    main()
