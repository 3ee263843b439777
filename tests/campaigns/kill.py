"""Kills commands at random moments (kill -9), runs them again, and compares the result with an undisturbed run.

    python tests/campaigns/kill.py --moments 200 --seed 1 --commands scan train

Every file of `scan` and `report` must be wholly there or not at all; the result of the second run of any command must
be that of an undisturbed one. A third of the second runs is killed, too.
"""

from __future__ import annotations

import argparse
import functools
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from campaigns.interrupted import Bench, Command, content, differing, fresh, kill_after, leftovers, run
from campaigns.tiny_commands import NAMES, tiny_commands

AT_ONCE = {"scan", "report", "verdict fit"}  # their files are written at once, and each is whole


def disturb(bench: Bench, command: Command, rng: random.Random) -> tuple[Counter[str], list[str]]:
    """Kill a run, and run it again until it is done: what was counted, and what was wrong."""
    good, counts, faults = bench.good[command.name], Counter[str](), list[str]()
    place = fresh(bench.folder / "disturbed" / command.name)
    (place / "out").mkdir()
    n_kills = 1 if rng.random() < 2 / 3 else 2
    for number in range(n_kills):
        moment_s = rng.uniform(0, bench.cpu_s[command.name])
        ended = run(command, place, again=number > 0, before=functools.partial(kill_after, moment_s))
        counts["killed" if ended.code < 0 else "done before"] += 1
        if ended.code > 0 or ended.errors:
            faults.append(f"ended with {ended.code}: {ended.errors[-300:]}")
        faults += half_written(command, good, content(command, place / "out"))
    counts["temporary files"] += len(leftovers(place))
    ended = run(command, place, again=True)
    if ended.code or ended.errors:
        faults.append(f"run again, ended with {ended.code}: {ended.errors[-300:]}")
    elif different := differing(good, content(command, place / "out")):
        faults.append(f"run again, other files: {', '.join(different)}")
    faults += [f"temporary file left: {name}" for name in leftovers(place)]
    return counts, faults


def half_written(command: Command, good: dict[str, str], found: dict[str, str]) -> list[str]:
    """The files of such a command that are there and not whole; tables grow by whole rows."""
    if command.name not in AT_ONCE:
        return []
    return [f"half written: {name}" for name in found if name != "results.csv" and found[name] != good.get(name)]


def campaign(bench: Bench, n_moments: int, seed: int) -> int:
    """Kill every command so often and print what came of it; the number of faults."""
    n_faults = 0
    for command in bench.commands:
        counts, start_s = Counter[str](), time.monotonic()
        for number in range(n_moments):
            counted, faults = disturb(bench, command, random.Random(f"{seed} {command.name} {number}"))
            counts, n_faults = counts + counted, n_faults + len(faults)
            for fault in faults:
                print(f"  {command.name}, moment {number}: {fault}", flush=True)
        seconds = f"{bench.cpu_s[command.name]:.2f} s of CPU time a run, {time.monotonic() - start_s:.0f} s in all"
        print(f"{command.name}: {n_moments} moments, {dict(counts)}; {seconds}", flush=True)
    return n_faults


def main() -> int:
    """Run the campaign; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=200, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", default=NAMES, choices=NAMES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tiny_commands(Path(folder) / "inputs", options.commands))
        n_faults = campaign(bench, options.moments, options.seed)
    print(f"{n_faults} faults")
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
