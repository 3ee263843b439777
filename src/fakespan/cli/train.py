"""`fakespan train`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import AsJson, FaceChoice, SubsetChoice, bar, printable, show
from fakespan.types import Progress

Data = Annotated[
    str,
    typer.Option(
        help="lavdf:, avdeepfake1m:, dfdc: or forgerynet:FOLDER, store:FOLDER, sound-bank: or picture-bank:FOLDER."
    ),
]
Changes = Annotated[
    list[str], typer.Option("--set", help="Override a key of the config: table.key=value; may be repeated.")
]
Precision = Annotated[Literal["32", "bf16", "16"] | None, typer.Option(help="Default: the config's.")]


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file, see configs/.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME of the config.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in this folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in this folder.")] = False,
    changes: Changes = [],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Number of devices to train on.")] = 1,
    precision: Precision = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips of each split.")] = None,
    subset: SubsetChoice = "full",
    faces: FaceChoice = None,
    as_json: AsJson = False,
) -> None:
    """Train a network on a data set or on banks, then fit its threshold on validation clips."""
    from fakespan import train as training

    is_first = training.is_first_process()
    run = training.load_run_config(config, [*changes, *([f'train.precision="{precision}"'] if precision else [])])
    folder = out or Path("runs") / run.name
    clips = training.open_data(data, run, subset=subset, limit=limit, faces=faces)
    with _bar("training", is_first) as progress:
        path = training.train(
            run, clips, folder, progress, device=device, n_devices=devices, resume=resume, overwrite=overwrite
        )
    if not is_first:
        return
    if not len(clips.threshold):
        text = f"{printable(path)}: threshold {run.post.threshold}, not fitted: there are no real validation clips"
        show(text, {"model": str(path), "threshold": run.post.threshold, "is_fitted": False}, as_json=as_json)
        return
    with bar("fitting the threshold") as progress:
        checkpoint = training.fit_threshold(path, run, clips.threshold, device, progress)
    threshold = checkpoint.post.threshold
    record = {"model": str(path), "threshold": threshold, "is_fitted": True}
    show(f"{printable(path)}: threshold {threshold}", record, as_json=as_json)


def _bar(title: str, is_first: bool) -> AbstractContextManager[Progress | None]:
    """A progress bar in the first of several training processes, none in the others."""
    return bar(title) if is_first else nullcontext()
