"""`fakespan train`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import bar
from fakespan.types import Progress

Data = Annotated[
    str,
    typer.Option(help="lavdf:, avdeepfake1m:, dfdc: or forgerynet:FOLDER, store:FOLDER, or practice:FOLDER of clips."),
]
Changes = Annotated[list[str], typer.Option("--set", help="Change a key: table.key=value, again and again.")]
Subset = Annotated[
    Literal["full", "visual", "audio"], typer.Option(help="visual: no fakes of the sound alone; audio: of the picture.")
]
Faces = Annotated[
    Literal["auto", "whole"] | None, typer.Option(help="How faces are found; as the set needs it unless given.")
]
Precision = Annotated[Literal["32", "bf16", "16"] | None, typer.Option(help="The config's unless given.")]


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file, see configs/.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NAME of the config unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in this folder was.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in this folder.")] = False,
    changes: Changes = [],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many devices train together.")] = 1,
    precision: Precision = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many clips of each split.")] = None,
    subset: Subset = "full",
    faces: Faces = None,
) -> None:
    """Train a network on a data set or on practice forgeries, then fit its threshold on validation clips."""
    from fakespan import train as training

    is_first = training.is_first_process()
    run = training.load_run_config(config, [*changes, *([f'train.precision="{precision}"'] if precision else [])])
    folder = out or Path("runs") / run.name
    with _bar("reading the clips", is_first) as progress:
        cache = folder.parent / "practice-cache"
        clips = training.open_data(data, run, cache, subset=subset, limit=limit, faces=faces, progress=progress)
    with _bar("training", is_first) as progress:
        path = training.train(
            run, clips, folder, progress, device=device, n_devices=devices, resume=resume, overwrite=overwrite
        )
    if not is_first:
        return
    if not len(clips.threshold):
        print(f"{path}: threshold {run.post.threshold}, not fitted: no real clip to validate on")
        return
    with bar("fitting the threshold") as progress:
        checkpoint = training.fit_threshold(path, run, clips.threshold, device, progress)
    print(f"{path}: threshold {checkpoint.post.threshold}")


def _bar(title: str, is_first: bool) -> AbstractContextManager[Progress | None]:
    """Of several processes that train together one shows its progress."""
    return bar(title) if is_first else nullcontext()
