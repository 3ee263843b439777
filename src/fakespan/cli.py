"""The command line: reads options, calls the library, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fakespan import __version__
from fakespan.errors import FakespanError, InputError, MediaError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from fakespan.data.dataset import Example
    from fakespan.localizer import Localizer
    from fakespan.types import Scan

R = TypeVar("R")
Show = Callable[..., None]
"""A progress bar: called with how much is done, how much there is and, if wanted, a word about it."""

app = typer.Typer(
    help="Finds the forged seconds of a video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich takes longer than all else that --help does
    context_settings={"help_option_names": ["-h", "--help"]},
)

# fmt: off
MEDIA_SUFFIXES = frozenset({
    ".3gp", ".aac", ".avi", ".flac", ".flv", ".m2ts", ".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv",
})
# fmt: on
"""What is taken out of a folder; a file that is named is read whatever its ending."""

MODEL_SUFFIXES = frozenset({".safetensors", ".ckpt", ".pt", ".pth"})


class Faces(enum.StrEnum):
    """How faces are found."""

    auto = "auto"
    whole = "whole"
    none = "none"


class Decoding(enum.StrEnum):
    """How a cell of the boundary map is read."""

    aligned = "aligned"
    published = "published"


class Format(enum.StrEnum):
    """What --out writes."""

    html = "html"
    json = "json"
    csv = "csv"
    vtt = "vtt"


Model = Annotated[str, typer.Option(help="A shipped name, a .safetensors of fakespan, or a published .ckpt.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda ...")]
DataFolder = Annotated[str, typer.Option(help="practice:FOLDER, a folder of real clips to forge practice clips from.")]
Embed = Annotated[bool, typer.Option("--embed", help="Put the video inside the HTML page.")]
FaceChoice = Annotated[Faces, typer.Option(help="Follow faces, take the whole picture as one, or use the sound alone.")]


def main() -> None:
    """The `fakespan` command: exit code 0 done, 1 some input failed, 2 wrong usage, 130 stopped."""
    try:
        app(args=[a for a in sys.argv[1:] if a != "--debug"], prog_name="fakespan")
    except FakespanError as error:
        _complain(error, _wants_debug())
        sys.exit(error.exit_code)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    """Finds the forged seconds of a video."""
    if version:
        print(f"fakespan {__version__}")
        raise typer.Exit


@app.command()
def scan(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Media files, or folders of them.")],
    model: Model = "small",
    faces: FaceChoice = Faces.auto,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which something counts as forged; default: the model's."),
    ] = None,
    decoding: Annotated[
        Decoding | None, typer.Option(help="Default: the model's. published: for published tables.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results, made if missing.")] = None,
    formats: Annotated[list[Format], typer.Option("--format", "-f", help="What --out writes; may be repeated.")] = [
        Format.html,
        Format.json,
    ],
    embed: Embed = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON record a line, and nothing else.")] = False,
    device: Device = "auto",
) -> None:
    """Find the forged segments of media files and show them."""
    from fakespan.localizer import load_model

    media, failures = _expand(files)
    output = _Output(_made(out), [str(path) for path in media], formats, embed) if out else None
    if not media:
        raise typer.Exit(1)
    localizer = load_model(model, device)

    def work(path: Path, progress: Show) -> Scan:
        return localizer.scan(
            path,
            faces=faces.value,
            threshold=threshold,
            decoding=decoding.value if decoding else None,
            progress=progress,
        )

    show = _print_json if as_json else _printer()
    results: list[Scan] = []
    for number, result in _each(media, work, failures):
        results.append(result)
        show(result)
        if output is not None:
            with _told(media[number], failures):
                written = output.write(number, results)
                if not as_json:
                    print("written: " + ", ".join(map(_printable, written)))
    if failures:
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="JSON files that `fakespan scan` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the reports, made if missing.")] = Path(),
    formats: Annotated[list[Format], typer.Option("--format", "-f", help="What to write; may be repeated.")] = [
        Format.html
    ],
    embed: Embed = False,
) -> None:
    """Show saved results again, in any format, without the model."""
    from fakespan.report.export import read_json

    failures: list[FakespanError] = []
    scans = [result for _, result in _each(results, lambda path, _: read_json(path), failures)]
    output, show = _Output(_made(out), [result.file for result in scans], formats, embed), _printer()
    for number, result in enumerate(scans):
        show(result)
        with _told(Path(result.file), failures):
            print("written: " + ", ".join(map(_printable, output.write(number, scans[: number + 1]))))
    if failures:
        raise typer.Exit(1)


@app.command()
def info(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A media file or a model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it on one line.")] = False,
) -> None:
    """Facts of a media file or of a model file, as JSON."""
    if target.suffix in MODEL_SUFFIXES:
        from fakespan.checkpoint import load_checkpoint
        from fakespan.config import to_mapping

        checkpoint = load_checkpoint(target)
        n_parameters = sum(p.numel() for p in checkpoint.network.parameters())
        facts = {"name": checkpoint.name, "parameters": n_parameters, "model": to_mapping(checkpoint.model)}
        facts |= {"post": to_mapping(checkpoint.post), "notes": dict(checkpoint.notes)}
    else:
        from fakespan.media.probe import probe

        facts = dataclasses.asdict(probe(target))
    print(json.dumps(facts, indent=None if as_json else 2))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A TOML file, see configs/.")],
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="Folder of the run: log and checkpoints.")] = Path("runs/small"),
) -> None:
    """Train a network on practice forgeries, then fit its threshold on validation clips."""
    from fakespan import train as training

    run, root_folder = training.load_run_config(config), _practice_folder(data)
    with _bar("decoding clips") as progress:
        clips = training.load_clips(run, root_folder, out.parent / "practice-cache", ("train", "validation"), progress)
    with _bar("training") as progress:
        path = training.train(run, clips["train"], out, progress)
    checkpoint = training.fit_threshold(path, run, clips["validation"])
    print(f"{path}: threshold {checkpoint.post.threshold}")


@app.command()
def evaluate(
    config: Annotated[Path, typer.Argument(help="The config that the model was trained with: it names the splits.")],
    data: DataFolder,
    model: Model = "small",
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    n_examples: Annotated[int, typer.Option("--count", min=2, help="How many practice clips are rated.")] = 400,
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file too.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder of decoded clips.")] = Path("runs"),
    device: Device = "auto",
) -> None:
    """Rate a model on practice forgeries of held-out clips, and count its false alarms on the untouched clips."""
    from fakespan import train as training
    from fakespan.evaluate import evaluate_split
    from fakespan.localizer import load_model

    run, root_folder = training.load_run_config(config), _practice_folder(data)
    localizer: Localizer = load_model(model, device)
    if split not in ("validation", "test"):
        raise UsageError("--split", expected="validation or test", got=repr(split), remedy="change --split")
    with _bar("decoding clips") as progress:
        clips = training.load_clips(run, root_folder, cache / "practice-cache", (split,), progress)[split]
    examples = training.PracticeSet(clips, run.practice, run.train.seed + 2, n_examples)
    files = training.find_clips(root_folder, run.clips)[split]
    numbers = evaluate_split(localizer, [examples[k] for k in range(n_examples)], files, _tracked)
    text = json.dumps({"model": localizer.name, "split": split, **numbers}, indent=1)
    print(text)
    if out is not None:
        from fakespan.report.files import write_text

        write_text(out, text + "\n")


def _expand(paths: Iterable[Path]) -> tuple[list[Path], list[FakespanError]]:
    """Folders become the media files in them; those without any are named on stderr and returned."""
    media: list[Path] = []
    failures: list[FakespanError] = []
    for path in paths:
        if not path.is_dir():
            media.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES and p.is_file())
        media += inside
        if not inside:
            with _told(path, failures):
                remedy = "name the files themselves"
                raise MediaError(path, expected="a folder with media files", got="none in it", remedy=remedy)
    return media, failures


def _each(
    paths: Sequence[Path], work: Callable[[Path, Show], R], failures: list[FakespanError]
) -> Iterator[tuple[int, R]]:
    """What the work makes of each path, with the path's number; those that fail are told and added to the failures."""
    for number, path in enumerate(paths):
        title = f"{path.name} ({number + 1} of {len(paths)})" if len(paths) > 1 else path.name
        done: list[R] = []
        with _told(path, failures), _bar(title) as progress:
            done.append(work(path, progress))
        for result in done:
            yield number, result


