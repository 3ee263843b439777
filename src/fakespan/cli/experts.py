"""`fakespan experts`: join a video and an audio expert, and calibrate them on genuine video."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakespan.cli.folders import media_files
from fakespan.cli.shared import AsJson, Device, Overwrite, bar, check_output, printable, show
from fakespan.errors import UsageError

if TYPE_CHECKING:
    from fakespan.localizer import Localizer
    from fakespan.localizer.alarms import Alarms
    from fakespan.rates import GenuineRates

app = typer.Typer(
    help="Networks of a video and an audio expert.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option(help="The model file to write, *.safetensors.")]


@app.command()
def join(
    picture: Annotated[Path, typer.Argument(help="A model trained on a picture bank.")],
    sound: Annotated[Path, typer.Argument(help="A model trained on a sound bank, of the same [model] table.")],
    out: Out,
    name: Annotated[str, typer.Option(help="Name of the model in reports.")] = "small",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write one model with the video expert of one file and the audio expert of another; `calibrate` comes next.

    Its post-processing is that of the sound model, which was trained by a config.
    """
    import torch

    from fakespan.checkpoint import load_checkpoint, save_checkpoint

    check_output(out, overwrite)
    seen, heard = load_checkpoint(picture), load_checkpoint(sound)
    for path, part in ((picture, seen), (sound, heard)):
        if part.model.family != "experts":
            raise UsageError(path, expected="a network of experts", got=part.model.family, remedy="train one")
    if seen.model != heard.model:
        got, remedy = "two that differ", "train both with the same [model] table"
        raise UsageError(sound, expected=f"the sizes of {picture}", got=got, remedy=remedy)
    weights = seen.network.state_dict()
    weights |= {key: value for key, value in heard.network.state_dict().items() if key.startswith("sound.")}
    weights["scales"] = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # `calibrate` fits them to these two experts
    seen.network.load_state_dict(weights)
    notes = {"data": "a picture bank and a sound bank", "picture": dict(seen.notes), "sound": dict(heard.notes)}
    save_checkpoint(out, seen.network, name=name, model=seen.model, post=heard.post, notes=notes)
    show(f"written: {printable(out)}", {"model": str(out)}, as_json=as_json)


@app.command()
def alarms(
    model: Annotated[Path, typer.Argument(help="A network of experts.")],
    only: Annotated[Literal["visual", "audio"], typer.Option(help="The expert to run.")],
    genuine: Annotated[list[Path], typer.Option(help="A genuine file, or a folder of them; repeatable.")],
    out: Annotated[Path, typer.Option(help="The count to write, *.json.")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Count what one expert finds in genuine files, at any score; for `calibrate`.

    Exit code 1: some files could not be scanned; the others were counted.
    """
    from fakespan.localizer import load_model
    from fakespan.localizer.alarms import count_alarms, save_alarms

    check_output(out, overwrite)
    files, localizer = _media(genuine), load_model(str(model), device)
    with bar(f"scanning, {only} alone") as progress:
        count = count_alarms(localizer, files, only, progress)
    save_alarms(out, count, localizer.name, only)
    for message in count.failed:
        print(f"fakespan: {printable(message)}", file=sys.stderr)
    facts = {"segments": len(count.scores), "minutes": round(count.minutes, 1), "failed": len(count.failed)}
    text = f"{printable(out)}: {facts['segments']} segments in {facts['minutes']} minutes"
    show(text, {"alarms": str(out), **facts}, as_json=as_json)
    if count.failed:
        raise typer.Exit(1)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="A model of `fakespan experts join`.")],
    visual: Annotated[list[Path], typer.Option(help="Counts of the picture expert in genuine files; repeatable.")],
    audio: Annotated[list[Path], typer.Option(help="Counts of the sound expert in genuine files; repeatable.")],
    out: Out,
    per_minute: Annotated[
        float, typer.Option(min=0.001, help="Segments per minute of genuine video that the threshold may let through.")
    ] = 0.25,
    forged: Annotated[
        list[Path] | None,
        typer.Option(help="A file with a forged span, or a folder of them, for the probability of a file; repeatable."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make the scores of both experts comparable, and fit the threshold, by counts of `fakespan experts alarms`.

    The model keeps how often genuine recordings reach a score: scans give tiers of evidence by it.

    Several counts of one expert are added up: count with models that were not trained on the people in the scanned
    files.
    """
    from fakespan.checkpoint import save_checkpoint
    from fakespan.localizer import load_model
    from fakespan.localizer.alarms import Alarms, fit_scales, read_alarms, set_scales, threshold_for

    check_output(out, overwrite)
    seen, heard = (Alarms.merged([read_alarms(path) for path in paths]) for paths in (visual, audio))
    localizer = load_model(str(model), "cpu")
    scales = fit_scales(seen, heard)
    set_scales(localizer, scales)
    counts = [count.scaled(scale) for count, scale in zip((seen, heard), scales, strict=True)]
    threshold = threshold_for(per_minute, *counts)
    facts, rates = _facts(threshold, *counts), _rates(localizer, counts, forged or [])
    save_checkpoint(
        out,
        localizer.network,
        name=localizer.name,
        model=localizer.model,
        post=dataclasses.replace(localizer.post, threshold=threshold, rates=rates),
        notes={**localizer.notes, "genuine": facts},
    )
    told = f"{facts['visual_per_minute']} segments per minute in the picture, {facts['audio_per_minute']} in the sound"
    text = f"{printable(out)}: threshold {threshold}, {told}"
    show(text, {"model": str(out), "threshold": threshold, **facts}, as_json=as_json, indent=1)


def _rates(localizer: Localizer, counts: list[Alarms], forged: list[Path]) -> GenuineRates:
    """What the model keeps for the tiers of segments and for the probability of a file."""
    from fakespan.localizer.alarms import forged_scores
    from fakespan.rates import GenuineRates

    seen, heard = (count.stored() for count in counts)
    plain = GenuineRates(seen, heard)
    if not forged:
        return plain
    with bar("scanning forged files") as progress:
        return dataclasses.replace(plain, forged=forged_scores(localizer, _media(forged), progress))


def _facts(threshold: float, seen: Alarms, heard: Alarms) -> dict[str, float]:
    """The basis of the threshold, for the model's notes."""
    return {
        "visual_minutes": round(seen.minutes, 1),
        "audio_minutes": round(heard.minutes, 1),
        "visual_per_minute": round(seen.per_minute(threshold), 3),
        "audio_per_minute": round(heard.per_minute(threshold), 3),
    }


def _media(paths: list[Path]) -> list[Path]:
    """The files, with folders expanded."""
    files, failures = media_files(paths)
    if failures:  # they were told
        raise typer.Exit(1)
    return files
