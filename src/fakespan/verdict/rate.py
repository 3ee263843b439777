"""Evaluation of a head on a split: all methods side by side, with intervals.

Contract: a `MapSet` and a `Head` in, metrics out. Ranking metrics (AUC, AP, EER) use the raw scores; decisions
(accuracy, balanced accuracy) use the thresholds of the head; calibration metrics (Brier score, expected calibration
error in 15 bins) are computed for the raw scores and for the calibrated ones. Intervals are percentile bootstraps over
the videos; all methods share the resamples, so that their difference has an interval too. A share of fakes that differs
from the validation clips lowers the calibration metrics: the head cannot know it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakespan.arrays import BoolArray, Float64Array, Int64Array
from fakespan.checkpoint.head import check_head_belongs
from fakespan.metrics.binary import BinaryScores, accuracy, balanced_accuracy, brier, expected_calibration_error
from fakespan.metrics.bootstrap import draws, interval
from fakespan.models.verdict_head import Head, WayFit
from fakespan.types import Progress, no_progress
from fakespan.verdict.fit import maker_of
from fakespan.verdict.maps import MapSet
from fakespan.verdict.platt import clipped
from fakespan.verdict.ways import Scored, score_maps

__all__ = ["FORMAT", "VerdictRating", "WayRating", "rate_maps"]

FORMAT = "fakespan.verdict/1"
PUBLISHED = ("maximum", "mlp")
Ends = tuple[float, float]


@dataclass(frozen=True)
class WayRating:
    """The metrics of one method, as shares of 1."""

    name: str
    fit: WayFit | None  # None: the head has no threshold for it; only ranking metrics are available
    values: Mapping[str, float]
    intervals: Mapping[str, Ends] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None if undefined."""
        record: dict[str, Any] = {"way": self.name, "published": self.name in PUBLISHED}
        if self.fit is not None:
            record |= {"threshold": self.fit.threshold, "raw_threshold": self.fit.raw_threshold}
            record["calibration"] = {"scale": self.fit.calibration.scale, "offset": self.fit.calibration.offset}
        intervals = {name: [_plain(end) for end in ends] for name, ends in self.intervals.items()}
        return {**record, "values": {n: _plain(v) for n, v in self.values.items()}, "intervals": intervals}


@dataclass(frozen=True)
class VerdictRating:
    """All metrics of one split."""

    model: str
    data: str
    split: str | None
    n_clips: int
    n_fake: int
    ways: tuple[WayRating, ...]
    gain: float | None  # AUC of the network minus that of the maximum; None without a network
    gain_interval: Ends | None
    notes: tuple[str, ...]
    n_bootstrap: int
    seed: int
    level: float = 0.95
    scored: Scored | None = field(default=None, repr=False, compare=False)  # the data of the plots

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON; None if undefined."""
        bootstrap = {"resamples": self.n_bootstrap, "seed": self.seed, "level": self.level}
        ends = None if self.gain_interval is None else [_plain(end) for end in self.gain_interval]
        return {
            "format": FORMAT,
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "clips": self.n_clips,
            "fake": self.n_fake,
            "ways": [way.to_dict() for way in self.ways],
            "gain": None if self.gain is None else {"AUC": self.gain, "interval": ends},
            "bootstrap": bootstrap if self.n_bootstrap else None,
            "notes": list(self.notes),
        }


def rate_maps(
    maps: MapSet, head: Head, *, n_bootstrap: int = 0, seed: int = 0, progress: Progress | None = None
) -> VerdictRating:
    """Evaluate a head on these clips.

    Args:
        maps: maps of clips that the head was not fitted on.
        head: a head fitted on maps of the same localizer.
        n_bootstrap: number of resamples for the intervals; 0: none.
        seed: seed of the resamples.
        progress: called with the work done, the total and a note.

    Raises:
        CheckpointError: the maps are from another model than the head's.
        DataError: there are no clips, only one class, or a map is damaged or has NaN.
    """
    check_head_belongs(maps.folder, head, maker_of(maps))
    tell = progress or no_progress
    scored = score_maps(maps, head, functools.partial(tell, note="maps"))
    rated = [_Rated.of(name, scores, scored, head) for name, scores in scored.scores.items()]
    values = [way.values() for way in rated]
    drawn: list[list[dict[str, float]]] = []
    for k, counts in enumerate(draws(len(scored.forged), n_bootstrap, seed)):
        drawn.append([way.values(counts) for way in rated])
        tell(k + 1, n_bootstrap, "resampling")
    ways = tuple(
        WayRating(way.name, way.fit, values[k], _intervals([each[k] for each in drawn])) for k, way in enumerate(rated)
    )
    mlp = next((k for k, way in enumerate(rated) if way.name == "mlp"), None)
    gain = None if mlp is None else values[mlp]["AUC"] - values[0]["AUC"]
    gains = [] if mlp is None else [each[mlp]["AUC"] - each[0]["AUC"] for each in drawn]
    return VerdictRating(
        model=head.model.name,
        data=maps.header.data,
        split=maps.header.split,
        n_clips=len(scored.forged),
        n_fake=int(scored.forged.sum()),
        ways=ways,
        gain=gain,
        gain_interval=interval(gains, VerdictRating.level) if gains else None,
        notes=_notes(maps, head),
        n_bootstrap=n_bootstrap,
        seed=seed,
        scored=scored,
    )


@dataclass(frozen=True, eq=False)
class _Rated:
    """The scores of one method, prepared for many resamples."""

    name: str
    fit: WayFit | None
    ranked: BinaryScores
    raw: Float64Array
    forged: BoolArray
    probabilities: Float64Array | None

    @classmethod
    def of(cls, name: str, raw: Float64Array, scored: Scored, head: Head) -> _Rated:
        fit = {"maximum": head.maximum, "mlp": head.mlp_fit, **head.others}.get(name)
        probabilities = None if fit is None else fit.calibration(raw)
        return cls(name, fit, BinaryScores.of(raw, scored.forged), raw, scored.forged, probabilities)

    def values(self, counts: Int64Array | None = None) -> dict[str, float]:
        """All metrics of a draw."""
        ranked, forged = self.ranked, self.forged
        found = {"AUC": ranked.auc(counts), "AP": ranked.precision(counts), "EER": ranked.eer(counts)}
        if self.fit is not None and self.probabilities is not None:
            scores, threshold = clipped(self.raw), self.fit.raw_threshold
            found["accuracy"] = accuracy(scores, forged, threshold, counts)
            found["balanced accuracy"] = balanced_accuracy(scores, forged, threshold, counts)
            for name, number in (("Brier", brier), ("ECE", expected_calibration_error)):
                found[f"{name} raw"] = number(self.raw, forged, counts)
                found[f"{name} calibrated"] = number(self.probabilities, forged, counts)
        return found


def _intervals(drawn: list[dict[str, float]]) -> dict[str, Ends]:
    return {name: interval([each[name] for each in drawn], VerdictRating.level) for name in (drawn[0] if drawn else ())}


def _notes(maps: MapSet, head: Head) -> tuple[str, ...]:
    """Caveats of the metrics."""
    notes = []
    for split in ("train", "validation"):
        known = head.notes.get(split)
        if isinstance(known, Mapping) and known.get("digest") == maps.header.clips:
            notes.append(f"these are the {split} clips that the head was fitted on: the results are optimistic")
    if n_shared := head.notes.get("shared_originals"):
        notes.append(f"the head was fitted with {n_shared} originals in both train and validation, as permitted")
    return tuple(notes)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
