"""Fits a head on the maps of two splits: the network is trained on train, everything else is fitted on validation.

Contract: two `MapSet`s of one localizer in, a `Head` out; nothing is written. Thresholds (by balanced accuracy) and
calibrations (Platt) of every method are fitted on the validation clips only. The input of the network is computed by
`models.map_features`.

Deviation: the published description has a threshold for the maximum and mentions none for the network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.arrays import AnyArray
from fakespan.config import VerdictConfig, from_mapping, load_toml
from fakespan.errors import DataError
from fakespan.metrics.binary import BinaryScores
from fakespan.models.map_features import map_features, map_windows
from fakespan.models.verdict_head import Calibration, Head, HeadModel, Way, WayFit
from fakespan.types import Progress, no_progress
from fakespan.verdict.leakage import check_apart, n_unknown
from fakespan.verdict.learn import Features, Learned, learn, repeatable
from fakespan.verdict.maps import MapSet
from fakespan.verdict.platt import fit_way
from fakespan.verdict.ways import CHEAP, Scored, deciding_map, labels_of, score_maps

__all__ = ["fit_head", "load_verdict_config", "maker_of"]


UNFITTED = WayFit(0.5, 0.5, Calibration())


def fit_head(
    train: MapSet,
    validation: MapSet,
    config: VerdictConfig | None = None,
    *,
    way: Way | None = None,
    allow_shared_originals: bool = False,
    progress: Progress | None = None,
) -> Head:
    """Fit both verdict methods, and the two baselines for comparison.

    Args:
        train: training maps of the network.
        validation: maps of other clips, for model selection, thresholds and calibrations.
        config: sizes, seeds, rates; default: `VerdictConfig()`.
        way: the method that decides; default: the network, unless the maximum ranks the validation clips better.
        allow_shared_originals: permit an original, or its fakes, in both; recorded in the head's notes.
        progress: called with the work done, the total and a note.

    Returns:
        A head with notes on the data, the counts and the validation AUCs. The same maps and config give the same head,
        bit for bit, on the same machine.

    Raises:
        DataError: the maps are from different models or sizes, one set lacks fake or real clips, they share clips or
            originals, or a map has NaN.
        ConfigError: the training diverged.
    """
    config, tell = config or VerdictConfig(), progress or no_progress
    model = _check_alike(train, validation)
    labels = [labels_of(maps) for maps in (train, validation)]
    shared = check_apart(train.entries, validation.entries, allow_shared_originals=allow_shared_originals)
    read = [
        Features.of(_features(maps, config, word, tell), forged)
        for maps, forged, word in zip((train, validation), labels, ("train maps", "validation maps"), strict=True)
    ]
    with repeatable():
        learned = learn(read[0], read[1], config, functools.partial(tell, note="training"))
        head = Head(config, model, UNFITTED, learned.network, UNFITTED)
        scored = score_maps(validation, head, functools.partial(tell, note="thresholds"))
    fits = {name: fit_way(scores, scored.forged) for name, scores in scored.scores.items()}
    notes = _notes(train, validation, scored, learned, shared)
    decides = way or _better_way(notes["validation_auc"])
    cheap = {name: fits[name] for name in CHEAP}
    return Head(config, model, fits["maximum"], learned.network, fits["mlp"], decides, cheap, notes)


def _better_way(aucs: Mapping[str, float]) -> Way | None:
    """The network (None: the head's default), or the maximum if it ranks the validation clips better."""
    return None if aucs["mlp"] >= aucs["maximum"] else "maximum"


def load_verdict_config(path: Path) -> VerdictConfig:
    """Read the table [verdict] of a TOML file without other tables. Raises ConfigError if it is invalid."""
    return from_mapping(_File, load_toml(path), str(path)).verdict


@dataclass(frozen=True)
class _File:
    verdict: VerdictConfig = field(default_factory=VerdictConfig)


def maker_of(maps: MapSet) -> HeadModel:
    """The localizer of the maps."""
    made = maps.header.model
    return HeadModel(made.name, made.digest, made.n_frames, made.max_duration, made.clock)


def _check_alike(train: MapSet, validation: MapSet) -> HeadModel:
    """The common localizer of both; raises DataError if they differ."""
    expected_model, found = maker_of(train), maker_of(validation)
    for name, what in (("max_duration", "rows (D)"), ("n_frames", "frames (T)"), ("clock", "clock")):
        if getattr(found, name) != getattr(expected_model, name):
            _refuse(
                validation, f"maps of {what} {getattr(expected_model, name)} as for training", f"{getattr(found, name)}"
            )
    if found.digest != expected_model.digest:
        expected = f"maps of the model {expected_model.name} ({expected_model.digest[:12]}) as for training"
        _refuse(validation, expected, f"of {found.name} ({found.digest[:12]})")
    return expected_model


def _refuse(maps: MapSet, expected: str, got: str) -> None:
    raise DataError(maps.folder, expected=expected, got=got, remedy="store both with the same model")


def _features(maps: MapSet, config: VerdictConfig, word: str, tell: Progress) -> list[AnyArray]:
    """Input features of each clip, (windows, F); maps are read one by one."""
    found, size = [], maps.header.model.n_frames
    for k in range(len(maps.entries)):
        windows = map_windows(deciding_map(maps, k), size)
        found.append(np.stack([map_features(part, config.rows, config.columns) for part in windows]))
        tell(k + 1, len(maps.entries), word)
    return found


def _notes(
    train: MapSet, validation: MapSet, scored: Scored, learned: Learned, shared: tuple[str, ...]
) -> Mapping[str, Any]:
    """Facts about the head, for its file."""
    return {
        "train": _facts(train),
        "validation": _facts(validation),
        "validation_auc": {way: BinaryScores.of(scores, scored.forged).auc() for way, scores in scored.scores.items()},
        "mlp": {
            "seed": learned.seed,
            "epoch": learned.epoch,
            "restart_aucs": [None if np.isnan(value) else value for value in learned.aucs],
        },
        "shared_originals": len(shared),
    }


def _facts(maps: MapSet) -> dict[str, Any]:
    forged = labels_of(maps)
    return {
        "data": maps.header.data,
        "split": maps.header.split,
        "clips": len(forged),
        "fake": int(forged.sum()),
        "fakes_of_unknown_original": n_unknown(maps.entries),
        "digest": maps.header.clips,
    }
