"""A PostgreSQL server of the tests' own: an ordinary user's, on a socket in a folder that is removed afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPTIONS = "-c listen_addresses= -c fsync=off -c shared_buffers=16MB -c max_connections=60"


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them out of the PATH."""
    found = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)]
    path = next((path for path in found if path), None)
    assert path, f"expected the program {name}, got none; install it with: apt install postgresql"
    return path


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start a server; yields the URL of its database."""
    folder = Path(tempfile.mkdtemp(prefix="fakespan-pg-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to be run by root
        user = {"user": "nobody", "cwd": "/"}
        shutil.chown(folder, "nobody")
    data, log = folder / "data", folder / "log"
    _run(user, program("initdb"), "-D", data, "-U", "tests", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
    _run(user, program("pg_ctl"), "-D", data, "-l", log, "-w", "-o", f"{OPTIONS} -k {folder}", "start")
    try:
        yield f"postgresql://tests@/postgres?host={folder}"
    finally:
        _run(user, program("pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _run(user: dict[str, Any], *command: object) -> None:
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, **user)
