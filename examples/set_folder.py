"""A folder in which a made set grows: filled take by take, by several processes, and gone on with when it was killed.

OUT/.takes holds the options of the set and, for each take whose clips are whole, a sign: their sizes and what the set's
metadata shall say of them. What a take is and what is made of it is unknown here.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fakespan.files import replacing

__all__ = ["SIGNS", "claim", "fill", "keep", "kept", "write_json", "write_text"]

SIGNS = ".takes"
Job = tuple[Any, ...]


def claim(out: Path, options: Any) -> None:
    """The folder belongs to one set: what lies there was made with the same options (a dataclass).

    Raises:
        ValueError: it holds a set of other options.
    """
    path = out / SIGNS / "options.json"
    if not path.exists():
        write_json(path, asdict(options))
    elif (held := json.loads(path.read_text(encoding="utf-8"))) != asdict(options):
        raise ValueError(f"{out} holds a set made with {held}: give the same options, or another folder")


def keep(out: Path, number: int, files: Iterable[str], records: list[dict[str, Any]]) -> None:
    """The sign that the clips of a take are whole."""
    sizes = {file: (out / file).stat().st_size for file in files}
    write_json(_sign(out, number), {"sizes": sizes, "records": records})


def kept(out: Path, number: int, files: Iterable[str]) -> list[dict[str, Any]] | None:
    """What is known of a take's clips, or None when they are not all there as they were written."""
    try:
        sign = json.loads(_sign(out, number).read_text(encoding="utf-8"))
        whole = all((out / file).stat().st_size == size for file, size in sign["sizes"].items())
    except (OSError, ValueError):
        return None
    return list(sign["records"]) if whole and set(sign["sizes"]) == set(files) else None


def fill(program: str, make: Callable[..., None], jobs: Sequence[Job], n_before: int, workers: int) -> None:
    """Calls `make` with each job, a take's; says how far it is and how long it will take.

    Args:
        program: its name, for what is said.
        make: a function that another process can import.
        jobs: its arguments for each take that is missing.
        n_before: takes that are there.
        workers: processes.
    """
    begin = time.monotonic()
    for n_done, _ in enumerate(_all_made(make, jobs, workers), start=1):
        left_s = (time.monotonic() - begin) / n_done * (len(jobs) - n_done)
        said = f"{program}: {n_before + n_done} of {n_before + len(jobs)} takes, {left_s:.0f} s left"
        print(said, file=sys.stderr, flush=True)


def write_json(path: Path, content: object) -> None:
    """Whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _all_made(make: Callable[..., None], jobs: Sequence[Job], workers: int) -> Iterator[None]:
    if workers < 2 or len(jobs) < 2:
        yield from (make(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(make, *job) for job in jobs]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _sign(out: Path, number: int) -> Path:
    return out / SIGNS / f"{number:06}.json"
