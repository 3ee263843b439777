"""`fakespan alarms`: how often a model finds something in genuine files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fakespan.cli.folders import media_files
from fakespan.cli.shared import AsJson, Device, Model, each, printable, show
from fakespan.types import Progress

if TYPE_CHECKING:
    from fakespan.localizer.alarms import Alarms
    from fakespan.types import Scan

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9)  # that are listed beside the one that decides


def alarms(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Genuine media files, or folders of them.")],
    model: Model = "small",
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which a segment counts as a false alarm; default: the model's."),
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Count the false alarms of a model in genuine files: segments per minute, with an exact 95 % Poisson interval.

    Everything that is found counts: give files that are known to be untouched and that the model was not trained on.
    """
    from fakespan.localizer import load_model
    from fakespan.localizer.alarms import Alarms

    media, failures = media_files(files)
    if not media:
        raise typer.Exit(1)
    localizer = load_model(model, device)
    decisive = localizer.post.threshold if threshold is None else threshold
    lowest = min(decisive, *THRESHOLDS)

    def work(path: Path, progress: Progress) -> Scan:
        return localizer.scan(path, threshold=lowest, progress=progress)

    scans = [scan for _, scan in each(media, work, failures)]
    if not scans:
        raise typer.Exit(1)
    found = Alarms.of(scans, [str(failure) for failure in failures])
    facts = {"model": localizer.name, **_facts(found, decisive)}
    show(_text(facts), facts, as_json=as_json, indent=1)
    if failures:
        raise typer.Exit(1)


def _facts(found: Alarms, threshold: float) -> dict[str, Any]:
    """The numbers at the threshold, the files with any segment, and the numbers at a few other thresholds."""
    listed = sorted({threshold, *THRESHOLDS})
    return {
        "threshold": threshold,
        "files": found.n_files,
        "minutes": round(found.minutes, 2),
        **found.rate(threshold).to_dict(),
        "in": found.by_file(threshold),
        "thresholds": [{"threshold": value, **found.rate(value).to_dict()} for value in listed],
        "failed": list(found.failed),
    }


def _text(facts: dict[str, Any]) -> str:
    """The same for a person."""
    low, high = facts["per_minute_95"]
    files = f"{facts['files']} genuine file{'s' * (facts['files'] != 1)}"
    lines = [
        f"{facts['model']}: {files}, {facts['minutes']:.2f} minutes, "
        f"{facts['segments']} segments from threshold {facts['threshold']:g} on",
        f"{facts['per_minute']:.2f} segments per minute (95 % Poisson interval {low:.2f} to {high:.2f})",
        *(f"  {count} in {printable(file)}" for file, count in facts["in"].items()),
        "threshold  segments  per minute  95 % interval",
    ]
    for row in facts["thresholds"]:
        low, high = row["per_minute_95"]
        line = f"{row['threshold']:9g}  {row['segments']:8d}  {row['per_minute']:10.2f}  {low:.2f} to {high:.2f}"
        lines.append(line)
    return "\n".join(lines)
