"""`fakespan maps`: store the boundary maps of a split, to fit or test a verdict head on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.shared import Device, Model, bar, complain, printable, wants_debug
from fakespan.errors import DataError

if TYPE_CHECKING:
    from fakespan.verdict.maps import Made


def maps(
    data: Annotated[str, typer.Option(help="KIND:ROOT, for instance dfdc:/data/DFDC, or store:FOLDER.")],
    split: Annotated[str, typer.Option(help="train, validation (or dev, val) or test.")],
    out: Annotated[Path, typer.Option(help="Folder of the maps; created if missing, resumed if incomplete.")],
    model: Model = "small",
    subset: Annotated[
        Literal["full", "visual", "audio"],
        typer.Option(help="visual: no audio-only fakes; audio: no visual-only fakes."),
    ] = "full",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips.")] = None,
    faces: Annotated[
        Literal["auto", "whole"] | None, typer.Option(help="How faces are detected; default: what the data set needs.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Clips per batch; more on an accelerator.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode ahead.")] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Store the boundary maps of a split, as input of `fakespan verdict`.

    An interrupted run is resumed by the same command. Exit code 1: some clips could not be read.
    """
    from fakespan.localizer import load_model
    from fakespan.verdict.maps import MapOptions, make_split_maps

    with bar("maps") as show:
        options = MapOptions(subset, limit, faces, batch_size, workers)
        made = make_split_maps(load_model(model, device), data, split, out, options, progress=show)
    _summarise(made, as_json)
    if made.unreadable:
        raise typer.Exit(1)


def _summarise(made: Made, as_json: bool) -> None:
    for name, message in made.unreadable.items():
        remedy = "repeat the command to try again, or remove the clip from the set"
        complain(DataError(name, expected="a readable clip", got=message, remedy=remedy), wants_debug())
    if as_json:
        numbers = {"clips": made.n_clips, "fake": made.n_fake, "new": made.n_new, "unlabelled": made.n_unlabelled}
        sizes = {"frames": made.n_frames, "bytes": made.n_bytes}
        print(json.dumps({"maps": str(made.folder), **numbers, **sizes, "unreadable": dict(made.unreadable)}))
        return
    size = f"{made.n_bytes / 1e6:.1f} MB"
    if made.n_clips:
        size += f" ({made.n_bytes / 1e3 / made.n_clips:.1f} MB for 1,000 of them)"
    print(f"{made.n_clips} clips, {made.n_fake} of them fake, in {printable(made.folder)} ({made.n_new} new), {size}")
    if made.n_unlabelled:
        print(f"{made.n_unlabelled} clips are left out: the data set has no label for them")
