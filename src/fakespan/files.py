"""Files that others may read meanwhile: replaced whole or not at all, written by one process at a time."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from fakespan.errors import UsageError

__all__ = ["differences", "replacing", "try_lock", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new path beside `path` to write to. When the block ends, that file takes the place of `path` in one step.

    When the block fails, the new file is removed and `path` stays as it was. Errors of the system (OSError) are passed
    on.
    """
    part = path.with_name(f".fakespan-{secrets.token_hex(6)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_text(path: Path, text: str, sources: Iterable[str] = ()) -> None:
    """Write UTF-8 text, replacing a file that exists; on failure nothing is left.

    Args:
        path: the file to write.
        text: what to write; line ends stay as they are.
        sources: names of scanned files, which a report must not replace.

    Raises:
        UsageError: the path is a scanned file or a folder, or cannot be written.
    """
    path = Path(path)
    if any(_is_same_file(path, source) for source in sources):
        raise UsageError(
            path,
            expected="a new file for the report",
            got="the scanned file itself",
            remedy="choose another name, nothing was written",
        )
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(
            path,
            expected="a file that can be written",
            got=(error.strerror or str(error)).lower(),
            remedy="choose a folder that exists and may be written to",
        ) from error


def try_lock(file: IO[bytes]) -> bool:
    """Keep other processes from locking an open file until it is closed; False when one of them holds it already.

    On a system without such locks (Windows) nothing is kept from anybody, and the answer is True.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Settings that are not the same: name, value before, value now; None where one is missing.

    Values are compared as they come back from JSON; those of nested tables by their dotted names. The order is that of
    `now`, then what only `before` has.

    >>> differences({"model": {"name": "a", "rows": [1]}}, {"model": {"name": "b", "rows": (1,)}})
    [('model.name', 'a', 'b')]
    """
    there, here = _flat(before), _flat(now)
    return [(name, there.get(name), here.get(name)) for name in {**here, **there} if there.get(name) != here.get(name)]


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in json.loads(json.dumps(table)).items():
        flat |= {f"{key}.{inner}": v for inner, v in _flat(value).items()} if isinstance(value, dict) else {key: value}
    return flat


def _is_same_file(path: Path, source: str) -> bool:
    try:
        return path.samefile(source)
    except (OSError, ValueError):  # one of them is missing, or no path at all
        return False
