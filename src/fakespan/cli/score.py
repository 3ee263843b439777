"""`fakespan score`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import AsJson, Split, bar, check_output, output_folder, show
from fakespan.config import FPS
from fakespan.errors import UsageError

Missing = Literal["error", "zero"]
Preset = Literal["lavdf", "avdeepfake1m"]
Bootstrap = Annotated[int, typer.Option(min=0, help="Number of resamples for 95 % intervals, for instance 1000.")]
Fps = Annotated[
    float | None,
    typer.Option(help="Unit of begin and end in JSON: 25 for frames (default), 1 for seconds. Parquet is in seconds."),
]


def score(
    proposals: Annotated[Path, typer.Argument(help="{file: [[score, begin, end], ...]} as .json, or .parquet.")],
    metadata: Annotated[Path, typer.Argument(help="The metadata file of LAV-DF or AV-Deepfake1M.")],
    fps: Fps = None,
    split: Annotated[
        Split | None, typer.Option(help="Default: the splits that occur in the proposals; dev and val mean validation.")
    ] = None,
    bootstrap: Bootstrap = 0,
    missing: Annotated[
        Missing, typer.Option(help="A video without proposals: error, or zero (nothing found).")
    ] = "error",
    preset: Annotated[Preset | None, typer.Option(help="Which IoU thresholds and N; default: by the metadata.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the resamples of --bootstrap; default: 0.")] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers to this JSON file.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots of precision, recall and scores.")] = None,
) -> None:
    """Score a proposals file: AP, AR and AUC as published, per subset and per length of the forged spans."""
    if fps is not None and proposals.suffix == ".parquet":
        raise UsageError("--fps", expected="JSON with it", got="Parquet, which is in seconds", remedy="leave --fps out")
    _check_options(seed, bootstrap, out, plots)
    from fakespan.scoring.score import ScoreOptions, read_both
    from fakespan.scoring.score import score as rate
    from fakespan.scoring.score_table import draw, render

    found, truth = read_both(proposals, metadata, FPS if fps is None else fps)
    truth = truth.prepared(found, split, preset)
    with bar("resampling") as progress:
        options = ScoreOptions(n_bootstrap=bootstrap, missing=missing, seed=seed or 0)
        result = rate(found, truth, options, progress)
    record = result.to_dict()
    show(render(result, proposals.name), record, as_json=as_json, indent=1)
    if out is not None:
        from fakespan.files import write_text

        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        write_text(out, text, sources=(str(proposals), str(metadata)))
    if plots is not None:
        draw(result, plots)


def _check_options(seed: int | None, bootstrap: int, out: Path | None, plots: Path | None) -> None:
    """Raise UsageError before the work if an option has no effect or results could not be written."""
    if seed is not None and not bootstrap:
        raise UsageError("--seed", expected="--bootstrap with it", got="none", remedy="add --bootstrap 1000")
    if out is not None:
        check_output(out, overwrite=True)
    if plots is not None:
        output_folder(plots, "--plots")
