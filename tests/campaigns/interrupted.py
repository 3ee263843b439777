"""Runs commands that write, in order to disturb them, and compares what they leave with undisturbed runs.

A run is a child forked from a process that has imported what the commands import: it costs its own work alone.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

LEFTOVERS = ".fakespan-*.part"
PASSING = {"scanned_at", "seconds", "minutes", "predicted in this run"}  # keys and columns that differ from run to run
_INSTANT = re.compile(rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")  # when it was scanned
_SIGEV_SIGNAL, _TIMER_ABSTIME = 0, 1

Hook = Callable[[], None]


@dataclass(frozen=True)
class Command:
    """A command; it writes into the folder `out` of the folder in which it runs."""

    name: str
    arguments: tuple[str, ...]
    resume: tuple[str, ...] = ()  # added when it is run again
    not_compared: tuple[str, ...] = ()  # patterns of files that say when and how, not what


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int  # of the exit; negative: the signal
    errors: str  # what it printed to stderr

    @property
    def is_typed(self) -> bool:
        """Whether a run that failed said why, in one line for each failure, and nothing else but notes."""
        lines = self.errors.splitlines()
        told = bool(lines) and all(line.startswith("fakespan: ") for line in lines)
        return told and self.code in {1, 2} and not re.search("report this|standard output", self.errors)


def _nothing() -> None:
    """The hook of a run that is left alone."""


class Bench:
    """Commands, and what undisturbed runs of them gave.

    Args:
        folder: for these runs.
        commands: that are wanted.
    """

    def __init__(self, folder: Path, commands: Sequence[Command]) -> None:
        self.folder, self.commands = folder, tuple(commands)
        self.good: dict[str, dict[str, str]] = {}
        self.cpu_s: dict[str, float] = {}
        self.sizes: dict[str, list[int]] = {}  # of the files, in bytes
        for command in self.commands:
            self._measure(command)

    def _measure(self, command: Command) -> None:
        """Import what the command imports; then its result and its duration."""
        place = self.folder / "undisturbed" / command.name
        note = self.folder / "note.txt"

        def after() -> None:
            note.write_text(" ".join([str(time.process_time()), *sys.modules]), encoding="utf-8")

        for _ in range(3):  # the second finds all modules imported, the third all files in the cache
            (fresh(place) / "out").mkdir()
            ended = run(command, place, after=after)
            assert (ended.code, ended.errors) == (0, ""), f"{command.name}: {ended}"
            cpu_s, *modules = note.read_text(encoding="utf-8").split()
            _import_all(modules)
        self.good[command.name], self.cpu_s[command.name] = content(command, place / "out"), float(cpu_s)
        self.sizes[command.name] = [path.stat().st_size for path in files_in(place / "out")]


def _import_all(names: list[str]) -> None:
    for name in sorted(set(names) - set(sys.modules)):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def run(
    command: Command, place: Path, *, again: bool = False, before: Hook = _nothing, after: Hook = _nothing
) -> Ended:
    """Run a command in a folder.

    Args:
        command: what to run.
        place: the folder.
        again: with what is added when it is run again.
        before: called in the child before the command.
        after: called in the child after it.
    """
    sys.stdout.flush()
    ours, theirs = os.pipe()  # a file for stderr would be limited, too
    child = os.fork()
    if child == 0:
        _become([*command.arguments, *(command.resume if again else ())], place, theirs, before, after)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8", errors="replace") as told:
        errors = told.read()
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), errors)


def _become(arguments: list[str], place: Path, stderr: int, before: Hook, after: Hook) -> NoReturn:
    """The rest of the child's life."""
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(stderr, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        before()
        code = _called(arguments)
        after()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _called(arguments: list[str]) -> int:
    """The exit code of the command."""
    from fakespan import cli

    sys.argv = ["fakespan", *arguments]
    try:
        cli.main()
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def kill_after(cpu_s: float) -> None:
    """Have the kernel send SIGKILL to this process when it has used so much CPU time, however busy the machine is.

    `setitimer` has no choice of the signal, so this is `timer_create` of the C library.
    """
    libc, timer, now_s = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p(), time.process_time()
    event = struct.pack("@qii48x", 0, signal.SIGKILL, _SIGEV_SIGNAL)
    whole, part = divmod(now_s + max(cpu_s, 1e-6), 1)
    times = struct.pack("@4q", 0, 0, int(whole), int(part * 1e9))
    assert libc.timer_create(time.CLOCK_PROCESS_CPUTIME_ID, event, ctypes.byref(timer)) == 0
    assert libc.timer_settime(timer, _TIMER_ABSTIME, times, None) == 0


def call_after(cpu_s: float, work: Hook) -> None:
    """Have this process do that when it has used so much CPU time."""
    signal.signal(signal.SIGPROF, lambda number, frame: work())
    signal.setitimer(signal.ITIMER_PROF, max(cpu_s, 1e-6))


def files_in(folder: Path) -> Iterator[Path]:
    """All files below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def leftovers(folder: Path) -> list[str]:
    """Temporary files of atomic replacements that were interrupted."""
    return [path.name for path in folder.rglob(LEFTOVERS)]


def content(command: Command, out: Path) -> dict[str, str]:
    """What the files of a result say: name -> digest, without times and without leftovers."""
    found = {}
    for path in files_in(out):
        name = path.relative_to(out)
        if not any(name.match(pattern) for pattern in (*command.not_compared, LEFTOVERS)):
            found[name.as_posix()] = hashlib.sha256(_lasting(path)).hexdigest()[:16]
    return found


def _lasting(path: Path) -> bytes:
    """The content of a file without the times in it."""
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            return json.dumps(_without_times(json.loads(path.read_bytes()))).encode()
    if path.suffix == ".csv":
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        lasting = [k for k, name in enumerate(rows[0] if rows else ()) if name not in PASSING]
        return json.dumps([[row[k] for k in lasting if k < len(row)] for row in rows]).encode()
    return _INSTANT.sub(b"", path.read_bytes()) if path.suffix == ".html" else path.read_bytes()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in PASSING}
    return [_without_times(inner) for inner in value] if isinstance(value, list) else value


def differing(good: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Names of files that one has and the other has not, or that differ."""
    return sorted(name for name in good.keys() | found.keys() if good.get(name) != found.get(name))
