"""Run a command and keep in FOLDER/NAME how many minutes it took by the clock; an interrupted run counts, too.

    python tools/timed.py FOLDER NAME COMMAND [ARGUMENT ...]
    python tools/timed.py FOLDER

Without a command it prints what is kept in FOLDER. The exit status is the command's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KEPT_EVERY_S = 20.0


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) == 1:
        print(table(Path(arguments[0])))
        return 0
    if len(arguments) < 3:
        print("usage: timed.py FOLDER [NAME COMMAND ...]", file=sys.stderr)
        return 2
    return run(Path(arguments[0], arguments[1]), arguments[2:])


def run(file: Path, command: list[str]) -> int:
    """Run the command; its minutes are added to those in the file, and written every 20 seconds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    before, began = _minutes(file), time.monotonic()
    for number in (signal.SIGTERM, signal.SIGINT):  # so that the command is ended, too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    try:
        while True:
            try:
                status = process.wait(timeout=KEPT_EVERY_S)
                return status if status >= 0 else 128 - status  # as a shell tells of a signal
            except subprocess.TimeoutExpired:
                pass
            finally:
                _keep(file, before + (time.monotonic() - began) / 60)
    finally:
        process.terminate()
        process.wait()


def table(folder: Path) -> str:
    """A line for each step, and their sum."""
    steps = {
        file.name: _minutes(file) for file in sorted(folder.iterdir(), key=os.path.getmtime) if file.suffix != ".part"
    }
    lines = [f"{minutes:8.1f} min  {name}" for name, minutes in steps.items()]
    return "\n".join([*lines, f"{sum(steps.values()):8.1f} min  all steps, one after the other"])


def _minutes(file: Path) -> float:
    try:
        return float(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def _keep(file: Path, minutes: float) -> None:
    part = file.with_suffix(".part")
    part.write_text(f"{minutes:.2f}\n", encoding="utf-8")
    os.replace(part, file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
