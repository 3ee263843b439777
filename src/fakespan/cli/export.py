"""`fakespan export`: a model file for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fakespan.cli.shared import AsJson, Overwrite, check_output, note, printable, show


def export(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, a .safetensors or a published .ckpt file.")],
    to: Annotated[Literal["onnx"], typer.Option(help="Format of the file.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="The file to write; default: NAME.onnx in this folder.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a model as a self-describing ONNX file, which scans without torch, if its outputs equal torch's."""
    from fakespan.checkpoint import load_checkpoint
    from fakespan.export.onnx_file import write_onnx
    from fakespan.localizer import model_path

    checkpoint = load_checkpoint(model_path(model))
    path = out or Path(f"{checkpoint.name}.{to}")
    check_output(path, overwrite)
    if not as_json:
        note("tracing the network; this takes a minute or two")
    done = write_onnx(path, checkpoint)
    facts = {"model": str(path), "bytes": done.n_bytes, "opset": done.opset, "difference": done.difference}
    text = f"written: {printable(path)}, {done.n_bytes / 1e6:.1f} MB, opset {done.opset}"
    show(f"{text}; differs from torch by at most {done.difference:.1g}", facts, as_json=as_json)
