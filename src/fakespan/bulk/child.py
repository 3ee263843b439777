"""The process that scans for a `Worker`: `python -m fakespan.bulk.child`. Requests and answers are lines of JSON.

    -> {"model": "small", "device": "auto", "options": {...}, "threads": 1, "backend": "auto"}    once
    <- {"ready": true}
    -> {"path": ...}
    <- {"scan": {...}}   or   {"error": {"kind": "MediaError", "subject", "expected", "got", "remedy"}}

It ends when its input does, even in the middle of a scan.
"""

from __future__ import annotations

from typing import Any

from fakespan.errors import FakespanError, InputError
from fakespan.line_process import serve_lines

__all__ = ["main"]


def main() -> None:
    """Serve requests until stdin ends."""
    request, say = serve_lines()
    setup = request()
    try:
        localizer = _load(setup)
    except FakespanError as error:
        say(error=_parts(error))
        return
    say(ready=True)
    while True:
        path = request()["path"]
        try:
            say(scan=localizer.scan(path, **setup["options"]).to_dict())
        except Exception as error:
            say(error=_parts(error if isinstance(error, FakespanError) else _unforeseen(path, error)))


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


if __name__ == "__main__":
    main()
