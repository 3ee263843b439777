"""The process that scans for a `Worker`: `python -m fakespan.bulk.child`. Requests and answers are lines of JSON.

    -> {"model": "small", "device": "auto", "options": {...}, "threads": 1, "backend": "auto"}    once
    <- {"ready": true}
    -> {"path": ...}
    <- {"scan": {...}}   or   {"error": {"kind": "MediaError", "subject", "expected", "got", "remedy"}}

It ends when its input does, even in the middle of a scan.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import IO, Any

from fakespan.errors import FakespanError, InputError

__all__ = ["main"]


def main() -> None:
    """Serve requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints is no answer
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin, requests), daemon=True).start()
    setup = requests.get()
    try:
        localizer = _load(setup)
    except FakespanError as error:
        _say(answers, error=_parts(error))
        return
    _say(answers, ready=True)
    while True:
        path = requests.get()["path"]
        try:
            _say(answers, scan=localizer.scan(path, **setup["options"]).to_dict())
        except Exception as error:
            _say(answers, error=_parts(error if isinstance(error, FakespanError) else _unforeseen(path, error)))


def _load(setup: dict[str, Any]) -> Any:
    import cv2  # noqa: PLC0415 - these are in this process only

    from fakespan.localizer import load_model  # noqa: PLC0415

    cv2.setNumThreads(setup["threads"])
    localizer = load_model(setup["model"], setup["device"], setup["backend"])
    localizer.decoder_threads = setup["threads"]
    return localizer


def _unforeseen(path: str, error: Exception) -> FakespanError:
    got, remedy = (
        f"{type(error).__name__}: {error}",
        "please report this with the output of: fakespan scan FILE --debug",
    )
    return InputError(path, expected="a usable file", got=got, remedy=remedy)


def _parts(error: FakespanError) -> dict[str, str]:
    names = ("subject", "expected", "got", "remedy")
    return {"kind": type(error).__name__, **{name: str(getattr(error, name)) for name in names}}


def _say(answers: IO[str], **answer: Any) -> None:
    print(json.dumps(answer, allow_nan=False), file=answers, flush=True)


def _read(source: IO[str], requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in source:
        requests.put(json.loads(line))
    os._exit(0)  # nobody waits for the scan in progress


if __name__ == "__main__":
    main()
