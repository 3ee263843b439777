"""`fakespan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fakespan.cli.shared import bar
from fakespan.errors import UsageError

DataFolder = Annotated[str, typer.Option(help="practice:FOLDER, a folder of real clips to forge practice clips from.")]


def train(
    config: Annotated[Path, typer.Argument(help="A TOML file, see configs/.")],
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="Folder of the run: log and checkpoints.")] = Path("runs/small"),
) -> None:
    """Train a network on practice forgeries, then fit its threshold on validation clips."""
    from fakespan import train as training

    run, root_folder = training.load_run_config(config), practice_folder(data)
    with bar("decoding clips") as progress:
        clips = training.load_clips(run, root_folder, out.parent / "practice-cache", ("train", "validation"), progress)
    with bar("training") as progress:
        path = training.train(run, clips["train"], out, progress)
    checkpoint = training.fit_threshold(path, run, clips["validation"])
    print(f"{path}: threshold {checkpoint.post.threshold}")


def practice_folder(data: str) -> Path:
    """The folder of practice:FOLDER."""
    kind, _, folder = data.partition(":")
    if kind != "practice" or not Path(folder).is_dir():
        raise UsageError("--data", expected="practice:FOLDER of real clips", got=repr(data), remedy="change --data")
    return Path(folder)
