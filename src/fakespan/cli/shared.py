"""What every command needs: progress bars, failures told in one line, folders, the options they share."""

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

__all__ = ["Device", "Model", "bar", "complain", "each", "made", "printable", "told", "tracked", "wants_debug"]

R = TypeVar("R")
T = TypeVar("T")

Model = Annotated[str, typer.Option(help="A shipped name, a .safetensors of fakespan, or a published .ckpt.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda ...")]


def each(
    paths: Sequence[Path], work: Callable[[Path, Progress], R], failures: list[FakespanError]
) -> Iterator[tuple[int, R]]:
    """What the work makes of each path, with the path's number; those that fail are told and added to the failures."""
    for number, path in enumerate(paths):
        title = f"{path.name} ({number + 1} of {len(paths)})" if len(paths) > 1 else path.name
        done: list[R] = []
        with told(path, failures), bar(title) as progress:
            done.append(work(path, progress))
        for result in done:
            yield number, result


@contextmanager
def told(path: Path, failures: list[FakespanError]) -> Iterator[None]:
    """An error that concerns one file is told and noted, and the others go on."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads on
    except Exception as error:
        if isinstance(error, FakespanError):
            told = error
        else:
            remedy = "please report this with what --debug shows"
            told = InputError(path, expected="a usable file", got=f"{type(error).__name__}: {error}", remedy=remedy)
            told.__cause__ = error
        failures.append(told)
        complain(told, wants_debug())


def made(folder: Path) -> Path:
    """The folder for results, made if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = str(error.strerror).lower()
        raise UsageError(folder, expected="a folder to write to", got=got, remedy="change --out") from error
    return folder


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """A progress bar with time left on a terminal's stderr, nothing elsewhere; gives f(done, total)."""
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
    """The items, one by one, with a progress bar."""
    everything = list(items)
    with bar(title) as show:
        for k, item in enumerate(everything):
            show(k, len(everything))
            yield item


def wants_debug() -> bool:
    """Whether the user asked where errors come from."""
    return "--debug" in sys.argv


def complain(error: FakespanError, debug: bool = False) -> None:
    """One line on stderr; before it, if wanted, where it came from."""
    if debug:
        traceback.print_exception(error)
    print(f"fakespan: {printable(error)}", file=sys.stderr)


def printable(text: object) -> str:
    """The text without what would move a terminal's cursor or change its colours."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
