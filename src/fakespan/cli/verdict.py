"""`fakespan verdict`: one label for a whole video; a head is fitted on maps, tested, and joined to its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fakespan.cli.shared import Model, printable
from fakespan.errors import UsageError

app = typer.Typer(
    help="One label for a whole video, from its boundary map.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def join(
    head: Annotated[Path, typer.Argument(help="A head that `fakespan verdict fit` wrote.")],
    out: Annotated[Path, typer.Option(help="The model file to write, *.safetensors.")],
    model: Model = "small",
) -> None:
    """Put a head and the model whose maps it was fitted on into one file, which `fakespan scan --model` takes.

    A head that was fitted on the maps of another model is refused.
    """
    from fakespan.checkpoint import load_head, save_checkpoint
    from fakespan.localizer import load_model

    if head.exists() and out.exists() and head.samefile(out):
        raise UsageError("--out", expected="a new file", got="the head itself", remedy="choose another name")
    fitted, localizer = load_head(head), load_model(model, "cpu")
    save_checkpoint(
        out,
        localizer.network,
        name=localizer.name,
        model=localizer.model,
        post=localizer.post,
        notes=localizer.notes,
        verdict=fitted,
    )
    print(f"written: {printable(out)}")
