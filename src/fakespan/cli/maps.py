"""`fakespan maps`: store the boundary maps of a split, to fit or test a verdict head on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakespan.cli.shared import (
    AsJson,
    BatchSize,
    Device,
    FaceChoice,
    Limit,
    Model,
    SplitChoice,
    SubsetChoice,
    Workers,
    bar,
    complain,
    note,
    printable,
    show,
    wants_debug,
)
from fakespan.errors import DataError

if TYPE_CHECKING:
    from fakespan.verdict.maps import Made


def maps(
    data: Annotated[str, typer.Option(help="KIND:ROOT, for instance dfdc:/data/DFDC, or store:FOLDER.")],
    split: SplitChoice,
    out: Annotated[Path, typer.Option(help="Folder of the maps; created if missing, resumed if incomplete.")],
    model: Model = "small",
    subset: SubsetChoice = "full",
    limit: Limit = None,
    faces: FaceChoice = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Store the boundary maps of a split, as input of `fakespan verdict`.

    An interrupted run is resumed by the same command. Exit code 1: some clips could not be read.
    """
    from fakespan.localizer import load_model
    from fakespan.verdict.maps import MapOptions, make_split_maps

    with bar("maps") as progress:
        options = MapOptions(subset, limit, faces, batch_size, workers)
        made = make_split_maps(load_model(model, device), data, split, out, options, progress=progress)
    _summarise(made, as_json)
    if made.unreadable:
        raise typer.Exit(1)


def _summarise(made: Made, as_json: bool) -> None:
    for name, message in made.unreadable.items():
        remedy = "repeat the command to try again, or remove the clip from the set"
        complain(DataError(name, expected="a readable clip", got=message, remedy=remedy), wants_debug())
    numbers = {"clips": made.n_clips, "fake": made.n_fake, "new": made.n_new, "unlabelled": made.n_unlabelled}
    sizes = {"frames": made.n_frames, "bytes": made.n_bytes}
    record = {"maps": str(made.folder), **numbers, **sizes, "unreadable": dict(made.unreadable)}
    size = f"{made.n_bytes / 1e6:.1f} MB"
    if made.n_clips:
        size += f" ({made.n_bytes / 1e3 / made.n_clips:.1f} MB for 1,000 of them)"
    where = f"in {printable(made.folder)} ({made.n_new} new)"
    show(f"{made.n_clips} clips, {made.n_fake} of them fake, {where}, {size}", record, as_json=as_json)
    if made.n_unlabelled and not as_json:
        note(f"{made.n_unlabelled} clips are left out: the data set has no label for them")
