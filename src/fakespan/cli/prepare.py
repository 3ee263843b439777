"""`fakespan prepare`: decode a data set once, into a store for training."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.shared import bar, printable
from fakespan.config import Framing
from fakespan.errors import UsageError
from fakespan.types import Subset

if TYPE_CHECKING:
    from fakespan.data.prepare import Prepared

__all__ = ["prepare"]

Faces = Literal["auto", "whole"]  # as in data.clip, which is slow to import
Pack = Literal["fast", "small"]  # as in data.packing

_MAX_PRINTED = 20  # problems; problems.json in the store has all of them


def prepare(
    out: Annotated[Path, typer.Option(help="Folder of the store; created if missing, resumed if incomplete.")],
    data: Annotated[str | None, typer.Option(help="KIND:ROOT, for instance lavdf:/data/LAV-DF.")] = None,
    split: Annotated[str | None, typer.Option(help="train, validation or test; default: all.")] = None,
    subset: Annotated[Subset, typer.Option(help="visual: no audio-only fakes; audio: no visual-only fakes.")] = "full",
    limit: Annotated[int | None, typer.Option(help="Only the first N clips.")] = None,
    faces: Annotated[
        Faces | None, typer.Option(help="How faces are detected; default: what the data set needs.")
    ] = None,
    framing: Annotated[
        Framing, typer.Option(help="Input of the models that the store is for: face, or mouth (small).")
    ] = "face",
    pack: Annotated[Pack, typer.Option(help="fast to read, or small (two thirds of the size).")] = "fast",
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    redo: Annotated[list[str], typer.Option(help="A shard to write again, or 'damaged'; may be repeated.")] = [],
    check: Annotated[bool, typer.Option("--check", help="Only verify the checksums of the store.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Decode a data set once into a compact store that training reads many times faster.

    An interrupted run is resumed by the same command. Exit code 1: some clips could not be read, or --check found
    damage.
    """
    if check:
        _check(out, as_json)
        return
    if data is None:
        raise UsageError("--data", expected="KIND:ROOT", got="nothing", remedy="name the data set to prepare")
    from fakespan.data.prepare import prepare as make
    from fakespan.data.store import StoreOptions

    start_s = time.monotonic()
    options = StoreOptions(split, subset, limit, faces, framing, pack)
    n_workers = workers if workers is not None else os.cpu_count() or 1
    with bar("preparing") as show:
        made = make(data, out, options, workers=n_workers, redo=redo, progress=show)
    _summarise(made, time.monotonic() - start_s, as_json)
    if made.problems:
        raise typer.Exit(1)


def _summarise(made: Prepared, seconds: float, as_json: bool) -> None:
    n_bytes = sum(path.stat().st_size for path in made.folder.iterdir() if path.is_file())
    if as_json:
        numbers = {"clips": made.n_clips, "new": made.n_new, "seconds": round(seconds, 1), "bytes": n_bytes}
        print(json.dumps({"store": str(made.folder), **numbers, "problems": list(made.problems)}))
        return
    for problem in made.problems[:_MAX_PRINTED]:
        typer.echo(f"fakespan: {printable(problem['name'])}: {printable(problem['message'])}", err=True)
    if len(made.problems) > _MAX_PRINTED:
        typer.echo(f"fakespan: and {len(made.problems) - _MAX_PRINTED} more; see problems.json", err=True)
    rate = f", {60 * made.n_new / max(1e-3, seconds):.0f} a minute" if made.n_new else ""
    print(f"{made.n_clips} clips in {printable(made.folder)} ({made.n_new} new{rate}), {n_bytes / 1e6:.1f} MB")
    print(f"train with --data store:{printable(made.folder)}")


def _check(folder: Path, as_json: bool) -> None:
    from fakespan.data.store import check_store

    with bar("checking") as show:
        wrong = check_store(folder, show)
    if as_json:
        print(json.dumps({"store": str(folder), "damaged": wrong}))
    else:
        for name, what in wrong.items():
            typer.echo(f"fakespan: {name}: {printable(what)}", err=True)
        print("undamaged" if not wrong else f"{len(wrong)} damaged; run the same prepare again with --redo damaged")
    if wrong:
        raise typer.Exit(1)
