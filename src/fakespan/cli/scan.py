"""`fakespan scan` and `fakespan report`: scan media files, render results."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.shared import Device, Model, each, note, output_folder, reported, wants_quiet
from fakespan.config import Decoding
from fakespan.errors import FakespanError, MediaError
from fakespan.types import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from fakespan.types import Scan

# fmt: off
MEDIA_SUFFIXES = frozenset({
    ".3gp", ".aac", ".avi", ".flac", ".flv", ".m2ts", ".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".mpeg",
    ".mpg", ".mts", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv",
})
# fmt: on
"""Files that are scanned in a folder; a file named explicitly is read whatever its suffix."""


Faces = Literal["auto", "whole", "none"]


class Format(enum.StrEnum):
    """Output formats of --out; typer has no lists of literals."""

    html = "html"
    json = "json"
    csv = "csv"
    vtt = "vtt"
    svg = "svg"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON record per line and nothing else.")]
Embed = Annotated[bool, typer.Option("--embed", help="Put the video inside the HTML page.")]
FaceChoice = Annotated[
    Faces, typer.Option(help="auto: track faces; whole: use the whole frame as a face; none: audio only.")
]

Formats = Annotated[list[Format], typer.Option("--format", "-f", help="Output format of --out; may be repeated.")]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Score from which a segment counts as forged; default: the model's.")
]
DecodingChoice = Annotated[
    Decoding | None, typer.Option(help="How maps are decoded; default: the model's. published: as in published tables.")
]


def scan(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Media files, or folders of them.")],
    model: Model = "small",
    faces: FaceChoice = "auto",
    threshold: Threshold = None,
    decoding: DecodingChoice = None,
    out: Annotated[Path | None, typer.Option(help="Output folder, created if missing.")] = None,
    formats: Formats = [Format.html, Format.json],
    embed: Embed = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Find and show the forged segments of media files."""
    from fakespan.localizer import load_model

    media, failures = media_files(files)
    output = _Output(output_folder(out), [str(path) for path in media], formats, embed) if out else None
    if not media:
        raise typer.Exit(1)
    localizer = load_model(model, device)

    def work(path: Path, progress: Progress) -> Scan:
        return localizer.scan(
            path,
            faces=faces,
            threshold=threshold,
            decoding=decoding,
            progress=progress,
        )

    show = _printer(as_json)
    results: list[Scan] = []
    for number, result in each(media, work, failures):
        results.append(result)
        show(result)
        if output is not None:
            output.write(number, results, failures, quiet=as_json)
    if failures:
        raise typer.Exit(1)


def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="JSON files written by `fakespan scan`.")],
    out: Annotated[Path, typer.Option(help="Output folder, created if missing.")] = Path(),
    formats: Formats = [Format.html],
    embed: Embed = False,
    as_json: AsJson = False,
) -> None:
    """Render saved results again, in any format, without the model."""
    from fakespan.report.export import read_json

    failures: list[FakespanError] = []
    scans = [result for _, result in each(results, lambda path, _: read_json(path), failures)]
    output, show = _Output(output_folder(out), [result.file for result in scans], formats, embed), _printer(as_json)
    for number, result in enumerate(scans):
        show(result)
        output.write(number, scans[: number + 1], failures, quiet=as_json)
    if failures:
        raise typer.Exit(1)


def media_files(paths: Iterable[Path]) -> tuple[list[Path], list[FakespanError]]:
    """Replace folders by the media files in them; folders without any are reported on stderr and returned."""
    media: list[Path] = []
    failures: list[FakespanError] = []
    for path in paths:
        if not path.is_dir():
            media.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES and p.is_file())
        media += inside
        if not inside:
            with reported(path, failures):
                remedy = "name the files themselves"
                raise MediaError(path, expected="a folder with media files", got="none in it", remedy=remedy)
    return media, failures


class _Output:
    """The files that --out writes. The results of a file are written as soon as it is scanned."""

    def __init__(self, folder: Path, files: Sequence[str], formats: Iterable[Format], embed: bool) -> None:
        from fakespan.report.export import output_paths

        self.embed, self.table = embed, folder / "results.csv"
        self.paths = {f: output_paths(files, folder, f.value) for f in dict.fromkeys(formats)}

    def write(
        self, number: int, results: Sequence[Scan], failures: list[FakespanError], *, quiet: bool = False
    ) -> None:
        """Write the latest result, that of file `number`, and print the paths. The CSV holds all results."""
        with reported(Path(results[-1].file), failures):
            written = [self._write_as(format_, number, results) for format_ in self.paths]
            if not quiet:
                note("written: " + ", ".join(map(str, written)))

    def _write_as(self, format_: Format, number: int, results: Sequence[Scan]) -> Path:
        from fakespan.report.export import WRITERS, write_csv
        from fakespan.report.html import write_html

        path = self.table if format_ is Format.csv else self.paths[format_][number]
        if format_ is Format.csv:
            write_csv(results, path)
        elif format_ is Format.html:
            write_html(results[-1], path, embed=self.embed)
        else:
            WRITERS[format_.value](results[-1], path)
        return path


def _print_json(result: Scan) -> None:
    from fakespan.report.export import json_text

    print(json_text(result), end="", flush=True)


def _printer(as_json: bool) -> Callable[[Scan], None]:
    """A function that prints a result to the terminal."""
    if as_json or wants_quiet():
        return _print_json if as_json else lambda result: None
    from rich.console import Console

    from fakespan.report.terminal import render

    console: Console = Console()
    return lambda result: console.print(render(result))
