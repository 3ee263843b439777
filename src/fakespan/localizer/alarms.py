"""False alarms in genuine video, and what is derived from them: comparable scores and a threshold.

A raw score has no meaning of its own; relevant is how rare it is in genuine video. `count_alarms` scans genuine files;
`Alarms.rate` is the number of segments per minute that reach a threshold. With the counts of each expert alone
`fit_scales` maps both to a common scale on which they are equally rare; `threshold_for` gives the score of a rate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fakespan.errors import DataError, FakespanError, UsageError
from fakespan.files import write_text
from fakespan.metrics.poisson import poisson_interval
from fakespan.rates import LEAST_FORGED, FalseSegments
from fakespan.types import Progress, Scan, no_progress

if TYPE_CHECKING:
    from fakespan.localizer import Localizer

__all__ = [
    "Alarms",
    "Rate",
    "Scale",
    "count_alarms",
    "fit_scales",
    "forged_scores",
    "read_alarms",
    "save_alarms",
    "set_scales",
    "threshold_for",
]

Expert = Literal["visual", "audio"]
FORMAT = "fakespan.alarms/1"
FLOOR = 0.02  # segments below this score are not counted
RATES = (0.3, 0.5, 1.0, 2.0)  # alarms per minute of one expert by which its scale is fitted
FALL = 0.7  # of the logit of a score, for each factor e by which alarms that reach it are rarer
SILENT = (1.0, -40.0)  # scale that disables an expert
LEAST_SPREAD = 0.02  # least variance of the logits by which a scale is fitted
MIN_ALARMS = 3  # minimum number of alarms for fitting a scale
FOR_EXPERT = {"visual": "a face to judge", "audio": "speech to judge", None: "a face or speech to judge"}
N_STORED = 500  # highest scores that a model file keeps of each expert


@dataclass(frozen=True)
class Scale:
    """Slope and offset of a map's logits."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, score: float) -> float:
        """The score on the common scale."""
        return _sigmoid(self.slope * _logit(score) + self.offset)


@dataclass(frozen=True)
class Rate:
    """How often segments are found in genuine files."""

    n_segments: int
    minutes: float

    @property
    def per_minute(self) -> float:
        """Segments a minute."""
        return self.n_segments / self.minutes

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % Poisson interval of `per_minute`. Segments of one file are counted as if independent."""
        low, high = poisson_interval(self.n_segments)
        return low / self.minutes, high / self.minutes

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, rounded."""
        interval = [round(end, 4) for end in self.interval]
        return {"segments": self.n_segments, "per_minute": round(self.per_minute, 4), "per_minute_95": interval}


@dataclass(frozen=True)
class Alarms:
    """Segments found in genuine files."""

    minutes: float
    scores: tuple[float, ...]  # of the segments, largest first
    files: tuple[str, ...]  # the file of each
    failed: tuple[str, ...] = ()  # files that could not be scanned, and why
    n_files: int = 0  # that were scanned

    @classmethod
    def of(cls, scans: Sequence[Scan], failed: Sequence[str] = ()) -> Alarms:
        """The segments of scans of genuine files.

        Args:
            scans: made with a threshold at or below all that will be asked for.
            failed: files that could not be scanned, and why.

        Raises:
            DataError: the scans are of no length.
        """
        minutes = sum(scan.duration_s for scan in scans) / 60
        if not minutes:
            expected, got = "genuine files that can be scanned", failed[0] if failed else "none"
            raise DataError("false alarms", expected=expected, got=got, remedy="check the files")
        found = sorted(((s.score, scan.file) for scan in scans for s in scan.segments), reverse=True)
        scores, files = tuple(score for score, _ in found), tuple(file for _, file in found)
        return cls(minutes, scores, files, tuple(failed), len(scans))

    def rate(self, threshold: float) -> Rate:
        """Segments that reach a threshold, by the minute."""
        return Rate(sum(score >= threshold for score in self.scores), self.minutes)

    def by_file(self, threshold: float) -> dict[str, int]:
        """How many segments reach a threshold in each file that has any, most first."""
        hits = (file for score, file in zip(self.scores, self.files, strict=True) if score >= threshold)
        return dict(Counter(hits).most_common())

    @classmethod
    def merged(cls, parts: Sequence[Alarms]) -> Alarms:
        """Merge several counts, for instance of models with different held-out people."""
        rows = sorted((row for part in parts for row in zip(part.scores, part.files, strict=True)), reverse=True)
        failed = tuple(message for part in parts for message in part.failed)
        minutes, n_files = sum(part.minutes for part in parts), sum(part.n_files for part in parts)
        return cls(minutes, tuple(score for score, _ in rows), tuple(name for _, name in rows), failed, n_files)

    def scaled(self, scale: Scale) -> Alarms:
        """The same with scores on another scale."""
        return dataclasses.replace(self, scores=tuple(scale(score) for score in self.scores))

    def stored(self) -> FalseSegments:
        """What a model file keeps of it."""
        return FalseSegments(round(self.minutes, 3), tuple(round(score, 4) for score in self.scores[:N_STORED]))

    def per_minute(self, threshold: float) -> float:
        """Segments per minute that reach a threshold."""
        return self.rate(threshold).per_minute

    def score_at(self, per_minute: float) -> float:
        """The score that is reached at this rate per minute.

        Raises:
            DataError: there is too little genuine video to estimate such a rate.
        """
        rank = per_minute * self.minutes
        if rank < MIN_ALARMS:
            expected = f"at least {MIN_ALARMS / per_minute:.0f} minutes of genuine files"
            raise DataError("calibration", expected=expected, got=f"{self.minutes:.1f}", remedy="give more files")
        if rank > len(self.scores):
            return FLOOR
        return self.scores[round(rank) - 1]


