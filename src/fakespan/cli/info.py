"""`fakespan info`: properties of a media file, a model file or a data set."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fakespan.cli.shared import Limit, Split, Workers, bar, count_workers, printable, show, wants_quiet
from fakespan.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from fakespan.checkpoint import Checkpoint
    from fakespan.config import PostConfig
    from fakespan.data.inspect import Report, Summary
    from fakespan.portable import PortableModel

TORCH_SUFFIXES = frozenset({".safetensors", ".ckpt", ".pt", ".pth"})
SHOWN = 20  # problems printed per kind


def info(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A media file, a model file, a verdict head, or the name of a shipped model."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="KIND:ROOT", help="A data set instead: lavdf, avdeepfake1m, dfdc or forgerynet, and its folder."
        ),
    ] = None,
    split: Annotated[Split | None, typer.Option(help="Data set: only this split; dev and val mean validation.")] = None,
    limit: Limit = None,
    quick: Annotated[bool, typer.Option("--quick", help="Data set: check the metadata only, open no files.")] = False,
    workers: Workers = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on one line, with every problem.")] = False,
) -> None:
    """Show the properties of a media file, model file or verdict head, or the statistics and problems of a data set.

    Problems of a data set do not change the exit code: it is 0 whatever they are, and 1 only if the set cannot be
    loaded at all.
    """
    if (target is None) == (data is None):
        got = "neither" if target is None else "both"
        raise UsageError("info", expected="a FILE or --data KIND:ROOT", got=got, remedy="give one of them")
    if data is None:
        _refuse_without_data(split=split, limit=limit, quick=quick or None, workers=workers)
    if data is not None:
        report = _inspected(data, split, limit, quick, max(1, count_workers(workers)))
        if as_json:
            show(None, report.to_dict(), as_json=True)
        elif not wants_quiet():
            _show(report)
        return
    assert target is not None
    facts = _of(target)
    show(json.dumps(facts, indent=2), facts, as_json=as_json)


def _refuse_without_data(**options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"--{name}", expected="--data with it", got="a file", remedy=f"leave --{name} out")


def _of(target: Path) -> dict[str, Any]:
    from fakespan.localizer import model_path, shipped_models
    from fakespan.portable import SUFFIX

    is_name = str(target) in {path.stem for path in shipped_models()} and not target.exists()
    path = model_path(str(target)) if is_name else target
    if path.suffix in TORCH_SUFFIXES:
        return _of_weights(path)
    return _of_portable(path) if path.suffix == SUFFIX else _of_media(path)


def _of_weights(path: Path) -> dict[str, Any]:
    from fakespan.checkpoint import head_entry, is_head, load_checkpoint, load_head

    if is_head(path):
        return {"verdict": head_entry(load_head(path))}
    checkpoint = load_checkpoint(path)
    n_parameters = sum(p.numel() for p in checkpoint.network.parameters())
    head = None if checkpoint.head is None else head_entry(checkpoint.head)
    return {"name": checkpoint.name, "parameters": n_parameters} | _described(checkpoint) | {"verdict": head}


def _of_portable(path: Path) -> dict[str, Any]:
    from fakespan.portable import load_portable

    model = load_portable(path)
    return {"name": model.name, "format": "onnx"} | dict(model.graph) | _described(model)


def _described(model: Checkpoint | PortableModel) -> dict[str, Any]:
    """What a model file of either kind tells."""
    from fakespan.config import to_mapping

    post = to_mapping(model.post) | {"rates": _rates(model.post)}
    return {"model": to_mapping(model.model), "post": post, "notes": dict(model.notes)}


def _rates(post: PostConfig) -> dict[str, Any] | None:
    """What was measured in genuine recordings: the rate at the threshold, and the lowest score of each tier."""
    from fakespan.localizer.alarms import Rate

    if post.rates is None:
        return None
    facts: dict[str, Any] = {}
    experts: tuple[Literal["visual"], Literal["audio"]] = ("visual", "audio")
    for name in experts:
        if (count := getattr(post.rates, name)) is not None:
            reaching = Rate(sum(score >= post.threshold for score in count.scores), count.minutes)
            tiers = {tier: score for tier, score in post.rates.tier_scores(name).items() if tier != "weak"}
            facts[name] = {"minutes": count.minutes, "at_threshold": reaching.to_dict(), "tiers_from": tiers}
    return facts | {"forged_files": len(post.rates.forged)}


def _of_media(path: Path) -> dict[str, Any]:
    from fakespan.media.choice import choose_tracks
    from fakespan.media.probe import probe

    choice = choose_tracks(path)
    return dataclasses.asdict(dataclasses.replace(probe(path, choice.tracks), streams=choice.every))


def _inspected(data: str, split: str | None, limit: int | None, quick: bool, n_workers: int) -> Report:
    from fakespan.data.inspect import inspect
    from fakespan.data.manifest import load_manifest

    manifest = load_manifest(data)
    samples = manifest.choose(split, limit=limit)
    with bar("files") as progress:
        return inspect(manifest, samples=samples, probe=not quick, n_workers=n_workers, progress=progress)


def _show(report: Report) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    opened = f"{report.n_opened:,} files opened" if report.n_opened else "no files opened"
    console.print(f"{printable(report.source)}: {report.n_clips:,} clips, {opened}", markup=False)
    console.print(_counts(report.counts))
    console.print(_statistics(report))
    several = ", ".join(f"{n}: {clips:,}" for n, clips in report.spans_per_clip.items())
    console.print(f"spans per clip  {several or '-'}\nforged time     {report.forged_share:.2%}\n")
    for line in _problem_lines(report):
        console.print(line, markup=False)


def _counts(counts: dict[str, dict[str, int]]) -> Table:
    """Table of splits by kind; empty rows and columns are omitted."""
    from fakespan.data.inspect import COLUMNS

    columns = [c for c in COLUMNS if c != "unlabelled" or any(row[c] for row in counts.values())]
    rows = {split: row for split, row in counts.items() if any(row.values())}
    total = {c: sum(row[c] for row in rows.values()) for c in columns}
    table = _table("clips", [*columns, "all"])
    for name, row in [*rows.items(), *([("all", total)] if len(rows) > 1 else [])]:
        table.add_row(name, *(f"{row[c]:,}" for c in columns), f"{sum(row[c] for c in columns):,}")
    return table


def _statistics(report: Report) -> Table:
    table = _table("seconds", ["min", "p05", "median", "mean", "p95", "max"])
    for name, summary in (("clips", report.duration_s), ("forged spans", report.span_s)):
        table.add_row(name, *_numbers(summary))
    return table


def _numbers(summary: Summary | None) -> Iterable[str]:
    return ["-"] * 6 if summary is None else [f"{v:.2f}" for v in dataclasses.astuple(summary)]


def _table(name: str, columns: Iterable[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _problem_lines(report: Report) -> Iterable[str]:
    """Per kind, the number of problems and the first few of them."""
    if not report.problems:
        yield "no problems found"
        return
    yield f"{len(report.problems):,} problems"
    for kind, n in Counter(p.kind for p in report.problems).most_common():
        yield f"\n{kind}: {n:,}"
        shown = [p for p in report.problems if p.kind == kind][:SHOWN]
        yield from (printable(f"  {p.subject}: {p.message}") for p in shown)
        if n > len(shown):
            yield f"  and {n - len(shown):,} more; --json lists all"
