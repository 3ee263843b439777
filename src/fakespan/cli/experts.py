"""`fakespan experts`: join a picture and a sound expert, and calibrate them on genuine video."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from fakespan.cli.shared import AsJson, Device, Overwrite, bar, check_output, printable, show
from fakespan.errors import DataError, UsageError

app = typer.Typer(
    help="Networks of two experts, for the picture and for the sound.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PerMinute = Annotated[
    float, typer.Option(min=0.001, help="Segments a minute of genuine video that the threshold may let through.")
]
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
    """Write one model with the picture expert of one file and the sound expert of another."""
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
    seen.network.load_state_dict(weights)
    notes = {"picture": dict(seen.notes), "sound": dict(heard.notes)}
    save_checkpoint(out, seen.network, name=name, model=seen.model, post=seen.post, notes=notes)
    show(f"written: {printable(out)}", {"model": str(out)}, as_json=as_json)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="A model of `fakespan experts join`.")],
    genuine: Annotated[list[Path], typer.Option(help="A genuine file, or a folder of them; again and again.")],
    out: Out,
    per_minute: PerMinute = 0.25,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Make the scores of both experts comparable, and fit the threshold, on genuine files.

    On the common scale either expert reaches 0.5 once in two minutes of these files, and 0.8 once in twenty.
    """
    from fakespan.checkpoint import save_checkpoint
    from fakespan.localizer import load_model
    from fakespan.localizer.alarms import count_alarms, fit_scales, set_scales, threshold_for

    check_output(out, overwrite)
    files = _media(genuine)
    localizer = load_model(model, device)
    with bar("scanning the picture") as progress:
        visual = count_alarms(localizer, files, "visual", progress)
    with bar("scanning the sound") as progress:
        audio = count_alarms(localizer, files, "audio", progress)
    set_scales(localizer, fit_scales(visual, audio))
    with bar("scanning both") as progress:
        both = count_alarms(localizer, files, None, progress)
    threshold = threshold_for(both, per_minute)
    facts = {
        "files": len(files),
        "minutes": round(both.minutes, 1),
        "per_minute": round(both.per_minute(threshold), 3),
        "wanted_per_minute": per_minute,
        "failed": list(both.failed),
    }
    post, notes = dataclasses.replace(localizer.post, threshold=threshold), {**localizer.notes, "genuine": facts}
    save_checkpoint(out, localizer.network, name=localizer.name, model=localizer.model, post=post, notes=notes)
    rate = f"{facts['per_minute']} segments a minute in {facts['minutes']} minutes of genuine files"
    text = f"{printable(out)}: threshold {threshold}, {rate}"
    show(text, {"model": str(out), "threshold": threshold, **facts}, as_json=as_json, indent=1)


def _media(paths: list[Path]) -> list[Path]:
    """The files, and those of the folders."""
    from fakespan.cli.scan import MEDIA_SUFFIXES

    found = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    files = [file for file in found if file in paths or (file.is_file() and file.suffix.lower() in MEDIA_SUFFIXES)]
    if not files:
        raise DataError(paths[0], expected="genuine media files", got="none", remedy="check --genuine")
    return files
