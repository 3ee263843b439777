"""Atomic replacement and locking of files."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from fakespan.errors import DataError, UsageError

__all__ = [
    "decoded",
    "differences",
    "fingerprint",
    "locked",
    "replacing",
    "sweep",
    "told_of_disk",
    "try_lock",
    "unlock",
    "write_text",
    "writing",
]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; at the end of the block that file atomically replaces `path`.

    If the block fails, the temporary file is removed and `path` is unchanged. OSError is propagated; it names `path`.
    """
    part = path.with_name(f".fakespan-{secrets.token_hex(6)}.part")
    try:
        with contextlib.ExitStack() as held:
            if os.name == "posix":  # elsewhere an open file cannot be renamed
                try_lock(held.enter_context(part.open("xb")))  # for `sweep`; a killed process holds no locks
            yield part
            part.replace(path)
    except OSError as error:
        if error.filename in {None, str(part)}:
            with contextlib.suppress(AttributeError):  # errors of PyAV keep what they have
                error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def told_of_disk(folder: Path) -> Iterator[None]:
    """Convert errors of the system, while a resumable command writes into a folder, to DataError."""
    try:
        yield
    except OSError as error:
        got = str(error.strerror or error).lower()
        remedy = "free some space or use another --out; the same command resumes"
        raise DataError(folder, expected="a writable folder with free space", got=got, remedy=remedy) from error


def sweep(folder: Path, *, deep: bool = False) -> None:
    """Remove the temporary files of `replacing` that killed processes left in a folder; with `deep` also below it.

    Those of running processes stay, as do all where files cannot be locked.
    """
    name = ".fakespan-*.part"
    for part in folder.rglob(name) if deep else folder.glob(name):
        with contextlib.suppress(OSError), part.open("rb") as file:
            if _lock(file) == "ours":
                part.unlink()


def write_text(path: Path, text: str, sources: Iterable[str] = ()) -> None:
    """Write UTF-8 text as `writing` does; line ends are kept."""
    with writing(path, sources) as part:
        part.write_text(text, encoding="utf-8", newline="")


@contextlib.contextmanager
def writing(path: Path, sources: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a temporary path, as `replacing` does, for a report.

    Args:
        path: the file to write; an existing file is replaced.
        sources: names of scanned files, which must not be replaced.

    Raises:
        UsageError: the path is a scanned file or a folder, or cannot be written.
    """
    path = Path(path)
    if any(_is_same_file(path, source) for source in sources):
        raise UsageError(
            path,
            expected="a new file for the report",
            got="the scanned file itself",
            remedy="choose another name; nothing was written",
        )
    try:
        with replacing(path) as part:
            yield part
    except OSError as error:
        raise UsageError(
            path,
            expected="a file that can be written",
            got=(error.strerror or str(error)).lower(),
            remedy="choose a folder that exists and may be written to",
        ) from error


def decoded(content: bytes) -> str:
    """Text in UTF-8, UTF-16 or UTF-32, with a byte-order mark or without. Raises UnicodeDecodeError for anything else.

    >>> decoded("text".encode("utf-16")), decoded(b"text")
    ('text', 'text')
    """
    encoding = json.detect_encoding(content)  # of any text whose first characters are ASCII
    return content.decode(encoding).removeprefix("\ufeff")


def fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 (hexadecimal) of a file's content. OSError is propagated."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock during the block; waits while another process holds it.

    Without effect where folders cannot be locked (Windows, some network file systems). OSError is propagated.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False if another process holds the lock.

    Always True on systems (Windows) and file systems (some of networks) without such locks.
    """
    return _lock(file) != "held"


def unlock(file: IO[bytes]) -> None:
    """Release the lock of `try_lock`, even while a forked process has the same file open."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: IO[bytes]) -> Literal["ours", "held", "unknown"]:
    """Lock an open file, unless another process holds the lock; "unknown" where there are no locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return "unknown"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return "held" if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES) else "unknown"
    return "ours"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Differing settings: name, value before, value now; None for a missing value.

    Values are compared after a JSON round trip, nested tables by dotted names. The order is that of `now`, then keys
    that are only in `before`.

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
    except (OSError, ValueError):  # a missing file or an invalid path
        return False
