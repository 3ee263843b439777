"""`fakespan evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    show,
    tracked,
    wants_debug,
)
from fakespan.errors import DataError, UsageError

if TYPE_CHECKING:
    from fakespan.localizer import Localizer

Data = Annotated[str, typer.Option(help="lavdf:ROOT, avdeepfake1m:ROOT, dfdc:ROOT, forgerynet:ROOT, store:FOLDER or "
                                        "practice:FOLDER.")]  # fmt: skip


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
    as_json: AsJson = False,
    config: Annotated[
        Path | None, typer.Option(help="practice: config that defines the splits; default: the one in the model file.")
    ] = None,
    n_examples: Annotated[int, typer.Option("--count", min=2, help="practice: number of clips to forge.")] = 400,
    cache: Annotated[Path, typer.Option(help="practice: folder of decoded clips.")] = Path("runs"),
    device: Device = "auto",
) -> None:
    """Evaluate a model on a data set: write its proposals and the published table.

    An interrupted run is resumed by the same command. With practice:FOLDER of genuine clips the model is evaluated on
    practice forgeries of held-out clips and on false alarms in the untouched ones; --out is then a JSON file.
    """
    from fakespan.localizer import load_model

    localizer = load_model(model, device)
    if data.startswith("practice:"):
        _practice(localizer, data, split, config, n_examples, out, cache)
        return
    from fakespan.evaluate import SetOptions, evaluate_set

    folder = out or Path("runs") / f"eval-{localizer.name}-{data.partition(':')[0]}-{split}"
    options = SetOptions(split, subset, limit, faces, decoding, batch_size, workers, bootstrap, overwrite)
    with bar("predicting") as progress:
        outcome = evaluate_set(localizer, data, folder, options, progress)
    for name, message in outcome.unreadable.items():
        remedy = "repeat the command to try again, or remove the clip from the set"
        complain(DataError(name, expected="a readable clip", got=message, remedy=remedy), wants_debug())
    show(outcome.render(), outcome.result, as_json=as_json, indent=1)
    if outcome.unreadable:
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
        raise UsageError("--data", expected="practice:FOLDER of genuine clips", got=repr(data), remedy="change --data")
    if split not in ("validation", "test"):
        raise UsageError("--split", expected="validation or test", got=repr(split), remedy="change --split")
    if config is None and "config" not in localizer.notes:
        got = f"none in {localizer.name}"
        raise UsageError("--config", expected="a training config", got=got, remedy="give --config")
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
        from fakespan.files import write_text

        write_text(out, text + "\n")
