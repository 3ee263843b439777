"""The command line: reads options, calls the library, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fakespan import __version__
from fakespan.errors import FakespanError, InputError, MediaError, UsageError

if TYPE_CHECKING:
    from fakespan.data.dataset import Example
    from fakespan.localizer import Localizer
    from fakespan.types import Scan

app = typer.Typer(
    help="Finds the forged seconds of a video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

MEDIA_SUFFIXES = tuple(
    [
        ".3gp",
        ".aac",
        ".avi",
        ".flac",
        ".flv",
        ".m2ts",
        ".m4a",
        ".m4v",
        ".mka",
        ".mkv",
        ".mov",
        ".mp3",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".oga",
        ".ogg",
        ".ogv",
        ".opus",
        ".ts",
        ".vob",
        ".wav",
        ".webm",
        ".wma",
        ".wmv",
    ]
)


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


def main() -> None:
    """The `fakespan` command: exit code 0 done, 1 some input failed, 2 wrong usage."""
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(args=arguments, prog_name="fakespan")
    except FakespanError as error:
        _complain(error, debug)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


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
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Media files, or folders of them.")],
    model: Model = "small",
    faces: Annotated[
        Faces, typer.Option(help="Follow faces, take the whole picture as one, or use the sound alone.")
    ] = (Faces.auto),
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which something counts as forged; default: the model's."),
    ] = None,
    decoding: Annotated[
        Decoding | None, typer.Option(help="Default: the model's. published: for published tables.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results, made if missing.", file_okay=False)] = None,
    formats: Annotated[list[Format], typer.Option("--format", "-f", help="What --out writes; may be repeated.")] = [
        Format.html,
        Format.json,
    ],
    embed: Annotated[bool, typer.Option("--embed", help="Put the video inside the HTML page.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON record a line, and nothing else.")] = False,
    device: Device = "auto",
) -> None:
    """Find the forged segments of media files and show them."""
    from fakespan.localizer import load_model

    media, failures = _expand(files)
    localizer = load_model(model, device)
    results: list[Scan] = []
    console = Console()
    for number, path in enumerate(media, 1):
        title = f"{path.name} ({number} of {len(media)})" if len(media) > 1 else path.name
        try:
            with _bar(title) as progress:
                result = localizer.scan(
                    path,
                    faces=faces.value,
                    threshold=threshold,
                    decoding=decoding.value if decoding else None,
                    progress=progress,
                )
        except InputError as error:
            failures.append(error)
            _complain(error, debug="--debug" in sys.argv)
            continue
        results.append(result)
        if as_json:
            print(json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False), flush=True)
        else:
            _show(console, result)
    if out is not None and results:
        written = _write(results, out, formats, embed)
        if not as_json:
            console.print("written: " + ", ".join(map(str, written)), markup=False, highlight=False)
    if failures:
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="JSON files that `fakespan scan` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for the reports, made if missing.", file_okay=False)] = Path(),
    formats: Annotated[list[Format], typer.Option("--format", "-f", help="What to write; may be repeated.")] = [
        Format.html
    ],
    embed: Annotated[bool, typer.Option("--embed", help="Put the video inside the HTML page.")] = False,
) -> None:
    """Show saved results again, in any format, without the model."""
    from fakespan.report.export import read_json

    scans, console = [read_json(path) for path in results], Console()
    for result in scans:
        _show(console, result)
    written = _write(scans, out, formats, embed)
    console.print("written: " + ", ".join(map(str, written)), markup=False, highlight=False)


@app.command()
def info(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A media file or a model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Facts of a media file or of a model file."""
    if target.suffix in (".safetensors", ".ckpt"):
        from fakespan.checkpoint import load_checkpoint
        from fakespan.config import to_mapping

        checkpoint = load_checkpoint(target)
        n_parameters = sum(p.numel() for p in checkpoint.network.parameters())
        facts = {"name": checkpoint.name, "parameters": n_parameters, "model": to_mapping(checkpoint.model)}
        facts |= {"post": to_mapping(checkpoint.post), "notes": dict(checkpoint.notes)}
    else:
        from fakespan.media.probe import probe

        facts = dataclasses.asdict(probe(target))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        Console().print_json(data=facts)


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
            failures.append(
                MediaError(
                    path, expected="a folder with media files", got="none in it", remedy="name the files themselves"
                )
            )
            _complain(failures[-1])
    return media, failures


def _show(console: Console, result: Scan) -> None:
    from fakespan.report.terminal import render

    console.print(render(result))


def _write(results: list[Scan], folder: Path, formats: Iterable[Format], embed: bool) -> list[Path]:
    """Write every result in every format; the paths."""
    from fakespan.report.export import output_paths, write_csv, write_json, write_vtt
    from fakespan.report.html import write_html

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            folder, expected="a folder to write to", got=str(error.strerror), remedy="change --out"
        ) from error
    written: list[Path] = []
    for format_ in dict.fromkeys(formats):
        if format_ is Format.csv:
            write_csv(results, folder / "results.csv")
            written.append(folder / "results.csv")
            continue
        for result, path in zip(results, output_paths([r.file for r in results], folder, format_.value), strict=True):
            if format_ is Format.html:
                write_html(result, path, embed=embed)
            else:
                {Format.json: write_json, Format.vtt: write_vtt}[format_](result, path)
            written.append(path)
    return written


def _practice_folder(data: str) -> Path:
    kind, _, folder = data.partition(":")
    if kind != "practice" or not Path(folder).is_dir():
        raise UsageError("--data", expected="practice:FOLDER of real clips", got=repr(data), remedy="change --data")
    return Path(folder)


@contextmanager
def _bar(title: str) -> Iterator[Callable[..., None]]:
    """A progress bar with time left on a terminal's stderr, nothing elsewhere; gives f(done, total)."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title.replace("[", "\\["), total=None)

        def show(done: float, total: float, note: str = "") -> None:
            progress.update(
                task, completed=done, total=max(total, 1e-6), description=f"{title} {note}".replace("[", "\\[")
            )

        yield show


def _tracked(items: Iterable[Example]) -> Iterator[Example]:
    with _bar("rating") as show:
        everything = list(items)
        for k, item in enumerate(everything):
            show(k, len(everything))
            yield item


def _complain(error: FakespanError, debug: bool = False) -> None:
    """One line on stderr, or the whole story."""
    if debug:
        traceback.print_exception(error)
    text = "".join(c if c.isprintable() else "?" for c in str(error))
    print(f"fakespan: {text}", file=sys.stderr)
