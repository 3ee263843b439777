"""How good the verdicts of a head are on a split: every way side by side, with intervals.

Contract: a `MapSet` and a `Head` in, numbers out. Order (AUC, AP, EER) is that of the raw scores; decisions (accuracy,
balanced accuracy) are those at the thresholds that the head brings along; probabilities (Brier score, expected
calibration error in 15 bins) are judged as the raw scores give them, and as the head's calibration does. Intervals are
percentile bootstraps over the videos; the same draws serve all ways, so that their difference has one too. A share of
fakes other than that of the validation clips counts against the probabilities: the head cannot know of it.
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
from fakespan.verdict.platt import held
from fakespan.verdict.ways import Scored, score_maps

__all__ = ["FORMAT", "VerdictRating", "WayRating", "rate_maps"]

FORMAT = "fakespan.verdict/1"
PUBLISHED = ("maximum", "mlp")
Ends = tuple[float, float]


@dataclass(frozen=True)
class WayRating:
    """The numbers of one way, shares of 1."""

    name: str
    fit: WayFit | None  # None: the head has no threshold for it, and only the order can be rated
    values: Mapping[str, float]
    intervals: Mapping[str, Ends] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; None for what is undefined."""
        record: dict[str, Any] = {"way": self.name, "published": self.name in PUBLISHED}
        if self.fit is not None:
            record |= {"threshold": self.fit.threshold, "raw_threshold": self.fit.raw_threshold}
            record["calibration"] = {"scale": self.fit.calibration.scale, "offset": self.fit.calibration.offset}
        intervals = {name: [_plain(end) for end in ends] for name, ends in self.intervals.items()}
        return {**record, "values": {n: _plain(v) for n, v in self.values.items()}, "intervals": intervals}


@dataclass(frozen=True)
class VerdictRating:
    """All numbers of one split."""

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
    scored: Scored | None = field(default=None, repr=False, compare=False)  # what plots are made from

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON; None for what is undefined."""
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
    """Every number of a head's verdicts on these clips.

    Args:
        maps: of clips that the head was not fitted on.
        head: fitted on maps of the same localizer.
        n_bootstrap: resamples of the videos behind the intervals; 0 for none.
        seed: of the resamples.
        progress: called with work done, work wanted and a word about it.

    Raises:
        CheckpointError: the maps are of another model than the head's.
        DataError: there is no clip, all are of one kind, or a map is damaged or holds NaN.
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
    """One way's scores, ready for many draws."""

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
        """All numbers of a draw."""
        ranked, forged = self.ranked, self.forged
        found = {"AUC": ranked.auc(counts), "AP": ranked.precision(counts), "EER": ranked.eer(counts)}
        if self.fit is not None and self.probabilities is not None:
            scores, threshold = held(self.raw), self.fit.raw_threshold
            found["accuracy"] = accuracy(scores, forged, threshold, counts)
            found["balanced accuracy"] = balanced_accuracy(scores, forged, threshold, counts)
            for name, number in (("Brier", brier), ("ECE", expected_calibration_error)):
                found[f"{name} raw"] = number(self.raw, forged, counts)
                found[f"{name} calibrated"] = number(self.probabilities, forged, counts)
        return found


def _intervals(drawn: list[dict[str, float]]) -> dict[str, Ends]:
    return {name: interval([each[name] for each in drawn], VerdictRating.level) for name in (drawn[0] if drawn else ())}


def _notes(maps: MapSet, head: Head) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    notes = []
    for split in ("train", "validation"):
        known = head.notes.get(split)
        if isinstance(known, Mapping) and known.get("digest") == maps.header.clips:
            notes.append(f"these are the {split} clips that the head was fitted on: its numbers flatter it")
    if n_shared := head.notes.get("shared_originals"):
        notes.append(f"the head was fitted with {n_shared} originals in both train and validation, as was asked for")
    return tuple(notes)


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
