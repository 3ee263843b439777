"""Takes away the room or the permission to write while commands run; then runs them again with both.

    python tests/campaigns/disk.py --how full --moments 100 --seed 1 --commands scan train

`full`: the output folder is a tmpfs (root is needed) with less room than the result takes; `size`: no file may grow
beyond a size (RLIMIT_FSIZE; any user); `permission`: at a random moment the folders of the result become read-only,
which holds for root too. A run may then give its result, or a typed line for each failure; what it leaves must not keep
the next run from giving the result of an undisturbed one.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from campaigns.interrupted import Bench, Command, Ended, Hook, call_after, content, differing, fresh, leftovers, run
from campaigns.kill import half_written
from campaigns.tiny_commands import NAMES, tiny_commands
from ordinary_user import ordinary_user

PAGE = 4096  # bytes; what a tmpfs is counted in

Trouble = Callable[[Bench, Command, Path, random.Random], AbstractContextManager[tuple[Hook, Hook]]]
"""Makes the folder `out`; gives what the child calls before the command, and what is called to end the trouble."""


@contextlib.contextmanager
def full(bench: Bench, command: Command, out: Path, rng: random.Random) -> Iterator[tuple[Hook, Hook]]:
    """A disk with less room than the result takes, or a little more."""
    n_pages = rng.randrange(1, sum(-(-n // PAGE) for n in bench.sizes[command.name]) + 4)
    _mount("-t", "tmpfs", "-o", f"size={n_pages * PAGE}", "tmpfs", out)
    try:
        yield lambda: None, lambda: _mount("-o", "remount,size=64m", out)
    finally:
        subprocess.run(["umount", str(out)], check=True)


@contextlib.contextmanager
def size(bench: Bench, command: Command, out: Path, rng: random.Random) -> Iterator[tuple[Hook, Hook]]:
    """No file may have more bytes than this, which is about as many as a file of the result has."""
    largest = int(rng.choice(bench.sizes[command.name]) * rng.uniform(0, 1.1))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)), lambda: None


@contextlib.contextmanager
def permission(bench: Bench, command: Command, out: Path, rng: random.Random) -> Iterator[tuple[Hook, Hook]]:
    """All folders of the result become read-only at a moment."""
    moment_s = rng.uniform(0, bench.cpu_s[command.name])
    stack = contextlib.ExitStack()

    def before() -> None:
        stack.enter_context(ordinary_user())
        call_after(moment_s, functools.partial(_permit, out, 0o555))

    try:
        yield before, lambda: _permit(out, 0o755)
    finally:
        _permit(out, 0o755)


TROUBLES: dict[str, Trouble] = {"full": full, "size": size, "permission": permission}


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _permit(out: Path, mode: int) -> None:
    for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
        folder.chmod(mode)


def disturb(bench: Bench, command: Command, trouble: Trouble, rng: random.Random) -> tuple[str, list[str]]:
    """A run in trouble and one without: how the first ended, and what was wrong."""
    place = fresh(bench.folder / "disturbed" / command.name)
    out, good = place / "out", bench.good[command.name]
    out.mkdir()
    with trouble(bench, command, out, rng) as (before, mend):
        ended = run(command, place, before=before)
        there = content(command, out)
        faults = _faults(ended, differing(good, there)) + half_written(command, good, there)
        mend()
        if ended.code and trouble is not permission and leftovers(out):
            faults.append("a temporary file is left")
        again = run(command, place, again=True)
        if again.code or again.errors:
            faults.append(f"run again, ended with {again.code}: {again.errors[-300:]}")
        elif different := differing(good, content(command, out)):
            faults.append(f"run again, other files: {', '.join(different)}")
    return "done" if ended.code == 0 else "refused", faults


def _faults(ended: Ended, different: Sequence[str]) -> list[str]:
    """What is wrong with the end of a run."""
    if ended.code == 0 and (different or ended.errors):
        return [f"ended well: {ended.errors[-300:]} {', '.join(different)}"]
    if ended.code and not ended.is_typed:
        return [f"ended with {ended.code}: {ended.errors[-1500:]}"]
    return []


def campaign(bench: Bench, how: str, n_moments: int, seed: int) -> int:
    """Run every command so often in that trouble and print what came of it; the number of faults."""
    n_faults = 0
    for command in bench.commands:
        ends, start_s = Counter[str](), time.monotonic()
        for number in range(n_moments):
            rng = random.Random(f"{seed} {how} {command.name} {number}")
            end, faults = disturb(bench, command, TROUBLES[how], rng)
            ends[end], n_faults = ends[end] + 1, n_faults + len(faults)
            for fault in faults:
                print(f"  {command.name}, moment {number}: {fault}", flush=True)
        print(f"{command.name}: {n_moments} x {how}, {dict(ends)}; {time.monotonic() - start_s:.0f} s", flush=True)
    return n_faults


def main() -> int:
    """Run the campaign; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--how", choices=TROUBLES, default="size")
    parser.add_argument("--moments", type=int, default=100, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", default=NAMES, choices=NAMES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tiny_commands(Path(folder) / "inputs", options.commands))
        n_faults = campaign(bench, options.how, options.moments, options.seed)
    print(f"{n_faults} faults")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
