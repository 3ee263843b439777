"""Parts that all commands share: common options, what is printed and what is not, one-line errors, output folders.

Everything for people to read goes through `show`, `note` and `bar`, which --quiet silences; JSON is printed always.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from fakespan.errors import FakespanError, InputError, UsageError
from fakespan.files import sweep
from fakespan.report import words
from fakespan.types import Progress, Subset, no_progress

__all__ = [
    "ANYWHERE",
    "AsJson",
    "BatchSize",
    "Device",
    "FaceChoice",
    "Faces",
    "Limit",
    "Model",
    "Overwrite",
    "Split",
    "SplitChoice",
    "SubsetChoice",
    "Workers",
    "bar",
    "check_output",
    "complain",
    "count_workers",
    "each",
    "note",
    "output_folder",
    "printable",
    "remark",
    "remark_damaged",
    "reported",
    "show",
    "unforeseen",
    "wants_debug",
    "wants_quiet",
]

ANYWHERE = frozenset({"--debug", "--quiet"})
"""Options that may stand anywhere on the command line."""

Split = Literal["train", "validation", "test", "dev", "val"]
Faces = Literal["auto", "whole"]

R = TypeVar("R")

_MAX_DAMAGED = 20  # clips that are named

Model = Annotated[
    str,
    typer.Option(help="Name of a shipped model, a .safetensors or .onnx file, or a published .ckpt file."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda ...")]
SplitChoice = Annotated[Split, typer.Option(help="Split of the data set; dev and val mean validation.")]
SubsetChoice = Annotated[Subset, typer.Option(help="visual: no audio-only fakes; audio: no visual-only fakes.")]
FaceChoice = Annotated[Faces | None, typer.Option(help="How faces are detected; default: what the data set needs.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Clips per batch; more on an accelerator.")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Worker processes; 0: none, this process works. Default: by the cores."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def count_workers(workers: int | None) -> int:
    """The number of worker processes that --workers asks for; by default one per core."""
    return workers if workers is not None else os.cpu_count() or 1


def each(
    paths: Sequence[Path], work: Callable[[Path, Progress], R], failures: list[FakespanError]
) -> Iterator[tuple[int, R]]:
    """Yield (index, result) of the work on each path; a path that fails is reported and added to `failures`."""
    for number, path in enumerate(paths):
        title = f"{path.name} ({number + 1} of {len(paths)})" if len(paths) > 1 else path.name
        done: list[R] = []
        with reported(path, failures), bar(title) as progress:
            done.append(work(path, progress))
        for result in done:
            yield number, result


@contextmanager
def reported(path: Path, failures: list[FakespanError]) -> Iterator[None]:
    """Report an error that concerns one file, add it to `failures`, and continue with the others."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader closed the pipe
    except Exception as error:
        failure = error if isinstance(error, FakespanError) else unforeseen(path, error)
        failures.append(failure)
        complain(failure, wants_debug())


def unforeseen(subject: object, error: Exception) -> FakespanError:
    """The error to tell for one that no part of fakespan foresaw. Errors of the system are no faults of fakespan."""
    if isinstance(error, OSError):
        got, remedy = (error.strerror or str(error)).lower(), "check the path, its permissions and the disk"
        failure = InputError(error.filename or subject, expected="a usable file", got=got, remedy=remedy)
    else:
        got, remedy = f"{type(error).__name__}: {error}", "please report this with the output of --debug"
        failure = InputError(subject, expected="a usable file", got=got, remedy=remedy)
    failure.__cause__ = error
    return failure


def check_output(out: Path, overwrite: bool) -> None:
    """Validate the output path before the work starts."""
    if out.is_dir():
        raise UsageError(out, expected="a file to write", got="a folder", remedy="change --out")
    if out.exists() and not overwrite:
        raise UsageError(out, expected="a new file", got="an existing file", remedy="change --out, or use --overwrite")
    if not out.parent.is_dir():
        got = f"no folder {out.parent}"
        raise UsageError(
            out, expected="a file in an existing folder", got=got, remedy="create the folder, or change --out"
        )
    output_folder(out.parent)


def output_folder(folder: Path, option: str = "--out") -> Path:
    """The output folder of an option, created if missing. Raises UsageError unless a file can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # permissions alone do not tell: read-only or full disks
            pass
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        raise UsageError(folder, expected="a folder to write to", got=got, remedy=f"change {option}") from error
    sweep(folder)
    return folder


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar with the remaining time on stderr if that is a terminal; yields f(done, total).

    What is printed meanwhile stands above the bar, or goes where stdout does if that is a file or a pipe.
    """
    if wants_quiet() or not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    console, is_shown = Console(stderr=True, emoji=False), sys.stdout.isatty()
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=is_shown) as progress:
        task = progress.add_task(escape(printable(title)), total=None)

        def show(done: float, total: float, note: str = "") -> None:
            text = escape(printable(f"{title} {note}"))
            progress.update(task, completed=done, total=max(total, 1e-6), description=text)

        yield show


def wants_debug() -> bool:
    """Whether the user asked for tracebacks."""
    return "--debug" in sys.argv


def wants_quiet() -> bool:
    """Whether the user asked for errors only."""
    return "--quiet" in sys.argv


def complain(error: FakespanError, debug: bool = False) -> None:
    """Print an error as one line on stderr, with `debug` after its traceback."""
    if debug:
        traceback.print_exception(error)
    print(f"fakespan: {printable(error)}", file=sys.stderr)


def show(result: object, record: Any = None, *, as_json: bool = False, indent: int | None = None) -> None:
    """Print a result: with `as_json` its record as JSON, otherwise as text or as rich renders it, unless --quiet."""
    if as_json:
        print(json.dumps(record, indent=indent, allow_nan=False), flush=True)
        return
    if wants_quiet():
        return
    if isinstance(result, str):
        print(result)
        return
    from rich.console import Console

    Console(emoji=False).print(result)


def note(text: str) -> None:
    """Print a remark about the work, unless --quiet."""
    if not wants_quiet():
        print(printable(text))


def remark(text: str) -> None:
    """Print a remark on stderr, unless --quiet: about something left out or done otherwise, also with --json."""
    if not wants_quiet():
        print(f"fakespan: note: {printable(text)}", file=sys.stderr)


def remark_damaged(clips: Mapping[str, str], remedy: str) -> None:
    """Name the clips of a data set that are damaged, with their damage in words; --json has all of them."""
    for name in list(clips)[:_MAX_DAMAGED]:
        remark(f"{name}: {clips[name]}")
    if clips:
        is_are = "clip is" if len(clips) == 1 else "clips are"
        remark(f"{len(clips)} {is_are} damaged or cut short; {remedy}")


def printable(text: object) -> str:
    """The text with control characters, which could move a terminal's cursor or change its colours, as escapes."""
    return words.printable(str(text))
