"""`fakespan evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakespan.cli.shared import Device, Model, bar, tracked
from fakespan.cli.train import DataFolder, practice_folder
from fakespan.errors import UsageError

if TYPE_CHECKING:
    from fakespan.localizer import Localizer


def evaluate(
    config: Annotated[Path, typer.Argument(help="The config that the model was trained with: it names the splits.")],
    data: DataFolder,
    model: Model = "small",
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    n_examples: Annotated[int, typer.Option("--count", min=2, help="How many practice clips are rated.")] = 400,
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file too.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder of decoded clips.")] = Path("runs"),
    device: Device = "auto",
) -> None:
    """Rate a model on practice forgeries of held-out clips, and count its false alarms on the untouched clips."""
    from fakespan import train as training
    from fakespan.evaluate import evaluate_split
    from fakespan.localizer import load_model

    run, root_folder = training.load_run_config(config), practice_folder(data)
    localizer: Localizer = load_model(model, device)
    if split not in ("validation", "test"):
        raise UsageError("--split", expected="validation or test", got=repr(split), remedy="change --split")
    with bar("decoding clips") as progress:
        clips = training.load_clips(run, root_folder, cache / "practice-cache", (split,), progress)[split]
    examples = training.PracticeSet(clips, run.practice, run.train.seed + 2, n_examples)
    files = training.find_clips(root_folder, run.clips)[split]
    numbers = evaluate_split(
        localizer, [examples[k] for k in range(n_examples)], files, lambda items: tracked(items, "rating")
    )
    text = json.dumps({"model": localizer.name, "split": split, **numbers}, indent=1)
    print(text)
    if out is not None:
        from fakespan.report.files import write_text

        write_text(out, text + "\n")
