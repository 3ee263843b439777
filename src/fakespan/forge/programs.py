"""Runs external programs (plug-ins and system programs) safely, with one-line error messages.

A plug-in is a command line with placeholders in braces, like `my-tts --say {text} --to {out}`. It is split into
arguments before the placeholders are filled, and no shell is used: each value stays one argument and is not
interpreted. The program must exit with code 0; its output is discarded, except for the last line on stderr, which is
reported if it fails.
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
    """Split a template into arguments, with placeholders.

    >>> split_template("say '{text} now' {out}", [("out",), ("text", "text_file")])
    ['say', '{text} now', '{out}']

    Args:
        command: the template.
        needed: required placeholders, one of each group.

    Raises:
        UsageError: it cannot be split, or a placeholder is missing.
    """
    groups = [" or ".join(f"{{{place}}}" for place in group) for group in needed]
    expected = f"a program with the placeholders {', '.join(groups)}"
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"plug-in {command!r}", expected=expected, got=str(error), remedy="correct its quotes"
        ) from error
    found = {place for word in words[1:] for place in re.findall(r"\{(\w+)\}", word)}
    for group, names in zip(needed, groups, strict=True):
        if not found & set(group):
            raise UsageError(f"plug-in {command!r}", expected=expected, got=f"none for {names}", remedy="add it")
    return words


def fill_template(words: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """Fill the placeholders, each once; other braces are kept.

    >>> fill_template(["say", "{text}!", "{size}"], {"text": "{out}; rm", "out": "x"})
    ['say', '{out}; rm!', '{size}']
    """
    return [re.sub(r"\{(\w+)\}", lambda m: places.get(m[1], m[0]), word) for word in words]


def run_program(command: Sequence[str], name: str, timeout_s: float) -> None:
    """Run a program in its own session, so that a time-out also terminates its children.

    Raises:
        DataError: it was not found, failed or timed out; names the program and its last line on stderr.
    """
    with tempfile.TemporaryFile() as stderr:
        try:
            running = subprocess.Popen(  # noqa: S603 - no shell, arguments apart
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise program_failed(name, f"a program that cannot be started ({error})") from error
        try:
            code = running.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise program_failed(name, f"no result within {timeout_s:g} s") from error
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        if code:
            raise program_failed(name, f"exit code {code} ({last_line(stderr)})")


def program_failed(name: str, got: str) -> DataError:
    """The error for a program without a valid result."""
    return DataError(name, expected="a result", got=got, remedy="try the command by hand")


def last_line(stderr: IO[bytes]) -> str:
    """The last non-empty line on stderr."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4000))
    lines = stderr.read().decode(errors="replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "no message")
