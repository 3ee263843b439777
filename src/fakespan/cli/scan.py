"""`fakespan scan` and `fakespan report`: scan media files, render results."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from fakespan.cli.folders import media_files
from fakespan.cli.output import Format, ResultFiles, check_formats
from fakespan.cli.shared import Device, Model, bar, complain, each, wants_debug, wants_quiet
from fakespan.config import Backend, Decoding
from fakespan.errors import FakespanError, MediaError
from fakespan.times import parse_range

if TYPE_CHECKING:
    from rich.console import Console

    from fakespan.types import Scan

Faces = Literal["auto", "whole", "none"]

ScanWorkers = Annotated[
    int, typer.Option("--workers", min=1, help="Processes that scan at the same time; results come as they are ready.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON record per line and nothing else.")]
Embed = Annotated[bool, typer.Option("--embed", help="Put the video inside the HTML page.")]
Reference = Annotated[
    Path | None,
    typer.Option("--reference", metavar="FILE", help="An untouched take, with which the HTML page compares the file."),
]
FaceChoice = Annotated[
    Faces, typer.Option(help="auto: track faces; whole: use the whole frame as a face; none: audio only.")
]

SoundChoice = Annotated[
    Literal["speech", "all"], typer.Option(help="speech: judge the sound where somebody speaks; all: any sound.")
]
Formats = Annotated[
    list[Format] | None,
    typer.Option("--format", "-f", help="Output format of --out, may be repeated; default: html and json."),
]
ReportFormats = Annotated[list[Format], typer.Option("--format", "-f", help="Output format; may be repeated.")]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Score from which a segment counts as forged; default: the model's.")
]
DecodingChoice = Annotated[
    Decoding | None, typer.Option(help="How maps are decoded; default: the model's. published: as in published tables.")
]
BackendChoice = Annotated[
    Backend,
    typer.Option(help="Library that runs the network; auto: onnx for an ONNX file, or where torch is not installed."),
]


VideoTrack = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Number of the video track; default: the usual one, unless another has more faces."
    ),
]
AudioTrack = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Number of the audio track; default: the usual one, unless another has more speech."
    ),
]


Start = Annotated[
    str | None, typer.Option(metavar="TIME", help="Judge from this time of the file on: seconds, m:ss or h:mm:ss.")
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="Judge up to this time of the file.")]
SignKey = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY", help="Sign the results with this private key (Ed25519, PEM).")
]
Prior = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of forged files that you expect among files like these, for the probability of a whole file; "
        "default: 0.5, or that of the videos which a verdict head was calibrated on.",
    ),
]

Strict = Annotated[bool, typer.Option("--strict", help="Refuse files that are damaged or cut short (exit code 1).")]


def scan(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Media files, or folders of them.")],
    model: Model = "small",
    faces: FaceChoice = "auto",
    sound: SoundChoice = "speech",
    threshold: Threshold = None,
    decoding: DecodingChoice = None,
    prior: Prior = None,
    start: Start = None,
    end: End = None,
    video_track: VideoTrack = None,
    audio_track: AudioTrack = None,
    strict: Strict = False,
    out: Annotated[Path | None, typer.Option(help="Output folder, created if missing.")] = None,
    formats: Formats = None,
    embed: Embed = False,
    reference: Reference = None,
    as_json: AsJson = False,
    device: Device = "auto",
    workers: ScanWorkers = 1,
    backend: BackendChoice = "auto",
    key: SignKey = None,
) -> None:
    """Find and show the forged segments of media files."""
    check_formats(out, formats, embed, reference)
    output = ResultFiles(out, formats or [Format.html, Format.json], embed, reference) if out else None
    sign = _signer(key)
    media, failures = media_files(files)
    if not media:
        raise typer.Exit(1)
    options = {"faces": faces, "sound": sound, "threshold": threshold, "decoding": decoding, "prior": prior}
    options |= {"video_track": video_track, "audio_track": audio_track}
    options["start_s"], options["end_s"] = parse_range(start, end)
    network = _Network(model, device, backend)
    if workers == 1:
        results = _in_turn(media, network, options, failures)
    else:
        results = _side_by_side(media, workers, network, options, failures)
    show = _printer(as_json)
    for result in map(sign, _undamaged(results, failures) if strict else results):
        show(result)
        if output is not None:
            output.write(result, failures, quiet=as_json)
    if failures:
        raise typer.Exit(1)


def _undamaged(results: Iterable[Scan], failures: list[FakespanError]) -> Iterator[Scan]:
    """The results of undamaged files; a file of which a stretch was not judged because it is damaged is a failure."""
    for result in results:
        if damaged := [stretch for stretch in result.not_judged if stretch.reason == "damaged"]:
            got = "damage at " + ", ".join(f"{s.start_s:.2f}-{s.end_s:.2f} s" for s in damaged[:3])
            remedy = "copy or download it again, or leave out --strict"
            failures.append(MediaError(result.file, expected="a file without damage", got=got, remedy=remedy))
            complain(failures[-1], wants_debug())
        else:
            yield result


def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="JSON files written by `fakespan scan`.")],
    out: Annotated[Path, typer.Option(help="Output folder, created if missing.")] = Path(),
    formats: ReportFormats = [Format.html],
    embed: Embed = False,
    reference: Reference = None,
    as_json: AsJson = False,
    key: SignKey = None,
) -> None:
    """Render saved results again, in any format, without the model."""
    from fakespan.report.export import read_json

    check_formats(out, formats, embed, reference)
    failures: list[FakespanError] = []
    output, show, sign = ResultFiles(out, formats, embed, reference), _printer(as_json), _signer(key)
    for _, result in each(results, lambda path, _: sign(read_json(path)), failures):
        show(result)
        output.write(result, failures, quiet=as_json)
    if failures:
        raise typer.Exit(1)


class _Network(NamedTuple):
    """What is run, where and by what; arguments of `load_model`."""

    model: str
    device: str
    backend: Backend


def _in_turn(
    media: Sequence[Path], network: _Network, options: Mapping[str, Any], failures: list[FakespanError]
) -> Iterator[Scan]:
    """Scans in this process."""
    from fakespan.localizer import load_model

    localizer = load_model(*network)
    localizer.options(prior=options["prior"])  # a wrong one is no fault of the files
    for _, result in each(media, lambda path, progress: localizer.scan(path, progress=progress, **options), failures):
        yield result


def _side_by_side(
    media: Sequence[Path],
    workers: int,
    network: _Network,
    options: Mapping[str, Any],
    failures: list[FakespanError],
) -> Iterator[Scan]:
    """Scans in worker processes, as they are ready."""
    from fakespan.bulk.engines import on_this_machine
    from fakespan.bulk.listing import Item
    from fakespan.bulk.worker import Setup

    threads = max(1, (os.cpu_count() or 1) // workers)
    setup = Setup(network.model, network.device, options, threads, backend=network.backend)
    outcomes = on_this_machine(setup, workers)([Item(str(path)) for path in media], ())
    with bar(f"{len(media)} files") as progress, contextlib.closing(outcomes):
        for n_done, outcome in enumerate(outcomes, 1):
            progress(n_done, len(media))
            if outcome.scan is not None:
                yield outcome.scan
            elif outcome.error is not None:
                failures.append(outcome.error)
                complain(outcome.error, wants_debug())


def _signer(path: Path | None) -> Callable[[Scan], Scan]:
    """A function that signs a result with the key in a file; without one it gives the result back as it is."""
    if path is None:
        return lambda result: result
    from fakespan.evidence.keys import private_key
    from fakespan.evidence.signing import sign

    key = private_key(path)
    return lambda result: sign(result, key)


def _print_json(result: Scan) -> None:
    from fakespan.report.export import json_text

    print(json_text(result), end="", flush=True)


def _printer(as_json: bool) -> Callable[[Scan], None]:
    """A function that prints a result to the terminal."""
    if as_json or wants_quiet():
        return _print_json if as_json else lambda result: None
    from rich.console import Console

    from fakespan.report.terminal import render

    console: Console = Console(emoji=False)
    return lambda result: console.print(render(result))
