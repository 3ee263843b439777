"""A head from the maps of two splits: its network learns from train, all that is fitted besides comes from validation.

Contract: two `MapSet`s of one localizer in, a `Head` out; nothing is written. Thresholds (the largest balanced
accuracy) and calibrations (Platt) of every way are those of the validation clips, and never of others. What a head does
with a map is `models.map_features`'s affair.

Deviation: the published description has a threshold for the maximum and says nothing of one for the network.
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
    """Both ways to a verdict, and the two cheap ones for comparison.

    Args:
        train: maps that the network learns from.
        validation: maps of other clips, that choose the network and fit thresholds and calibrations.
        config: sizes, seeds, rates; the defaults unless given.
        way: that shall decide; unless given the network, or the maximum where that orders the validation clips better.
        allow_shared_originals: let an original, or its fakes, stand on both sides; the head's notes say so.
        progress: called with work done, work wanted and a word about it.

    Returns:
        A head whose notes hold the data, the counts and the validation AUCs. The same maps and config give the same
        head, bit for bit, on the same machine.

    Raises:
        DataError: the two are of different models or sizes, one lacks fake or real clips, they share clips or
            originals, or a map holds NaN.
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
    """The network (None: a head's own choice), or the maximum where that orders the validation clips better."""
    return None if aucs["mlp"] >= aucs["maximum"] else "maximum"


def load_verdict_config(path: Path) -> VerdictConfig:
    """The table [verdict] of a TOML file that holds no other. Raises ConfigError where it misfits."""
    return from_mapping(_File, load_toml(path), str(path)).verdict


@dataclass(frozen=True)
class _File:
    verdict: VerdictConfig = field(default_factory=VerdictConfig)


def maker_of(maps: MapSet) -> HeadModel:
    """The localizer that made the maps."""
    made = maps.header.model
    return HeadModel(made.name, made.digest, made.n_frames, made.max_duration, made.clock)


def _check_alike(train: MapSet, validation: MapSet) -> HeadModel:
    """The one localizer of both; raises DataError where they differ."""
    wanted, found = maker_of(train), maker_of(validation)
    for name, what in (("max_duration", "rows (D)"), ("n_frames", "frames (T)"), ("clock", "clock")):
        if getattr(found, name) != getattr(wanted, name):
            _refuse(validation, f"maps of {what} {getattr(wanted, name)} as for training", f"{getattr(found, name)}")
    if found.digest != wanted.digest:
        expected = f"maps of the model {wanted.name} ({wanted.digest[:12]}) as for training"
        _refuse(validation, expected, f"of {found.name} ({found.digest[:12]})")
    return wanted


def _refuse(maps: MapSet, expected: str, got: str) -> None:
    raise DataError(maps.folder, expected=expected, got=got, remedy="make both with one model")


def _features(maps: MapSet, config: VerdictConfig, word: str, tell: Progress) -> list[AnyArray]:
    """Of each clip what the network sees, (windows, F); maps are read one by one."""
    found, size = [], maps.header.model.n_frames
    for k in range(len(maps.entries)):
        windows = map_windows(deciding_map(maps, k), size)
        found.append(np.stack([map_features(part, config.rows, config.columns) for part in windows]))
        tell(k + 1, len(maps.entries), word)
    return found


def _notes(
    train: MapSet, validation: MapSet, scored: Scored, learned: Learned, shared: tuple[str, ...]
) -> Mapping[str, Any]:
    """Plain facts, for whoever meets the head."""
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