@contextmanager
def _told(path: Path, failures: list[FakespanError]) -> Iterator[None]:
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
        _complain(told, _wants_debug())


def _made(folder: Path) -> Path:
    """The folder for results, made if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = str(error.strerror).lower()
        raise UsageError(folder, expected="a folder to write to", got=got, remedy="change --out") from error
    return folder


class _Output:
    """Where --out writes, and what. A file's results are there as soon as it is scanned."""

    def __init__(self, folder: Path, files: Sequence[str], formats: Iterable[Format], embed: bool) -> None:
        from fakespan.report.export import output_paths

        self.embed, self.table = embed, folder / "results.csv"
        self.paths = {f: output_paths(files, folder, f.value) for f in dict.fromkeys(formats)}

    def write(self, number: int, results: Sequence[Scan]) -> list[Path]:
        """Write the last of the results, that of file `number`; the paths. The CSV holds all of them."""
        from fakespan.report.export import WRITERS, write_csv
        from fakespan.report.html import write_html

        written = []
        for format_, paths in self.paths.items():
            path = self.table if format_ is Format.csv else paths[number]
            written.append(path)
            if format_ is Format.csv:
                write_csv(results, path)
            elif format_ is Format.html:
                write_html(results[-1], path, embed=self.embed)
            else:
                WRITERS[format_.value](results[-1], path)
        return written


def _print_json(result: Scan) -> None:
    from fakespan.report.export import json_text

    print(json_text(result), end="", flush=True)


def _printer() -> Callable[[Scan], None]:
    """Shows results on the terminal."""
    from rich.console import Console

    from fakespan.report.terminal import render

    console: Console = Console()
    return lambda result: console.print(render(result))


def _practice_folder(data: str) -> Path:
    kind, _, folder = data.partition(":")
    if kind != "practice" or not Path(folder).is_dir():
        raise UsageError("--data", expected="practice:FOLDER of real clips", got=repr(data), remedy="change --data")
    return Path(folder)


@contextmanager
def _bar(title: str) -> Iterator[Show]:
    """A progress bar with time left on a terminal's stderr, nothing elsewhere; gives f(done, total)."""
    if not sys.stderr.isatty():
        yield lambda done, total, note="": None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(_printable(title)), total=None)

        def show(done: float, total: float, note: str = "") -> None:
            text = escape(_printable(f"{title} {note}"))
            progress.update(task, completed=done, total=max(total, 1e-6), description=text)

        yield show


def _tracked(items: Iterable[Example]) -> Iterator[Example]:
    everything = list(items)
    with _bar("rating") as show:
        for k, item in enumerate(everything):
            show(k, len(everything))
            yield item


def _wants_debug() -> bool:
    return "--debug" in sys.argv


def _complain(error: FakespanError, debug: bool = False) -> None:
    """One line on stderr; before it, if wanted, where it came from."""
    if debug:
        traceback.print_exception(error)
    print(f"fakespan: {_printable(error)}", file=sys.stderr)


def _printable(text: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(text))
