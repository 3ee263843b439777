"""Programs of the user's own (plug-ins) and of the system: run safely, and what went wrong in one line.

A plug-in is a command line with places in braces, like `my-tts --say {text} --to {out}`. It is split into arguments
before the places are filled, and no shell is called: what is filled in stays one argument and is not looked at again.
The program must end with exit code 0; what it prints is thrown away, but the last line on stderr is told when it fails.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import IO

from fakespan.errors import DataError, UsageError

__all__ = ["fill_template", "last_line", "program_failed", "run_program", "split_template"]


def split_template(command: str, needed: Sequence[Sequence[str]]) -> list[str]:
    """The arguments of a template, not yet filled.

    >>> split_template("say '{text} now' {out}", [("out",), ("text", "text_file")])
    ['say', '{text} now', '{out}']

    Args:
        command: the template.
        needed: places that must be in it, one of each group.

    Raises:
        UsageError: it cannot be split, or a place is missing.
    """
    groups = [" or ".join(f"{{{place}}}" for place in group) for group in needed]
    wanted = f"a program with the places {', '.join(groups)}"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"plug-in {command!r}", expected=wanted, got=str(error), remedy="mend its quotes") from error
    found = {place for word in words[1:] for place in re.findall(r"\{(\w+)\}", word)}
    for group, names in zip(needed, groups, strict=True):
        if not found & set(group):
            raise UsageError(f"plug-in {command!r}", expected=wanted, got=f"none for {names}", remedy="add it")
    return words


def fill_template(words: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """The arguments with their places filled, each once; braces that name no place are left.

    >>> fill_template(["say", "{text}!", "{size}"], {"text": "{out}; rm", "out": "x"})
    ['say', '{out}; rm!', '{size}']
    """
    return [re.sub(r"\{(\w+)\}", lambda m: places.get(m[1], m[0]), word) for word in words]


def run_program(command: Sequence[str], name: str, timeout_s: float) -> None:
    """Runs a program to its end, in a session of its own, so that a time-out ends its children too.

    Raises:
        DataError: it is not there, failed or took too long; gives its name and its last line on stderr.
    """
    with tempfile.TemporaryFile() as stderr:
        try:
            running = subprocess.Popen(  # noqa: S603 - no shell, arguments apart
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise program_failed(name, f"no program that starts ({error})") from error
        try:
            code = running.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise program_failed(name, f"nothing within {timeout_s:g} s") from error
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        if code:
            raise program_failed(name, f"exit code {code} ({last_line(stderr)})")


def program_failed(name: str, got: str) -> DataError:
    """The error of a program that gave something else than its result."""
    return DataError(name, expected="a result", got=got, remedy="try the command by hand")


def last_line(stderr: IO[bytes]) -> str:
    """The last line of what a program told on stderr, that says something."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4000))
    lines = stderr.read().decode(errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "no message")