def count_alarms(
    localizer: Localizer, files: Sequence[Path], only: Expert | None = None, progress: Progress = no_progress
) -> Alarms:
    """Scan genuine files, with both experts or one of them, and list the segments found.

    Minutes are those that were judged: of the sound those with speech, of the picture those with a face.

    Raises:
        UsageError: a single expert was requested, but the model has none.
        DataError: no file could be scanned, or nothing in them was judged.
    """
    scans, failed = [], []
    with _asked(localizer, only):
        for k, path in enumerate(files):
            progress(k, len(files), path.name)
            try:
                scan = localizer.scan(path, threshold=FLOOR, faces="none" if only == "audio" else "auto")
                scans.append(dataclasses.replace(scan, file=path.name))
            except FakespanError as error:
                failed.append(str(error))
    found, minutes = Alarms.of(scans, failed), sum(_judged_s(scan, only) for scan in scans) / 60
    if not minutes:
        expected = f"genuine files with {FOR_EXPERT[only]}"
        raise DataError("false alarms", expected=expected, got=f"{found.n_files} without", remedy="give other files")
    return dataclasses.replace(found, minutes=minutes)


def forged_scores(localizer: Localizer, files: Sequence[Path], progress: Progress = no_progress) -> tuple[float, ...]:
    """The scores of files with a forged span, largest first.

    Raises:
        MediaError: a file cannot be scanned.
        DataError: there are too few files for a probability.
    """
    if len(files) < LEAST_FORGED:
        expected, got = f"at least {LEAST_FORGED} forged files", str(len(files))
        raise DataError("calibration", expected=expected, got=got, remedy="give more files, or none")
    scores = []
    for k, path in enumerate(files):
        progress(k, len(files), path.name)
        scores.append(localizer.scan(path).score)
    return tuple(sorted(scores, reverse=True))


def fit_scales(visual: Alarms, audio: Alarms) -> tuple[Scale, Scale]:
    """Scales on which both experts reach a score equally often: 0.5 about once a minute, 0.7 three times in ten.

    Least squares over `RATES`. Raises DataError if there is too little genuine video.
    """
    first, second = (
        _scale([(part.score_at(rate), -FALL * math.log(rate)) for rate in RATES]) for part in (visual, audio)
    )
    return first, second


def set_scales(localizer: Localizer, scales: tuple[Scale, Scale]) -> None:
    """Put the scales of the visual and of the audio map into a network of experts."""
    network: Any = localizer.network
    network.scales.copy_(network.scales.new_tensor([[scale.slope, scale.offset] for scale in scales]))


def threshold_for(per_minute: float, *counts: Alarms) -> float:
    """The lowest threshold, in steps of 0.001, at which all counts together do not exceed a rate.

    Args:
        per_minute: segments per minute of genuine video.
        counts: those of each expert on the common scale; rates are added, and nothing below their scores is known.
    """
    lowest = max((count.scores[-1] for count in counts if count.scores), default=0.001)
    for step in range(math.ceil(1000 * lowest), 1000):
        if sum(count.per_minute(step / 1000) for count in counts) <= per_minute:
            return step / 1000
    return 1.0


def save_alarms(path: Path, alarms: Alarms, model: str, only: Expert | None) -> None:
    """Write a count as JSON, for `read_alarms`."""
    record = {"format": FORMAT, "model": model, "only": only, **dataclasses.asdict(alarms)}
    write_text(path, json.dumps(record, indent=1) + "\n")


def read_alarms(path: Path) -> Alarms:
    """Read a count written by `save_alarms`. Raises DataError for other files."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}")
        scores = tuple(sorted((float(score) for score in record["scores"]), reverse=True))
        files, failed = (tuple(map(str, record[key])) for key in ("files", "failed"))
        return Alarms(float(record["minutes"]), scores, files, failed, int(record.get("n_files", 0)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            path, expected="a count of `fakespan experts alarms`", got=f"{error}", remedy="count again"
        ) from error


def _scale(points: Sequence[tuple[float, float]]) -> Scale:
    """The line of least squares from logits of scores to wanted logits; flat where all scores are the same."""
    x, y = np.array([(_logit(score), wanted) for score, wanted in points]).T
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / max(np.var(x), LEAST_SPREAD))
    return Scale(slope, float(y.mean() - slope * x.mean()))


@contextlib.contextmanager
def _asked(localizer: Localizer, only: Expert | None) -> Iterator[None]:
    """Disable the other expert within the block."""
    if only is None:
        yield
        return
    if localizer.model.family != "experts":
        got = localizer.model.family
        raise UsageError("--model", expected="a network of experts", got=got, remedy="choose another")
    network: Any = localizer.network
    scales = network.scales.clone()
    network.scales[0 if only == "audio" else 1] = network.scales.new_tensor(SILENT)
    try:
        yield
    finally:
        network.scales.copy_(scales)


def _judged_s(scan: Scan, only: Expert | None) -> float:
    """Seconds that were judged by an expert, or by either."""
    share = scan.judged_share
    assert share is not None  # of a scan that was just made
    judged = {"visual": share.picture, "audio": share.sound, None: share.either}[only]
    return (judged or 0.0) * scan.duration_s


def _logit(score: float) -> float:
    clipped = float(np.clip(score, 1e-6, 1 - 1e-6))
    return math.log(clipped / (1 - clipped))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
