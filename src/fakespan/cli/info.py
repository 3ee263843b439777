"""`fakespan info`: facts of a media file or of a model file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

MODEL_SUFFIXES = frozenset({".safetensors", ".ckpt", ".pt", ".pth"})


def info(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A media file or a model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it on one line.")] = False,
) -> None:
    """Facts of a media file or of a model file, as JSON."""
    if target.suffix in MODEL_SUFFIXES:
        from fakespan.checkpoint import load_checkpoint
        from fakespan.config import to_mapping

        checkpoint = load_checkpoint(target)
        n_parameters = sum(p.numel() for p in checkpoint.network.parameters())
        facts = {"name": checkpoint.name, "parameters": n_parameters, "model": to_mapping(checkpoint.model)}
        facts |= {"post": to_mapping(checkpoint.post), "notes": dict(checkpoint.notes)}
    else:
        from fakespan.media.probe import probe

        facts = dataclasses.asdict(probe(target))
    print(json.dumps(facts, indent=None if as_json else 2))
