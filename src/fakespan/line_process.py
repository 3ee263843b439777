"""Programs that are asked and answer in lines of JSON, seen from both ends of the pipe.

A program of this kind is started once and asked often, so that what is slow to load is loaded once. It ends when its
input does: none outlives the process that asks. A fault in it takes nothing else down.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

__all__ = ["LineProcess", "serve_lines"]

Answer = dict[str, Any]
MOST_POLL_MS = 2**31 - 1  # 24 days, what the system takes


class LineProcess:
    """A running program: the end that asks. It has a session of its own, so that Ctrl-C is for its keeper alone.

    Args:
        command: its arguments; no shell is used.
        environment: its environment; None: that of this process.
        stderr: where its standard error goes; None: to that of this process.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, stderr: IO[bytes] | None = None
    ) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603 - no shell, arguments apart
            command, stdin=pipe, stdout=pipe, stderr=stderr, env=environment, bufsize=0, start_new_session=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._unread = b""
        self._ready = select.poll()  # `select` itself refuses the numbers of a process with 1,024 open files
        self._ready.register(self._answers, select.POLLIN)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send a request; whether the program is still there to read it, `answer` tells."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(request).encode("ascii") + b"\n")

    def answer(self, wait_s: float | None = None) -> Answer | None:
        """The next line that is a JSON object; None if there is none within `wait_s` seconds (default: no limit).

        Raises EOFError if the program's output has ended.
        """
        deadline = None if wait_s is None else time.monotonic() + wait_s
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                if (found := _object(line)) is not None:
                    return found
                continue
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._ready.poll(None if left_s is None else min(1000 * left_s, MOST_POLL_MS)):
                return None
            block = os.read(self._answers.fileno(), 1 << 20)
            if not block:
                with contextlib.suppress(subprocess.TimeoutExpired):  # so that `kill` finds its own exit code
                    self._process.wait(1.0)
                raise EOFError
            self._unread += block

    def finish(self, within_s: float) -> None:
        """End its input and wait so long for it to exit by itself."""
        with contextlib.suppress(OSError):
            self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)

    def break_off(self) -> None:
        """Kill it and its children while another thread waits for an answer: that one gets EOFError, and may `kill`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> int:
        """Kill it and its children, whether it exited, died or hangs; returns its exit code."""
        self.break_off()
        code = self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # an unread line
                pipe.close()
        return code


def serve_lines() -> tuple[Callable[[], Answer], Callable[..., None]]:
    """The end that answers: functions that wait for the next request, and that write an answer.

    Called once, first of all: from then on standard output belongs to the answers, and what libraries print goes to
    standard error. The process exits when its input ends, even in the middle of a request.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            requests.put(json.loads(line))
        os._exit(0)  # nobody waits for the answer in progress

    def say(**answer: Any) -> None:
        print(json.dumps(answer, allow_nan=False), file=answers, flush=True)

    threading.Thread(target=read, daemon=True).start()
    return requests.get, say


def _object(line: bytes) -> Answer | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
