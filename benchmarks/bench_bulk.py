"""Many copies of the bundled sample: one process, worker processes, and the memory of the parent over many tiny files.

    python benchmarks/bench_bulk.py [--files 12] [--ray] [--tiny 10000]

Prints wall-clock time and CPU time of each way: of the whole run, and of a file once all models are loaded. On a
machine that does other work only the CPU time is comparable. The CPU time of Ray's processes is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import torch

import fakespan
from fakespan.bulk.engines import Engine, on_ray, on_this_machine
from fakespan.bulk.listing import Item
from fakespan.bulk.outcome import Outcome
from fakespan.bulk.run import State, scan_all
from fakespan.bulk.table import opened
from fakespan.bulk.worker import Setup

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"
SAMPLE_S = 8.28
WARM = 8  # files after which all models are loaded


def copies(folder: Path, n_files: int) -> Path:
    """The sample `n_files` times, each with other bytes behind it, which no player reads."""
    for number in range(n_files):
        path = folder / f"{number:04d}.mp4"
        shutil.copy(SAMPLE, path)
        with path.open("ab") as file:
            file.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return folder


def measured(name: str, n_files: int, work: Callable[[Callable[[], None]], object]) -> None:
    """Run it, with a function that it calls after each file, and print what it took."""
    before, started, ends = cpu_s(), time.monotonic(), list[float]()
    work(lambda: ends.append(time.monotonic()))
    whole_s, used_s = time.monotonic() - started, cpu_s() - before
    warm_s = (ends[-1] - ends[WARM]) / (len(ends) - 1 - WARM)
    minute = f"{used_s / n_files / SAMPLE_S * 60:4.1f} s CPU a video minute"
    print(f"{name:22} {whole_s:6.1f} s in all; {warm_s:5.3f} s a file when warm; {minute}", flush=True)


def cpu_s() -> float:
    """CPU time of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def one_process(folder: Path, cores: set[int], done: Callable[[], None], part: tuple[int, int] = (0, 1)) -> None:
    """In a process of its own on these cores, which loads the libraries and the model as a worker does.

    `part` (k, n): it scans the k-th of every n files.
    """
    places = [*map(str, part), "--cores", *map(str, cores)]
    command = [sys.executable, __file__, "--alone", str(folder), "--part", *places]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            done()


def separate_processes(folder: Path, cores: set[int], done: Callable[[], None]) -> None:
    """One for each core, which share nothing and know nothing of each other: what the machine can do at most."""
    with ThreadPoolExecutor() as pool:
        for k, core in enumerate(sorted(cores)):
            pool.submit(one_process, folder, {core}, done, (k, len(cores)))


def alone(folder: Path, cores: set[int], part: tuple[int, int]) -> None:
    """That process: scans with one thread for each library, and prints an empty line after each file."""
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    localizer = fakespan.load_model("small", "cpu")
    localizer.decoder_threads = 1
    for path in sorted(folder.iterdir())[part[0] :: part[1]]:
        localizer.scan(path)
        print(flush=True)


def to_table(folder: Path, engine: Engine, done: Callable[[], None]) -> State:
    """As `fakespan bulk` does, into a new table."""
    with (
        tempfile.TemporaryDirectory() as out,
        opened(Path(out) / "table", {}, curves=False, retry_failed=False) as table,
    ):
        return scan_all([str(folder)], table, engine, lambda *_: done())


def tiny(n_files: int) -> None:
    """Memory of the process that lists, hands out and writes, with an engine that does nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(n_files):
            (folder / f"{number:06d}.mp4").write_bytes(b"x%d" % number)

        def engine(items: object, known: object) -> Iterator[Outcome]:
            for item in items:  # type: ignore[attr-defined]
                assert isinstance(item, Item)
                yield Outcome(Item(item.name, "1"), "same", f"{hash(item.name) & (1 << 256) - 1:064x}")

        before = rss_mb()
        to_table(folder, engine, lambda: None)  # type: ignore[arg-type]
        print(f"{n_files:6d} tiny files: {rss_mb() - before:6.1f} MB more", flush=True)


def rss_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--tiny", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.alone:
        alone(arguments.alone, set(arguments.cores), tuple(arguments.part))
        return
    for n_files in (100, 100, arguments.tiny):  # the first time loads libraries
        tiny(n_files)
    with tempfile.TemporaryDirectory() as name:
        folder, n_files = copies(Path(name), arguments.files), arguments.files
        setup, lean = Setup("small", "cpu"), Setup("small", "cpu", backend="onnx")
        cores = os.sched_getaffinity(0)
        measured("one process", n_files, lambda done: one_process(folder, cores, done))
        measured("one process, one core", n_files, lambda done: one_process(folder, {min(cores)}, done))
        measured("a process on each core", n_files, lambda done: separate_processes(folder, cores, done))
        for way, engine in (
            ("1 worker", on_this_machine(setup, 1)),
            ("2 workers", on_this_machine(setup, 2)),
            ("2 workers, onnx", on_this_machine(lean, 2)),
        ):
            measured(way, n_files, lambda done, engine=engine: to_table(folder, engine, done))  # type: ignore[misc]
        if arguments.ray:
            measured("2 workers on Ray", n_files, lambda done: to_table(folder, on_ray(setup, 2), done))


if __name__ == "__main__":
    main()
