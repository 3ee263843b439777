"""Parts that all commands share: progress bars, one-line error messages, output folders, common options."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from fakespan.errors import FakespanError, InputError, UsageError
from fakespan.types import Progress, no_progress

__all__ = [
    "Device",
    "Model",
    "bar",
    "check_output",
    "complain",
    "each",
    "output_folder",
    "printable",
    "reported",
    "show",
    "tracked",
    "wants_debug",
]

R = TypeVar("R")
T = TypeVar("T")

Model = Annotated[
    str, typer.Option(help="Name of a shipped model, a .safetensors file of fakespan, or a published .ckpt file.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda ...")]


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
        if isinstance(error, FakespanError):
            failure = error
        else:
            remedy = "please report this with the output of --debug"
            failure = InputError(path, expected="a usable file", got=f"{type(error).__name__}: {error}", remedy=remedy)
            failure.__cause__ = error
        failures.append(failure)
        complain(failure, wants_debug())


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


def output_folder(folder: Path) -> Path:
    """The output folder, created if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = str(error.strerror).lower()
        raise UsageError(folder, expected="a folder to write to", got=got, remedy="change --out") from error
    return folder


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar with the remaining time on stderr if that is a terminal; yields f(done, total)."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(printable(title)), total=None)

        def show(done: float, total: float, note: str = "") -> None:
            text = escape(printable(f"{title} {note}"))
            progress.update(task, completed=done, total=max(total, 1e-6), description=text)

        yield show


def tracked(items: Iterable[T], title: str) -> Iterator[T]:
    """Yield the items with a progress bar."""
    everything = list(items)
    with bar(title) as show:
        for k, item in enumerate(everything):
            show(k, len(everything))
            yield item


def wants_debug() -> bool:
    """Whether the user asked for tracebacks."""
    return "--debug" in sys.argv


def complain(error: FakespanError, debug: bool = False) -> None:
    """Print an error as one line on stderr, with `debug` after its traceback."""
    if debug:
        traceback.print_exception(error)
    print(f"fakespan: {printable(error)}", file=sys.stderr)


def show(result: object) -> None:
    """Prints a result: a text (JSON) as it is, anything else as rich renders it."""
    if isinstance(result, str):
        print(result)
        return
    from rich.console import Console

    Console().print(result)


def printable(text: object) -> str:
    """The text without control characters, which could move a terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
