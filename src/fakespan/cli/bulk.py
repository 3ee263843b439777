"""`fakespan bulk`: very many files to a table, on this machine or a Ray cluster."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fakespan.cli.scan import BackendChoice, DecodingChoice, End, FaceChoice, Start, Threshold
from fakespan.cli.shared import AsJson, Device, Model, bar, complain, remark, show, wants_debug
from fakespan.errors import InputError
from fakespan.times import parse_range
from fakespan.types import Progress
from fakespan.version import __version__

if TYPE_CHECKING:
    from fakespan.bulk.outcome import Outcome
    from fakespan.bulk.run import Report, State
    from fakespan.bulk.table import Counts

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT", help="Folder, pattern, list (.txt, .csv, .parquet), file, or s3, gs, az, http URL."
    ),
]
Out = Annotated[Path, typer.Option(metavar="TABLE", help="Folder of the table; a table that is there is continued.")]
Column = Annotated[str | None, typer.Option(help="Column of names in CSV and Parquet lists.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes; default: as many as fit.")]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster, for instance auto; default: this machine.")]
Cpus = Annotated[float, typer.Option("--num-cpus", min=0.01, help="CPU cores of each worker.")]
Gpus = Annotated[float, typer.Option("--num-gpus", min=0, help="GPUs of each worker; 0.25: four workers share one.")]
Curves = Annotated[bool, typer.Option("--curves", help="Also write the scores over time.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Also scan files again that failed in an earlier run.")]

_TELL_S = 60.0  # between two lines of progress where there is no terminal


def bulk(
    inputs: Inputs,
    out: Out,
    column: Column = None,
    model: Model = "small",
    faces: FaceChoice = "auto",
    threshold: Threshold = None,
    decoding: DecodingChoice = None,
    start: Start = None,
    end: End = None,
    device: Device = "auto",
    backend: BackendChoice = "auto",
    workers: Workers = None,
    address: Address = None,
    num_cpus: Cpus = 1.0,
    num_gpus: Gpus = 0.0,
    curves: Curves = False,
    retry_failed: Retry = False,
    as_json: AsJson = False,
) -> None:
    """Scan very many files into a table. What is in the table is skipped, so that a run can be stopped and repeated."""
    from fakespan.bulk.engines import on_ray
    from fakespan.bulk.run import scan_all
    from fakespan.bulk.table import opened
    from fakespan.bulk.worker import Setup

    options: dict[str, Any] = {"faces": faces, "threshold": threshold, "decoding": decoding}
    options["start_s"], options["end_s"] = parse_range(start, end)
    settings = {"fakespan_version": __version__, "model": model, "model_sha256": _model_sha256(model), **options}
    settings["backend"] = None if backend == "auto" else backend
    setup = Setup(_absolute(model), device, options, threads=max(1, round(num_cpus)), backend=backend)
    engine = on_ray(setup, workers, address=address, cpus=num_cpus, gpus=num_gpus)
    with opened(out, settings, curves=curves, retry_failed=retry_failed) as table, bar("bulk") as progress:
        state = scan_all(inputs, table, engine, _reporter(progress), column=column)
    show(_summary(state, table.counts), _record(state, table.counts), as_json=as_json)
    if table.counts.failed:
        raise typer.Exit(1)


def _reporter(progress: Progress) -> Report:
    """Shows the progress, on a terminal as a bar, otherwise a line a minute, and tells of each failure."""
    told_s = time.monotonic()

    def report(state: State, outcome: Outcome) -> None:
        nonlocal told_s
        if isinstance(outcome.error, InputError):
            complain(outcome.error, wants_debug())
        done = state.done + state.skipped
        progress(done, state.listed or 2 * done, _pace(state))
        if not sys.stderr.isatty() and time.monotonic() - told_s > _TELL_S:
            told_s = time.monotonic()
            remark(f"{done:,} of {state.listed or 'still counted'} files, {_pace(state)}")

    return report


def _pace(state: State) -> str:
    """The rate, and the time left if it is known.

    >>> from fakespan.bulk.run import State
    >>> _pace(State())
    '0 files/hour'
    """
    left = "" if state.left_s is None else f", {_clock(state.left_s)} left"
    return f"{state.files_per_hour:,.0f} files/hour{left}"


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(round(time_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _summary(state: State, counts: Counts) -> str:
    """What was done, and what the table has."""
    run_s = time.monotonic() - state.started_s
    now = f"{state.done:,} files in {_clock(run_s)} ({_pace(state).partition(',')[0]})" if state.done else "no new file"
    has = (
        f"{counts.scanned:,} scanned, {counts.suspected:,} of them suspected; {counts.same:,} with a content scanned"
        f" before; {counts.failed:,} failed"
    )
    return f"{now}; {state.skipped:,} finished earlier. The table has {counts.total:,} files: {has}."


def _record(state: State, counts: Counts) -> dict[str, Any]:
    names = ("scanned", "suspected", "same", "failed")
    return {
        "done": state.done,
        "skipped": state.skipped,
        "files_per_hour": round(state.files_per_hour, 1),
        "table": {name: getattr(counts, name) for name in names},
    }


def _model_sha256(model: str) -> str:
    """Of a model file; empty for a shipped model, which the version identifies."""
    from fakespan.files import fingerprint

    return fingerprint(Path(model))[1] if os.path.isfile(model) else ""


def _absolute(model: str) -> str:
    """Workers may run in another folder."""
    return os.path.abspath(model) if os.path.isfile(model) else model
