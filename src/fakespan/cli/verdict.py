"""`fakespan verdict`: one label for a whole video; a head is fitted on maps, tested, and joined to its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import Model, bar, printable
from fakespan.errors import UsageError

app = typer.Typer(
    help="One label for a whole video, from its boundary map.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Anew = Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def fit(
    train: Annotated[Path, typer.Option(help="Maps to learn from: a folder that `fakespan maps` wrote.")],
    val: Annotated[Path, typer.Option(help="Maps of other clips, which choose network, thresholds and calibration.")],
    out: Annotated[Path, typer.Option(help="The head to write, *.safetensors.")],
    config: Annotated[Path | None, typer.Option(help="TOML with a table [verdict]; see configs/verdict.toml.")] = None,
    way: Annotated[
        Literal["maximum", "mlp"] | None,
        typer.Option(help="What a scan tells of; unless given whichever orders the validation videos better."),
    ] = None,
    allow_shared_originals: Annotated[
        bool, typer.Option("--allow-shared-originals", help="Let an original or its fakes stand in both.")
    ] = False,
    overwrite: Anew = False,
    as_json: AsJson = False,
) -> None:
    """Fit both ways to a verdict: the threshold of the map's maximum, and a network of three layers over the map.

    The localizer that made the maps stays as it is. Thresholds and calibrations come from the validation maps alone.
    """
    from fakespan.checkpoint import save_head
    from fakespan.checkpoint.head import head_entry
    from fakespan.verdict.fit import fit_head, load_verdict_config
    from fakespan.verdict.maps import open_maps
    from fakespan.verdict.table import render_fit

    _refuse_old(out, overwrite)
    options = None if config is None else load_verdict_config(config)
    learned_from, judged_by = open_maps(train), open_maps(val)
    with bar("fitting") as progress:
        head = fit_head(
            learned_from,
            judged_by,
            options,
            way=way,
            allow_shared_originals=allow_shared_originals,
            progress=progress,
        )
    save_head(out, head)
    if as_json:
        print(json.dumps(head_entry(head), indent=1, allow_nan=False))
    else:
        from rich.console import Console

        Console().print(render_fit(head, out.name))


@app.command("test")
def rate(
    maps: Annotated[Path, typer.Option(help="Maps of clips that the head was not fitted on.")],
    head: Annotated[Path, typer.Option(help="A head that `fakespan verdict fit` wrote.")],
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resample the videos so often for 95 % intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    plots: Annotated[
        Path | None, typer.Option(help="Draw ROC curves, reliability and histograms into this folder.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file too.")] = None,
    overwrite: Anew = False,
    as_json: AsJson = False,
) -> None:
    """Rate every way to a verdict side by side: its order, its decisions, its probabilities."""
    from fakespan.checkpoint import load_head
    from fakespan.report.files import write_text
    from fakespan.verdict.maps import open_maps
    from fakespan.verdict.rate import rate_maps
    from fakespan.verdict.table import draw, render

    if out is not None:
        _refuse_old(out, overwrite)
    fitted, stored = load_head(head), open_maps(maps)
    with bar("rating") as progress:
        rating = rate_maps(stored, fitted, n_bootstrap=bootstrap, seed=seed, progress=progress)
    text = json.dumps(rating.to_dict(), indent=1, allow_nan=False)
    if as_json:
        print(text)
    else:
        from rich.console import Console

        Console().print(render(rating, head.name))
    if out is not None:
        write_text(out, text + "\n")
    if plots is not None:
        draw(rating, plots)


@app.command()
def join(
    head: Annotated[Path, typer.Argument(help="A head that `fakespan verdict fit` wrote.")],
    out: Annotated[Path, typer.Option(help="The model file to write, *.safetensors.")],
    model: Model = "small",
    overwrite: Anew = False,
) -> None:
    """Put a head and the model whose maps it was fitted on into one file, which `fakespan scan --model` takes.

    A head that was fitted on the maps of another model is refused.
    """
    from fakespan.checkpoint import load_head, save_checkpoint
    from fakespan.localizer import load_model

    if head.exists() and out.exists() and head.samefile(out):
        raise UsageError("--out", expected="a new file", got="the head itself", remedy="choose another name")
    _refuse_old(out, overwrite)
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
    print(f"written: {printable(out)}")


def _refuse_old(out: Path, overwrite: bool) -> None:
    """Before the work is done, not after it."""
    if out.is_dir():
        raise UsageError(out, expected="a file to write", got="a folder", remedy="change --out")
    if out.exists() and not overwrite:
        raise UsageError(out, expected="a new file", got="one that exists", remedy="change --out, or give --overwrite")
    if not out.parent.is_dir():
        got = f"no folder {out.parent}"
        raise UsageError(out, expected="a file in a folder that exists", got=got, remedy="make it, or change --out")
