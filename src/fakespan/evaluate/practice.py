"""Evaluates a localizer on practice forgeries, and its false alarms on genuine video.

The published metrics (AP at IoU 0.5, 0.75 and 0.95, AR@10; 2204.06228, section 5) over held-out practice clips, for all
and for each kind of forgery; false alarms per minute over untouched files, scanned as a user would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.arrays import Float64Array
from fakespan.boundary_map import decode, to_seconds
from fakespan.config import FPS, PostConfig
from fakespan.data.example import Example
from fakespan.localizer import Localizer
from fakespan.metrics import auc, average_precision, average_recall, bootstrap_interval, match_proposals
from fakespan.segments import soft_nms

__all__ = [
    "FalseAlarms",
    "Rating",
    "evaluate_split",
    "false_alarms",
    "propose",
    "rate",
    "rate_by_kind",
]

IOUS = (0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Rating:
    """The metrics of one set of clips."""

    n_clips: int
    n_spans: int
    ap: dict[float, float]  # IoU -> AP
    ap50_interval: tuple[float, float]  # 95 %, bootstrap over clips
    ar10: float
    auc: float  # of the clip's score

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        numbers = {f"AP@{iou}": round(value, 4) for iou, value in self.ap.items()}
        low, high = self.ap50_interval
        rest = {"AP@0.5 95%": [round(low, 4), round(high, 4)], "AR@10": round(self.ar10, 4), "AUC": round(self.auc, 4)}
        return {"clips": self.n_clips, "spans": self.n_spans, **numbers, **rest}


@dataclass(frozen=True)
class FalseAlarms:
    """Segments found in untouched files."""

    n_files: int
    minutes: float
    n_segments: int
    files: dict[str, int]  # files with any

    @property
    def per_minute(self) -> float:
        """Segments per minute of genuine video."""
        return self.n_segments / self.minutes if self.minutes else 0.0


def propose(localizer: Localizer, example: Example, post: PostConfig | None = None) -> Float64Array:
    """Proposals of a clip that is at the model's clock already, (k, 3) score, start, end in seconds, best first."""
    post = post or localizer.post
    score_map = localizer.judge_clip(*example.present).at_file_clock().score
    proposals = decode(score_map, score_map.shape[1], post.decoding)
    kept = soft_nms(proposals, post.nms_alpha, post.nms_t1, post.nms_t2, FPS, max_proposals=post.max_proposals)
    return to_seconds(kept, FPS)


def rate(proposals: Sequence[Float64Array], examples: Sequence[Example]) -> Rating:
    """The metrics of these proposals, one array per example. Raises DataError if no example is forged."""
    names = [str(k) for k in range(len(examples))]
    found = dict(zip(names, proposals, strict=True))
    truth = {name: np.array(e.spans).reshape(-1, 2) for name, e in zip(names, examples, strict=True)}
    matches = match_proposals(found, truth, [0.5])
    is_forged = [bool(e.spans) for e in examples]
    return Rating(
        n_clips=len(examples),
        n_spans=sum(len(e.spans) for e in examples),
        ap=average_precision(found, truth, IOUS),
        ap50_interval=bootstrap_interval(lambda counts: matches.average_precision(0.5, counts), len(examples)),
        ar10=average_recall(found, truth, [10])[10],
        auc=auc([float(p[:, 0].max(initial=0.0)) for p in proposals], is_forged)
        if not all(is_forged)
        else float("nan"),
    )


def rate_by_kind(
    localizer: Localizer, examples: Sequence[Example], progress: Callable[[Iterable[Example]], Iterable[Example]] = iter
) -> dict[str, Rating]:
    """Metrics of all clips, and of the clips of each kind of forgery together with the real ones."""
    proposals = [propose(localizer, example) for example in progress(examples)]
    ratings = {"all": rate(proposals, examples)}
    for kind in ("audio", "visual", "both"):
        chosen = [k for k, e in enumerate(examples) if e.kind in (kind, "real")]
        if any(examples[k].kind == kind for k in chosen):
            ratings[kind] = rate([proposals[k] for k in chosen], [examples[k] for k in chosen])
    return ratings


def evaluate_split(
    localizer: Localizer,
    examples: Sequence[Example],
    files: Sequence[Path],
    progress: Callable[[Iterable[Example]], Iterable[Example]] = iter,
) -> dict[str, Any]:
    """All metrics of one split: on its practice clips, and false alarms on its untouched files."""
    ratings = rate_by_kind(localizer, examples, progress)
    alarms = false_alarms(localizer, files)
    return {
        "practice": {kind: rating.to_dict() for kind, rating in ratings.items()},
        "threshold": localizer.post.threshold,
        "false alarms": {
            "files": alarms.n_files,
            "minutes": round(alarms.minutes, 2),
            "segments": alarms.n_segments,
            "per minute": round(alarms.per_minute, 2),
            "in": alarms.files,
        },
    }


def false_alarms(localizer: Localizer, files: Sequence[Path], threshold: float | None = None) -> FalseAlarms:
    """Segments found in files that are known to be untouched."""
    scans = [localizer.scan(path, threshold=threshold) for path in files]
    return FalseAlarms(
        n_files=len(files),
        minutes=sum(s.duration_s for s in scans) / 60,
        n_segments=sum(len(s.segments) for s in scans),
        files={Path(s.file).name: len(s.segments) for s in scans if s.segments},
    )
