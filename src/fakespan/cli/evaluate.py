"""`fakespan evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.shared import Device, Model, bar, complain, tracked, wants_debug
from fakespan.errors import DataError, UsageError

if TYPE_CHECKING:
    from fakespan.localizer import Localizer

Data = Annotated[str, typer.Option(help="lavdf:ROOT, avdeepfake1m:ROOT, dfdc:ROOT, forgerynet:ROOT, store:FOLDER or "
                                        "practice:FOLDER.")]  # fmt: skip


def evaluate(
    data: Data,
    model: Model = "small",
    split: Annotated[str, typer.Option(help="train, validation (or dev, val) or test.")] = "test",
    subset: Annotated[
        Literal["full", "visual", "audio"], typer.Option(help="Which clips are rated; full is rated on all three.")
    ] = "full",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many clips.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; runs/eval-MODEL-SET-SPLIT unless given.")
    ] = None,
    decoding: Annotated[
        Literal["aligned", "published"] | None,
        typer.Option(help="How a map is read; published reproduces published tables. The model's own unless given."),
    ] = None,
    faces: Annotated[
        Literal["auto", "whole"] | None, typer.Option(help="How faces are found; as the set needs it unless given.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Clips judged at once; more on an accelerator.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that decode ahead.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Draws for 95 % intervals, for instance 1000.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Forget what --out holds of an earlier run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="practice: names the splits; the config in the model file unless given.")
    ] = None,
    n_examples: Annotated[int, typer.Option("--count", min=2, help="practice: how many clips are forged.")] = 400,
    cache: Annotated[Path, typer.Option(help="practice: folder of decoded clips.")] = Path("runs"),
    device: Device = "auto",
) -> None:
    """Rate a model on a data set: its proposals, and the published table.

    A run that was stopped goes on where it was. With practice:FOLDER of real clips it is rated on practice forgeries of
    held-out clips and on false alarms in the untouched ones; --out is then a JSON file.
    """
    from fakespan.localizer import load_model

    localizer = load_model(model, device)
    if data.startswith("practice:"):
        _practice(localizer, data, split, config, n_examples, out, cache)
        return
    from fakespan.evaluate import SetOptions, evaluate_set

    folder = out or Path("runs") / f"eval-{localizer.name}-{data.partition(':')[0]}-{split}"
    options = SetOptions(split, subset, limit, faces, decoding, batch, workers, bootstrap, overwrite)
    with bar("predicting") as progress:
        said = evaluate_set(localizer, data, folder, options, progress)
    for name, message in said.unreadable.items():
        remedy = "run again to try once more, or leave the clip out of the set"
        complain(DataError(name, expected="a clip that can be read", got=message, remedy=remedy), wants_debug())
    if as_json:
        print(json.dumps(said.result, indent=1))
    else:
        from rich.console import Console

        Console().print(said.render())
    if said.unreadable:
        raise typer.Exit(1)


def _practice(
    localizer: Localizer,
    data: str,
    split: str,
    config: Path | None,
    n_examples: int,
    out: Path | None,
    cache: Path,
) -> None:
    from fakespan import train as training
    from fakespan.config import from_mapping
    from fakespan.evaluate import evaluate_split

    folder = Path(data.partition(":")[2])
    if not folder.is_dir():
        raise UsageError("--data", expected="practice:FOLDER of real clips", got=repr(data), remedy="change --data")
    if split not in ("validation", "test"):
        raise UsageError("--split", expected="validation or test", got=repr(split), remedy="change --split")
    if config is None and "config" not in localizer.notes:
        got = f"none in {localizer.name}"
        raise UsageError("--config", expected="the config of a training", got=got, remedy="give --config")
    run = (
        training.load_run_config(config)
        if config is not None
        else from_mapping(training.RunConfig, localizer.notes["config"], f"{localizer.name}: config")
    )
    with bar("decoding clips") as progress:
        clips = training.load_clips(run, folder, cache / "practice-cache", (split,), progress)[split]
    examples = training.PracticeSet(clips, run.practice, run.train.seed + 2, n_examples, localizer.model.framing)
    files = training.find_clips(folder, run.clips)[split]
    numbers = evaluate_split(
        localizer, [examples[k] for k in range(n_examples)], files, lambda items: tracked(items, "rating")
    )
    text = json.dumps({"model": localizer.name, "split": split, **numbers}, indent=1)
    print(text)
    if out is not None:
        from fakespan.report.files import write_text

        write_text(out, text + "\n")
