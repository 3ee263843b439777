"""Persistent external programs: one line of JSON per request, one line of JSON per answer.

A neural voice takes a second or more to load; once started, it answers in a fraction of that. The program reads
standard input to its end and then exits. Lines on standard output that are not JSON objects are ignored. An answer with
the key `error` means that the program could not process the request.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from fakespan.forge.programs import last_line, program_failed

__all__ = ["LineProgram"]

GRACE_S = 2.0  # time to exit after the end of its input


class LineProgram:
    """A persistent program: started by the first request, restarted if it died, terminated by `close`.

    Args:
        command: its arguments; no shell is used.
        name: its name in messages.
        timeout_s: time limit per answer; the first includes loading.
    """

    def __init__(self, command: Sequence[str], name: str, timeout_s: float) -> None:
        self.command, self.name, self.timeout_s = list(command), name, timeout_s
        self._running: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._last_words = ""
        self._unread = b""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer; a program that died is restarted once.

        Raises:
            DataError: it does not start, died twice, timed out, or answered with an error.
        """
        line = json.dumps(request).encode() + b"\n"
        deadline = time.monotonic() + self.timeout_s
        answer = self._try(line, deadline) or self._try(line, deadline)
        if answer is None:
            raise program_failed(self.name, f"a program that exits without an answer ({self._last_words})")
        if "error" in answer:
            raise program_failed(self.name, str(answer["error"])[:200])
        return answer

    def close(self) -> None:
        """Terminate the program and its children."""
        if self._running is None:
            return
        assert self._running.stdin is not None
        with contextlib.suppress(OSError):
            self._running.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._running.wait(GRACE_S)
        self._bury(self._running)

    def __enter__(self) -> LineProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _try(self, line: bytes, deadline: float) -> dict[str, Any] | None:
        """Send one request, starting the program if necessary; None if it dies."""
        running = self._started()
        assert running.stdin is not None
        try:
            running.stdin.write(line)
            running.stdin.flush()
            return self._next_answer(running, deadline)
        except (BrokenPipeError, EOFError):
            self._bury(running)
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is not None:
            return self._running
        stderr, pipe = tempfile.TemporaryFile(), subprocess.PIPE  # noqa: SIM115 - it lives as long as the program
        try:
            self._running = subprocess.Popen(  # noqa: S603 - no shell, arguments apart
                self.command, stdin=pipe, stdout=pipe, stderr=stderr, start_new_session=True
            )
        except (OSError, ValueError) as error:
            stderr.close()
            raise program_failed(self.name, f"a program that cannot be started ({error})") from error
        self._stderr, self._unread = stderr, b""
        return self._running

    def _next_answer(self, running: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        """The next line that is a JSON object.

        Raises:
            EOFError: the program's output ended.
            DataError: time-out; the program is terminated, so that its answer is not taken for the next request.
        """
        assert running.stdout is not None
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                answer = _object(line)
                if answer is not None:
                    return answer
                continue
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([running.stdout], [], [], left_s)[0]:
                self._bury(running)
                raise program_failed(self.name, f"no result within {self.timeout_s:g} s")
            chunk = os.read(running.stdout.fileno(), 65_536)
            if not chunk:
                raise EOFError
            self._unread += chunk

    def _bury(self, running: subprocess.Popen[bytes]) -> None:
        """Clean up a program, whether it exited, died or hangs."""
        assert running.stdin is not None
        assert running.stdout is not None
        assert self._stderr is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)  # also its children, even if it exited by itself
        running.wait()
        self._last_words = last_line(self._stderr)
        for file in (running.stdin, running.stdout, self._stderr):
            with contextlib.suppress(OSError):  # an unread line
                file.close()
        self._running = None


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
