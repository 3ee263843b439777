"""`fakespan prepare`: decode a data set once, into a store for training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.shared import (
    AsJson,
    FaceChoice,
    Limit,
    Split,
    SubsetChoice,
    Workers,
    bar,
    count_workers,
    note,
    printable,
    remark_damaged,
    show,
)
from fakespan.config import Framing
from fakespan.errors import UsageError

if TYPE_CHECKING:
    from fakespan.data.prepare import Prepared

__all__ = ["prepare"]

Pack = Literal["fast", "small"]  # as in data.packing, which is slow to import

_MAX_PRINTED = 20  # problems; problems.json in the store has all of them


def prepare(
    out: Annotated[Path, typer.Option(help="Folder of the store; created if missing, resumed if incomplete.")],
    data: Annotated[str | None, typer.Option(help="KIND:ROOT, for instance lavdf:/data/LAV-DF.")] = None,
    split: Annotated[Split | None, typer.Option(help="Default: all; dev and val mean validation.")] = None,
    subset: SubsetChoice = "full",
    limit: Limit = None,
    faces: FaceChoice = None,
    framing: Annotated[
        Framing, typer.Option(help="Input of the models that the store is for: face, or mouth (small).")
    ] = "face",
    pack: Annotated[Pack, typer.Option(help="fast to read, or small (two thirds of the size).")] = "fast",
    workers: Workers = None,
    redo: Annotated[list[str], typer.Option(help="A shard to write again, or 'damaged'; may be repeated.")] = [],
    check: Annotated[bool, typer.Option("--check", help="Only verify the checksums of the store.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave out clips that are damaged or cut short (exit code 1).")
    ] = False,
    as_json: AsJson = False,
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
    with bar("preparing") as progress:
        made = make(
            data, out, options, workers=max(1, count_workers(workers)), redo=redo, strict=strict, progress=progress
        )
    remark_damaged({clip["name"]: clip["message"] for clip in made.damaged}, "--strict leaves them out")
    _summarise(made, time.monotonic() - start_s, as_json)
    if made.problems:
        raise typer.Exit(1)


def _summarise(made: Prepared, seconds: float, as_json: bool) -> None:
    n_bytes = sum(path.stat().st_size for path in made.folder.iterdir() if path.is_file())
    if as_json:
        numbers = {"clips": made.n_clips, "new": made.n_new, "seconds": round(seconds, 1), "bytes": n_bytes}
        told = {"problems": list(made.problems), "damaged": list(made.damaged)}
        show(None, {"store": str(made.folder), **numbers, **told}, as_json=True)
        return
    for problem in made.problems[:_MAX_PRINTED]:
        typer.echo(f"fakespan: {printable(problem['name'])}: {printable(problem['message'])}", err=True)
    if len(made.problems) > _MAX_PRINTED:
        typer.echo(f"fakespan: and {len(made.problems) - _MAX_PRINTED} more; see problems.json", err=True)
    rate = f", {60 * made.n_new / max(1e-3, seconds):.0f} a minute" if made.n_new else ""
    note(f"{made.n_clips} clips in {made.folder} ({made.n_new} new{rate}), {n_bytes / 1e6:.1f} MB")
    note(f"train with --data store:{made.folder}")


def _check(folder: Path, as_json: bool) -> None:
    from fakespan.data.store import check_store

    with bar("checking") as progress:
        wrong = check_store(folder, progress)
    if as_json:
        show(None, {"store": str(folder), "damaged": wrong}, as_json=True)
    else:
        for name, what in wrong.items():
            typer.echo(f"fakespan: {name}: {printable(what)}", err=True)
        note("undamaged" if not wrong else f"{len(wrong)} damaged; run the same prepare again with --redo damaged")
    if wrong:
        raise typer.Exit(1)
