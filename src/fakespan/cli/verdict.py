"""`fakespan verdict`: fit a video-level head on stored maps, test it, and join it to its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import AsJson, Model, Overwrite, bar, check_output, printable, show
from fakespan.errors import UsageError

app = typer.Typer(
    help="Video-level labels from boundary maps.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def fit(
    train: Annotated[Path, typer.Option(help="Training maps: a folder written by `fakespan maps`.")],
    val: Annotated[Path, typer.Option(help="Validation maps, for early stopping, thresholds and calibration.")],
    out: Annotated[Path, typer.Option(help="The head to write, *.safetensors.")],
    config: Annotated[Path | None, typer.Option(help="TOML with a table [verdict]; see configs/verdict.toml.")] = None,
    way: Annotated[
        Literal["maximum", "mlp"] | None,
        typer.Option(help="The method that decides; default: the one that ranks the validation videos better."),
    ] = None,
    allow_shared_originals: Annotated[
        bool, typer.Option("--allow-shared-originals", help="Permit an original or its fakes in both.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Fit both verdict methods: the threshold of the map's maximum, and a 3-layer network over the map.

    The localizer is not changed. Thresholds and calibrations are fitted on the validation maps only.
    """
    from fakespan.checkpoint import save_head
    from fakespan.checkpoint.head import head_entry
    from fakespan.verdict.fit import fit_head, load_verdict_config
    from fakespan.verdict.maps import open_maps
    from fakespan.verdict.table import render_fit

    check_output(out, overwrite)
    options = None if config is None else load_verdict_config(config)
    train_maps, validation_maps = open_maps(train), open_maps(val)
    with bar("fitting") as progress:
        head = fit_head(
            train_maps,
            validation_maps,
            options,
            way=way,
            allow_shared_originals=allow_shared_originals,
            progress=progress,
        )
    save_head(out, head)
    show(render_fit(head, out.name), head_entry(head), as_json=as_json, indent=1)


@app.command("test")
def rate(
    maps: Annotated[Path, typer.Option(help="Maps of clips that the head was not fitted on.")],
    head: Annotated[Path, typer.Option(help="A head written by `fakespan verdict fit`.")],
    bootstrap: Annotated[int, typer.Option(min=0, help="Number of resamples for 95 % intervals; 0 for none.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for ROC curves, reliability diagrams and histograms.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers to this JSON file.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate all verdict methods side by side: ranking, decisions and probabilities."""
    from fakespan.checkpoint import load_head
    from fakespan.files import write_text
    from fakespan.verdict.maps import open_maps
    from fakespan.verdict.rate import rate_maps
    from fakespan.verdict.table import draw, render

    if out is not None:
        check_output(out, overwrite)
    fitted, stored = load_head(head), open_maps(maps)
    with bar("rating") as progress:
        rating = rate_maps(stored, fitted, n_bootstrap=bootstrap, seed=seed, progress=progress)
    record = rating.to_dict()
    show(render(rating, head.name), record, as_json=as_json, indent=1)
    if out is not None:
        write_text(out, json.dumps(record, indent=1, allow_nan=False) + "\n")
    if plots is not None:
        draw(rating, plots)


@app.command()
def join(
    head: Annotated[Path, typer.Argument(help="A head written by `fakespan verdict fit`.")],
    out: Annotated[Path, typer.Option(help="The model file to write, *.safetensors.")],
    model: Model = "small",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a head and the model whose maps it was fitted on to one file, for `fakespan scan --model`.

    A head fitted on the maps of another model is refused.
    """
    from fakespan.checkpoint import load_head, save_checkpoint
    from fakespan.localizer import load_model

    if head.exists() and out.exists() and head.samefile(out):
        raise UsageError("--out", expected="a new file", got="the head itself", remedy="choose another name")
    check_output(out, overwrite)
    fitted, localizer = load_head(head), load_model(model, "cpu")
    save_checkpoint(
        out,
        localizer.network,
        name=localizer.name,
        model=localizer.model,
        post=localizer.post,
        notes=localizer.notes,
        head=fitted,
    )
    show(f"written: {printable(out)}", {"model": str(out)}, as_json=as_json)
