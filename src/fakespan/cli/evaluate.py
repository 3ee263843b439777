"""`fakespan evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import (
    AsJson,
    BatchSize,
    Device,
    FaceChoice,
    Limit,
    Model,
    SplitChoice,
    Workers,
    bar,
    complain,
    remark_damaged,
    show,
    wants_debug,
)
from fakespan.errors import DataError

Data = Annotated[str, typer.Option(help="lavdf:ROOT, avdeepfake1m:ROOT, dfdc:ROOT, forgerynet:ROOT, store:FOLDER.")]


def evaluate(
    data: Data,
    model: Model = "small",
    split: SplitChoice = "test",
    subset: Annotated[
        Literal["full", "visual", "audio"], typer.Option(help="Clips to evaluate; full reports all three subsets.")
    ] = "full",
    limit: Limit = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: runs/eval-MODEL-SET-SPLIT.")] = None,
    decoding: Annotated[
        Literal["aligned", "published"] | None,
        typer.Option(help="How maps are decoded; published reproduces published tables. Default: the model's."),
    ] = None,
    faces: FaceChoice = None,
    batch_size: BatchSize = None,
    workers: Workers = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Number of resamples for 95 % intervals, for instance 1000.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Discard an earlier run in --out.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat clips that are damaged or cut short as unreadable (exit code 1).")
    ] = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Evaluate a model on a data set: write its proposals and the published table.

    An interrupted run is resumed by the same command.
    """
    from fakespan.evaluate import SetOptions, evaluate_set
    from fakespan.localizer import load_model

    localizer = load_model(model, device)
    folder = out or Path("runs") / f"eval-{localizer.name}-{data.partition(':')[0]}-{split}"
    options = SetOptions(split, subset, limit, faces, decoding, batch_size, workers, bootstrap, overwrite, strict)
    with bar("predicting") as progress:
        outcome = evaluate_set(localizer, data, folder, options, progress)
    remark_damaged(outcome.damaged, "--strict counts them as unreadable")
    for name, message in outcome.unreadable.items():
        remedy = "repeat the command to try again, or remove the clip from the set"
        complain(DataError(name, expected="a readable clip", got=message, remedy=remedy), wants_debug())
    show(outcome.render(), outcome.result, as_json=as_json, indent=1)
    if outcome.unreadable:
        raise typer.Exit(1)
