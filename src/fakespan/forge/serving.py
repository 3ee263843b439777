"""Persistent external programs: one line of JSON per request, one line of JSON per answer.

A neural voice takes a second or more to load; once started, it answers in a fraction of that. The program reads
standard input to its end and then exits. Lines on standard output that are not JSON objects are ignored. An answer with
the key `error` means that the program could not process the request.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from fakespan.forge.programs import last_line, program_failed
from fakespan.line_process import LineProcess

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
        self._running: LineProcess | None = None
        self._stderr: IO[bytes] | None = None
        self._last_words = ""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer; a program that died is restarted once.

        Raises:
            DataError: it does not start, died twice, timed out, or answered with an error.
        """
        deadline = time.monotonic() + self.timeout_s
        answer = self._try(request, deadline) or self._try(request, deadline)
        if answer is None:
            raise program_failed(self.name, f"a program that exits without an answer ({self._last_words})")
        if "error" in answer:
            raise program_failed(self.name, str(answer["error"])[:200])
        return answer

    def close(self) -> None:
        """Terminate the program and its children."""
        if self._running is None:
            return
        self._running.finish(GRACE_S)
        self._bury(self._running)

    def __enter__(self) -> LineProgram:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _try(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any] | None:
        """Send one request, starting the program if necessary; None if it dies.

        Raises DataError at a time-out; the program is terminated, so that its answer is not taken for the next request.
        """
        running = self._started()
        running.ask(request)
        try:
            answer = running.answer(deadline - time.monotonic())
        except EOFError:
            self._bury(running)
            return None
        if answer is None:
            self._bury(running)
            raise program_failed(self.name, f"no result within {self.timeout_s:g} s")
        return answer

    def _started(self) -> LineProcess:
        if self._running is not None:
            return self._running
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the program
        try:
            self._running = LineProcess(self.command, stderr=stderr)
        except (OSError, ValueError) as error:
            stderr.close()
            raise program_failed(self.name, f"a program that cannot be started ({error})") from error
        self._stderr = stderr
        return self._running

    def _bury(self, running: LineProcess) -> None:
        """Clean up a program, whether it exited, died or hangs."""
        assert self._stderr is not None
        running.kill()
        self._last_words = last_line(self._stderr)
        self._stderr.close()
        self._running = None
