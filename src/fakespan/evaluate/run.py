"""Evaluates a model on a data set: predicts a split, scores the proposals, writes the published table.

Contract: FOLDER gets the proposals of each map (see `predict`), table.md, table.csv and result.json with all metrics
and everything needed to reproduce them. For a data set without public labels only the proposals are written.
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
from fakespan.version import __version__

__all__ = ["Evaluation", "SetOptions", "evaluate_set"]


@dataclass(frozen=True)
class SetOptions:
    """Selection of clips and options of an evaluation."""

    split: str = "test"
    subset: Subset = "full"  # the predicted clips; full is scored on all three subsets
    limit: int | None = None
    faces: Faces | None = None  # None: what the data set needs
    decoding: Decoding | None = None  # None: the model's
    batch_size: int | None = None  # None: 8 on an accelerator, 1 on a CPU
    n_workers: int | None = None  # processes that decode; None: one per core, less one
    n_bootstrap: int = 0  # resamples for the intervals; 0: none
    overwrite: bool = False
    strict: bool = False  # clips that are damaged or cut short are unreadable

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("n_workers", 0), ("n_bootstrap", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(name, expected=f"at least {least}", got=str(value), remedy="change this option")


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    folder: Path
    table: Table | None  # None: the data set has no labels
    result: dict[str, Any]  # as in result.json
    notes: tuple[str, ...]
    unreadable: dict[str, str]  # clip name -> message
    damaged: dict[str, str]  # clips that are damaged or cut short, but were predicted: name -> damage

    @property
    def title(self) -> str:
        """One line on the evaluated clips."""
        settings = self.result["settings"]
        what = f"{settings['model']} on {settings['data']}, {settings['split']} split"
        return f"{what}, {counted(settings['clips'], 'clip')}, {settings['decoding']} decoding"

    def render(self) -> RenderableType:
        """A rich renderable: the table, notes, and the output folder."""
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
    """Predict a split of a data set and score the proposals; an interrupted run is resumed.

    Args:
        localizer: the model.
        source: KIND:ROOT, see `data.sets.open_set`.
        folder: the output folder.
        options: selection of clips and options.
        progress: called with the number of clips done, their total and a note.
        judge: replaces the localizer's predictions.

    Raises:
        DataError: the data set is not usable, or there are no clips in this split.
        UsageError: the folder has another run, or an option is invalid.
    """
    options = options or SetOptions()
    clips = open_set(source, options.split, subset=options.subset, limit=options.limit, faces=options.faces,
                     framing=localizer.model.framing, strict=options.strict)  # fmt: skip
    if not len(clips):
        got, remedy = "none", "change --split or --subset"
        raise DataError(source, expected=f"clips in the {options.split} split", got=got, remedy=remedy)
    post = replace(localizer.post, decoding=options.decoding or localizer.post.decoding)
    batch_size = options.batch_size or (1 if localizer.device.type == "cpu" else 8)
    about: dict[str, Any] = {"split": clips.samples[0].split, "subset": options.subset}
    about |= {"faces": options.faces or "default"} | ({"strict": True} if options.strict else {})
    settings = describe(localizer, post, named(source), clips.samples, **about)
    run = RunFolder.open(folder, settings, overwrite=options.overwrite)
    predicted = predict(
        clips,
        judge or judge_with(localizer, batch_size),
        run,
        post,
        batch_size=batch_size,
        n_workers=default_workers() if options.n_workers is None else options.n_workers,
        progress=progress,
    )
    return _rated(localizer, clips, run, predicted, options, progress=progress)


def _rated(
    localizer: Localizer,
    clips: ClipSet,
    run: RunFolder,
    predicted: Predicted,
    options: SetOptions,
    *,
    progress: Progress | None,
) -> Evaluation:
    """Score the proposals in the run's folder, and write the results there."""
    samples = [s for s in clips.samples if is_labelled(s)]
    proposals = {name: read_proposals(run.stem(name).with_suffix(".json")) for name in MAPS}
    counts = _counts(clips.samples, proposals, predicted, localizer)
    notes = _notes(counts, localizer, samples)
    result: dict[str, Any] = {
        "command": _command(localizer.name, run.settings, options),
        "settings": dict(run.settings),
        "model": to_mapping(localizer.model),
        "versions": _versions(),
        "device": localizer.device.type,
        "clips": counts,
        "unreadable": predicted.unreadable,
        "damaged": predicted.damaged,
        "seconds": {part: round(spent, 3) for part, spent in predicted.seconds.items()},
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
    return Evaluation(run.path, table, result, notes, predicted.unreadable, predicted.damaged)


def _position_note(facts: Mapping[str, float | None]) -> Iterator[str]:
    """What a guess by position alone is worth beside the table."""
    if facts["AUC"] is not None:
        yield (
            f"a guess by position alone has an AP@0.5 of {100 * (facts['floor AP@0.5'] or 0):.2f}; frames at equal "
            f"relative positions are ordered with an AUC of {100 * facts['AUC']:.2f} (fused map)"
        )


def _preset_of(source: str) -> Preset:
    """The preset of a data set; for a store, that of the original data set."""
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
    """The rows of each map with proposals."""
    subsets = tuple(SUBSETS) if options.subset == "full" else (options.subset,)
    predicted = [name for name in MAPS if proposals[name].n_proposals] or ["fused"]
    rated = {}
    for name in predicted:
        noted = functools.partial(progress, note=f"intervals of {name}") if progress else None
        rated[name] = rate_map(
            proposals[name], samples, name, preset=preset, subsets=subsets, n_bootstrap=options.n_bootstrap,
            progress=noted,
        )  # fmt: skip
    return rated


def _drawn(rated: dict[str, Rated], folder: Path) -> Iterator[str]:
    """Plot each map; yields a note if that is not possible."""
    try:
        for name, part in rated.items():
            if part.score is not None:
                draw(part.score, folder / name)
    except MissingExtraError as error:
        yield f"no plots were written: {error.remedy}"


def _counts(
    samples: Sequence[Sample], proposals: dict[str, Proposals], predicted: Predicted, localizer: Localizer
) -> dict[str, int]:
    """Number of evaluated clips, and of special cases among them."""
    n_silent, n_unseen = (
        sum(len(proposals[name][s.name]) == 0 for s in samples if s.name in proposals[name])
        for name in ("audio", "visual")
    )
    longest_s = localizer.model.n_frames / FPS
    n_long = sum(s.duration_s > longest_s for s in samples) if localizer.model.clock == "pad" else 0
    return {"all": len(samples), "unreadable": len(predicted.unreadable), "damaged": len(predicted.damaged),
            "without sound": n_silent, "without picture": n_unseen, "in windows": n_long,
            "predicted in this run": predicted.n_clips}  # fmt: skip


def _notes(counts: dict[str, int], localizer: Localizer, labelled: Sequence[Sample]) -> tuple[str, ...]:
    """Notes on the table."""
    length_s = localizer.model.n_frames / FPS
    words_of = {
        "unreadable": "not readable: counted without proposals; repeat the command to try again",
        "damaged": "damaged or cut short: scored whole, as far as they decode",
        "without sound": "without audio: scored by the video alone",
        "without picture": "without usable video: scored by the audio alone",
        "in windows": f"longer than the network's {length_s:.2f} s: processed in overlapping windows",
    }
    notes = [f"{counted(counts[key], 'clip')} {words}" for key, words in words_of.items() if counts[key]]
    if not labelled:
        notes.append("the labels of this split are not public: proposals were written, nothing is scored")
    elif len(labelled) < counts["all"]:
        notes.append(f"{counted(counts['all'] - len(labelled), 'clip')} without labels not scored")
    if any(s.facts.get("length") == "nominal" for s in labelled):
        notes.append("the data set labels whole videos of about 10 s: AUC is the relevant number")
    return tuple(notes)


def _command(model: str, settings: Mapping[str, Any], options: SetOptions) -> str:
    """The command that reproduces this evaluation, with names instead of local paths."""
    given = {"--data": settings["data"], "--model": model, "--split": settings["split"], "--subset": options.subset,
             "--limit": options.limit, "--decoding": settings["decoding"], "--faces": options.faces,
             "--bootstrap": options.n_bootstrap or None}  # fmt: skip
    words = [f"{option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None]
    return " ".join(["fakespan evaluate", *words, *(["--strict"] if options.strict else [])])


def _versions() -> dict[str, str]:
    numbers = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    return {"fakespan": __version__, **numbers}
