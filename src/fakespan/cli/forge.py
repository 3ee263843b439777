"""`fakespan forge`: make a data set of content-driven forgeries from genuine clips."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakespan.cli.shared import AsJson, Workers, bar, count_workers, note, printable, show

if TYPE_CHECKING:
    from fakespan.forge.studio import Result


def forge(
    source: Annotated[Path, typer.Argument(help="Folder of genuine clips of people talking; it is only read.")],
    out: Annotated[Path, typer.Argument(help="Folder of the data set; created if missing, resumed if incomplete.")],
    count: Annotated[int, typer.Option(min=1, help="Number of clips, real and forged.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same set.")] = 1,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file with a table [forge]: kinds, methods, lengths, see configs/forge/seen.toml."),
    ] = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Make a data set in LAV-DF's layout: words of genuine clips replaced in the audio, in the lips, or in both.

    An interrupted run is resumed by the same command. Exit code 1: some clips could not be made.
    """
    from fakespan.config import from_mapping, load_toml
    from fakespan.forge.studio import ForgeConfig, forge_set

    options = from_mapping(ForgeConfig, load_toml(config).get("forge", {}), "forge") if config else ForgeConfig()
    with bar("forging") as progress:
        n_workers = count_workers(workers)
        result = forge_set(source, out, options, count=count, seed=seed, n_workers=n_workers, progress=progress)
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(result.n_clips.items()))
    text = f"{printable(out)}: {sum(result.n_clips.values())} clips ({kinds}) from {result.n_files} files"
    show(text, dataclasses.asdict(result), as_json=as_json)
    if not as_json:
        _tell(result)
    if result.failed:
        raise typer.Exit(1)


def _tell(result: Result) -> None:
    """What did not go as planned; each reason for a replacement once."""
    for title, problems in (("skipped", result.passed_over), ("failed", result.failed)):
        for name, why in problems.items():
            note(f"{title}: {name}: {why}")
    reasons = Counter(why for reasons in result.fell_back.values() for why in reasons)
    for why, n_clips in reasons.most_common(5):
        note(f"replaced in {n_clips} clips: {why}")
    if len(reasons) > 5:
        note(f"replaced: {len(reasons) - 5} more reasons in forge.json")
