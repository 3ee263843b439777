"""`fakespan prepare`: a data set, decoded once, for training that reads it again and again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakespan.cli.shared import bar, printable
from fakespan.errors import UsageError

if TYPE_CHECKING:
    from fakespan.config import Framing
    from fakespan.data.clip import Faces
    from fakespan.data.packing import Pack
    from fakespan.data.prepare import Prepared
    from fakespan.types import Subset

__all__ = ["prepare"]

_MOST_TOLD = 20  # problems; the store's problems.json has them all


def prepare(
    out: Annotated[Path, typer.Option(help="Folder of the store; made, or gone on with where it stopped.")],
    data: Annotated[str | None, typer.Option(help="KIND:ROOT, for instance lavdf:/data/LAV-DF.")] = None,
    split: Annotated[str | None, typer.Option(help="train, validation or test; all unless given.")] = None,
    subset: Annotated[str, typer.Option(help="full, visual (no fakes of the sound alone) or audio.")] = "full",
    limit: Annotated[int | None, typer.Option(help="Only the first so many clips.")] = None,
    faces: Annotated[str | None, typer.Option(help="whole or auto; what the set needs unless given.")] = None,
    framing: Annotated[str, typer.Option(help="What the models it is for see: face, or mouth (small).")] = "face",
    pack: Annotated[str, typer.Option(help="fast to read, or small: two thirds of the size.")] = "fast",
    workers: Annotated[int | None, typer.Option(help="Processes; one for each processor unless given.")] = None,
    redo: Annotated[list[str], typer.Option(help="A shard to make anew, or 'damaged'; may be repeated.")] = [],
    check: Annotated[bool, typer.Option("--check", help="Only compare the store with its checksums.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as JSON.")] = False,
) -> None:
    """Decode a data set once into a compact store that training reads many times faster.

    Stopped at any moment, the same command goes on where it stopped. Exit code 1: some clips could not be read, or
    --check found damage.
    """
    if check:
        _check(out, as_json)
        return
    if data is None:
        raise UsageError("--data", expected="KIND:ROOT", got="nothing", remedy="name the data set to prepare")
    from typing import cast

    from fakespan.data.prepare import prepare as make

    start_s = time.monotonic()
    with bar("preparing") as show:
        made = make(
            data,
            out,
            split=split,
            subset=cast("Subset", subset),
            limit=limit,
            faces=cast("Faces | None", faces),
            framing=cast("Framing", framing),
            pack=cast("Pack", pack),
            workers=workers if workers is not None else os.cpu_count() or 1,
            redo=redo,
            progress=show,
        )
    _tell(made, time.monotonic() - start_s, as_json)
    if made.problems:
        raise typer.Exit(1)


def _tell(made: Prepared, seconds: float, as_json: bool) -> None:
    n_bytes = sum(path.stat().st_size for path in made.folder.iterdir() if path.is_file())
    if as_json:
        numbers = {"clips": made.n_clips, "new": made.n_new, "seconds": round(seconds, 1), "bytes": n_bytes}
        print(json.dumps({"store": str(made.folder), **numbers, "problems": list(made.problems)}))
        return
    for problem in made.problems[:_MOST_TOLD]:
        typer.echo(f"fakespan: {printable(problem['name'])}: {printable(problem['message'])}", err=True)
    if len(made.problems) > _MOST_TOLD:
        typer.echo(f"fakespan: and {len(made.problems) - _MOST_TOLD} more; see problems.json", err=True)
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
