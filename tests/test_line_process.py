"""Programs that answer in lines of JSON: every answer arrives, and none of them outlives or hangs its keeper."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakespan.line_process import LineProcess
from services import until

SERVED = "from fakespan.line_process import serve_lines; request, say = serve_lines()\n"

Start = Callable[[str], LineProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python program; all are killed in the end."""
    running: list[LineProcess] = []

    def started(program: str) -> LineProcess:
        running.append(LineProcess([sys.executable, "-c", program]))
        return running[-1]

    yield started
    for process in running:
        process.kill()


def test_requests_are_answered_in_turn_and_what_libraries_print_is_no_answer(start: Start) -> None:
    process = start(SERVED + "while True: n = request()['n']; print('{}'); say(twice=2 * n)")
    for n in (1, 2):
        process.ask({"n": n})
    assert [process.answer(30), process.answer(float("inf"))] == [{"twice": 2}, {"twice": 4}]


def test_lines_that_are_no_objects_are_left_out_and_long_ones_arrive_whole(start: Start) -> None:
    process = start(
        "print('loading'); print('[1]'); print('{\"a\": \"' + 3_000_000 * 'x' + '\"}', flush=True); input()"
    )
    assert len((process.answer(30) or {})["a"]) == 3_000_000


def test_no_answer_in_time_is_none_and_the_answer_may_still_come(start: Start) -> None:
    process = start(SERVED + "say(slow=request()['n'])")
    assert process.answer(0.01) is None
    process.ask({"n": 3})
    assert process.answer(30) == {"slow": 3}


def test_answers_arrive_among_thousands_of_open_files(start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2_000), hard))
    try:
        with contextlib.ExitStack() as files:
            while files.enter_context(Path(os.devnull).open("rb")).fileno() < 1_100:
                pass
            process = start(SERVED + "say(n=request()['n'])")
            process.ask({"n": 4})
            assert process.answer(30) == {"n": 4}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_end_of_a_program_is_told_with_its_own_exit_code(start: Start) -> None:
    process = start("import sys; sys.exit(7)")
    with pytest.raises(EOFError):
        process.answer(30)
    process.ask({"n": 1})  # nobody reads it
    assert not process.is_running
    assert process.kill() == 7


def test_a_program_ends_with_its_input_even_in_the_middle_of_a_request() -> None:
    program = SERVED + "request(); say(at='work')\nwhile True: pass"
    run = subprocess.run([sys.executable, "-c", program], input=b"{}\n", capture_output=True, timeout=60, check=False)
    assert run.returncode == 0


def test_children_are_killed_with_their_program(start: Start) -> None:
    child = "import time; print('up', flush=True); time.sleep(600)"
    process = start(
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print('{\"pid\": %d}' % child.pid, flush=True); input()"
    )
    pid = (process.answer(30) or {})["pid"]
    process.kill()
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
