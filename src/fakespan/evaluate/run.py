"""Rate a model on a data set: predict a split, score what came out, write the published table.

Contract: FOLDER gets the proposals of each map (see `predict`), table.md, table.csv and result.json: all numbers,
and what is needed to get them again. A set that keeps its labels to itself gets its proposals only.
"""

from __future__ import annotations

import functools
import json
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group, RenderableType
from rich.text import Text

from fakespan import __version__
from fakespan.config import FPS, Decoding, to_mapping
from fakespan.data.clip import Faces
from fakespan.data.loading import default_workers
from fakespan.data.manifest import is_labelled
from fakespan.data.sets import ClipSet, named, open_set
from fakespan.data.store import Store
from fakespan.errors import DataError, MissingExtraError, UsageError
from fakespan.evaluate.folder import MAPS, RunFolder, describe
from fakespan.evaluate.predict import Judge, Predicted, judge_with, predict
from fakespan.files import write_text
from fakespan.localizer import Localizer
from fakespan.scoring.proposals import Proposals, read_proposals
from fakespan.scoring.rating import Rated, by_position, columns_of, rate_kinds, rate_map
from fakespan.scoring.score_table import draw
from fakespan.scoring.table import Table, counted
from fakespan.scoring.truth import Preset
from fakespan.types import SUBSETS, Progress, Sample, Subset

__all__ = ["Evaluation", "SetOptions", "evaluate_set"]


