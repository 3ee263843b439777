"""Debian packages as files: fetched with apt and unpacked, never installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from fakespan.errors import DataError

__all__ = ["fetch", "unpack"]

_REMEDY = "install apt and dpkg, or run `apt-get update`; the package is skipped"


def fetch(name: str, cache: Path) -> Path:
    """The .deb of a package, downloaded into `cache` unless it lies there.

    Raises:
        DataError: there is no such package, or no apt.
    """
    if held := _held(name, cache):
        return held
    beside = cache / f".{name}.{os.getpid()}"
    beside.mkdir(parents=True, exist_ok=True)
    try:
        _run(["apt-get", "-q", "download", name], beside, name)
        fetched = _held(name, beside)
        if fetched is None:
            raise DataError(name, expected="a .deb file", got="none from apt", remedy=_REMEDY)
        return fetched.replace(cache / fetched.name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def unpack(deb: Path, folder: Path) -> Path:
    """The tree of a .deb below `folder`, which is emptied first.

    Raises:
        DataError: it cannot be unpacked.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(["dpkg-deb", "-x", str(deb.resolve()), str(folder.resolve())], folder, deb.name)
    return folder


def _held(name: str, folder: Path) -> Path | None:
    return max(folder.glob(f"{name}_*.deb"), default=None)


def _run(command: list[str], folder: Path, subject: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise DataError(subject, expected=f"the program {command[0]}", got=str(error), remedy=_REMEDY) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise DataError(subject, expected=f"{command[0]} to succeed", got=said, remedy=_REMEDY)