@dataclass(frozen=True)
class SetOptions:
    """Which clips are rated, and how."""

    split: str = "test"
    subset: Subset = "full"  # which clips are predicted; full is then rated on all three subsets
    limit: int | None = None
    faces: Faces | None = None  # None: as the set needs it
    decoding: Decoding | None = None  # None: the model's own
    batch_size: int | None = None  # clips judged at once; None: 8 on an accelerator, 1 on a processor
    n_workers: int | None = None  # processes that decode; None: one for each core but one
    n_bootstrap: int = 0  # draws for the intervals; 0: none
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("n_workers", 0), ("n_bootstrap", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(name, expected=f"at least {least}", got=str(value), remedy="change this option")


@dataclass(frozen=True)
class Evaluation:
    """What came out."""

    folder: Path
    table: Table | None  # None: the set has no labels
    result: dict[str, Any]  # as in result.json
    notes: tuple[str, ...]
    unreadable: dict[str, str]  # name of a clip -> what is wrong with it

    @property
    def title(self) -> str:
        """One line on what was rated."""
        settings = self.result["settings"]
        what = f"{settings['model']} on {settings['data']}, {settings['split']} split"
        return f"{what}, {counted(settings['clips'], 'clip')}, {settings['decoding']} decoding"

    def render(self) -> RenderableType:
        """For `Console.print`: the table, what a reader must know, and where the files are."""
        parts: list[RenderableType] = [Text(self.title, style="bold")]
        if self.table is not None:
            parts += ["", self.table.render(), "", Text(f"percent; {self.table.counted}", style="dim")]
        parts += [Text(f"note: {note}") for note in self.notes]
        return Group(*parts, Text(f"written to {self.folder}", style="dim"))


def evaluate_set(
    localizer: Localizer,
    source: str,
    folder: Path,
    options: SetOptions | None = None,
    progress: Progress | None = None,
    *,
    judge: Judge | None = None,
) -> Evaluation:
    """Predict a split of a data set and rate what was predicted; a run that was killed goes on.

    Args:
        localizer: the model.
        source: KIND:ROOT, see `data.sets.open_set`.
        folder: where everything is written.
        options: which clips, and how.
        progress: called with the clips done, the clips there are, and a word.
        judge: stands in for the localizer's answers.

    Raises:
        DataError: the set or its metadata cannot be used, or there is no clip in this split.
        UsageError: the folder holds another run, or an option is wrong.
    """
    options = options or SetOptions()
    clips = open_set(source, options.split, subset=options.subset, limit=options.limit, faces=options.faces,
                     framing=localizer.model.framing)  # fmt: skip
    if not len(clips):
        got, remedy = "none", "change --split or --subset"
        raise DataError(source, expected=f"clips in the {options.split} split", got=got, remedy=remedy)
    post = replace(localizer.post, decoding=options.decoding or localizer.post.decoding)
    batch_size = options.batch_size or (1 if localizer.device.type == "cpu" else 8)
    about = {"split": clips.samples[0].split, "subset": options.subset, "faces": options.faces or "default"}
    settings = describe(localizer, post, named(source), clips.samples, **about)
    run = RunFolder.open(folder, settings, overwrite=options.overwrite)
    said = predict(
        clips,
        judge or judge_with(localizer, batch_size),
        run,
        post,
        batch_size=batch_size,
        n_workers=default_workers() if options.n_workers is None else options.n_workers,
        progress=progress,
    )
    return _rated(localizer, clips, run, said, options, progress=progress)


def _rated(
    localizer: Localizer,
    clips: ClipSet,
    run: RunFolder,
    said: Predicted,
    options: SetOptions,
    *,
    progress: Progress | None,
) -> Evaluation:
    """Score what the run's folder holds, and write it there."""
    samples = [s for s in clips.samples if is_labelled(s)]
    proposals = {name: read_proposals(run.stem(name).with_suffix(".json")) for name in MAPS}
    counts = _counts(clips.samples, proposals, said, localizer)
    notes = _notes(counts, localizer, samples)
    result: dict[str, Any] = {
        "command": _command(localizer.name, run.settings, options),
        "settings": dict(run.settings),
        "model": to_mapping(localizer.model),
        "versions": _versions(),
        "device": localizer.device.type,
        "clips": counts,
        "unreadable": said.unreadable,
        "seconds": {part: round(spent, 3) for part, spent in said.seconds.items()},
    }
    table = None
    if samples:
        rated = _rate(proposals, samples, _preset_of(clips.source), options, progress)
        table = Table(columns_of(_preset_of(clips.source)), tuple(row for part in rated.values() for row in part.rows))
        result["table"] = [row.to_dict() for row in table.rows]
        result["scores"] = {name: part.record for name, part in rated.items()}
        result["position"] = by_position(proposals["fused"], samples)
        result["fused, by kind"] = rate_kinds(proposals["fused"], samples, _preset_of(clips.source))
        write_text(run.path / "table.md", table.to_markdown())
        write_text(run.path / "table.csv", table.to_csv())
        notes = (*notes, *_position_note(result["position"]), *_drawn(rated, run.path / "plots"))
    result["notes"] = list(notes)
    write_text(run.path / "result.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return Evaluation(run.path, table, result, notes, said.unreadable)


def _position_note(facts: Mapping[str, float | None]) -> Iterator[str]:
    """What a guess by position alone is worth beside the table."""
    if facts["AUC"] is not None:
        yield (
            f"a guess by position alone has an AP@0.5 of {100 * (facts['floor AP@0.5'] or 0):.2f}; frames at equal "
            f"relative positions are ordered with an AUC of {100 * facts['AUC']:.2f} (fused map)"
        )


def _preset_of(source: str) -> Preset:
    """Whose columns a set is published with; that of a store is what it was made from."""
    kind, _, place = source.partition(":")
    kind = Store(Path(place)).header.kind if kind == "store" else kind
    return "avdeepfake1m" if kind == "avdeepfake1m" else "lavdf"


def _rate(
    proposals: dict[str, Proposals],
    samples: Sequence[Sample],
    preset: Preset,
    options: SetOptions,
    progress: Progress | None,
) -> dict[str, Rated]:
    """Each map that says anything."""
    subsets = tuple(SUBSETS) if options.subset == "full" else (options.subset,)
    said = [name for name in MAPS if proposals[name].n_proposals] or ["fused"]
    rated = {}
    for name in said:
        told = functools.partial(progress, note=f"intervals of {name}") if progress else None
        rated[name] = rate_map(
            proposals[name], samples, name, preset=preset, subsets=subsets, n_bootstrap=options.n_bootstrap,
            progress=told,
        )  # fmt: skip
    return rated


def _drawn(rated: dict[str, Rated], folder: Path) -> Iterator[str]:
    """Draws the plots of each map; a word on why not."""
    try:
        for name, part in rated.items():
            if part.score is not None:
                draw(part.score, folder / name)
    except MissingExtraError as error:
        yield f"no plots were drawn: {error.remedy}"


def _counts(
    samples: Sequence[Sample], proposals: dict[str, Proposals], said: Predicted, localizer: Localizer
) -> dict[str, int]:
    """How many clips were rated, and how many of them are not like the rest."""
    n_silent, n_unseen = (
        sum(len(proposals[name][s.name]) == 0 for s in samples if s.name in proposals[name])
        for name in ("audio", "visual")
    )
    longest_s = localizer.model.n_frames / FPS
    n_long = sum(s.duration_s > longest_s for s in samples) if localizer.model.clock == "pad" else 0
    return {"all": len(samples), "unreadable": len(said.unreadable), "without sound": n_silent,
            "without picture": n_unseen, "in windows": n_long, "predicted in this run": said.n_clips}  # fmt: skip


def _notes(counts: dict[str, int], localizer: Localizer, labelled: Sequence[Sample]) -> tuple[str, ...]:
    """What a reader of the table must know."""
    length_s = localizer.model.n_frames / FPS
    told = {
        "unreadable": "not readable: counted as if nothing had been found; run again to try once more",
        "without sound": "without sound: judged by the picture alone",
        "without picture": "without a picture to judge: judged by the sound alone",
        "in windows": f"longer than the network's {length_s:.2f} s: judged in windows that overlap",
    }
    notes = [f"{counted(counts[key], 'clip')} {words}" for key, words in told.items() if counts[key]]
    if not labelled:
        notes.append("the set keeps the labels of this split to itself: proposals were written, nothing is rated")
    elif len(labelled) < counts["all"]:
        notes.append(f"{counted(counts['all'] - len(labelled), 'clip')} without labels not rated")
    if any(s.facts.get("length") == "nominal" for s in labelled):
        notes.append("the set labels whole videos of about 10 s: AUC is the number to look at")
    return tuple(notes)


def _command(model: str, settings: Mapping[str, Any], options: SetOptions) -> str:
    """What to call to get this again, with names in place of this machine's paths."""
    given = {"--data": settings["data"], "--model": model, "--split": settings["split"], "--subset": options.subset,
             "--limit": options.limit, "--decoding": settings["decoding"], "--faces": options.faces,
             "--bootstrap": options.n_bootstrap or None}  # fmt: skip
    words = [f"{option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None]
    return " ".join(["fakespan evaluate", *words])


def _versions() -> dict[str, str]:
    numbers = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    return {"fakespan": __version__, **numbers}
