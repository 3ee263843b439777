"""The figures of one row of MODEL_CARD's tables: AP with its interval, its floor, and the AUC of frames and clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fakespan.arrays import Float32Array, Float64Array, Int64Array
from fakespan.boundary_map import decode, to_seconds
from fakespan.config import FPS, PostConfig
from fakespan.metrics import auc, match_proposals
from fakespan.metrics.bootstrap import draws, interval
from fakespan.metrics.position import position_auc, position_floor
from fakespan.segments import iou, soft_nms

MOST = 60  # proposals of a clip


@dataclass(frozen=True)
class Rated:
    """A clip, its truth and what a model found in it."""

    person: str
    n_frames: int
    spans_s: Float64Array  # (k, 2)
    proposals: Float32Array  # (n, 3) score, start, end in seconds

    @property
    def best(self) -> float:
        """The highest score."""
        return float(self.proposals[:, 0].max(initial=0))


def rated(
    boundary_map: Float32Array, n_frames: int, spans: Sequence[Sequence[float]], person: str, post: PostConfig
) -> Rated:
    """A clip of a boundary map (D, T) and its forged spans in frames."""
    found = to_seconds(decode(boundary_map, n_frames, "aligned"))
    kept = soft_nms(found, post.nms_alpha, post.nms_t1, post.nms_t2, max_proposals=MOST)
    return Rated(person, n_frames, np.array(spans, np.float64).reshape(-1, 2) / FPS, kept)


def row(name: str, clips: Sequence[Rated], n_resamples: int = 300) -> str:
    """One line of text; the 95 % interval of AP@0.5 is a bootstrap over people."""
    spans = {str(k): clip.spans_s for k, clip in enumerate(clips)}
    found = {str(k): clip.proposals for k, clip in enumerate(clips)}
    durations_s = {str(k): clip.n_frames / FPS for k, clip in enumerate(clips)}
    matches = match_proposals(found, spans, (0.5, 0.75))
    people = sorted({clip.person for clip in clips})
    low, high = interval(
        [matches.average_precision(0.5, counts) for counts in _drawn_people(clips, people, n_resamples)]
    )
    floor = position_floor(spans, durations_s)[0.5]
    forged = [len(clip.spans_s) > 0 for clip in clips]
    whole = auc([clip.best for clip in clips], forged) if 0 < sum(forged) < len(forged) else float("nan")
    return (
        f"{name}: {sum(len(clip.spans_s) for clip in clips)} spans in {len(clips)} clips of {len(people)} people, "
        f"AP@0.5 {100 * matches.average_precision(0.5):.0f} ({100 * low:.0f} to {100 * high:.0f}), "
        f"AP@0.75 {100 * matches.average_precision(0.75):.0f}, floor {100 * floor:.1f}, "
        f"frames {100 * position_auc(found, spans, durations_s):.0f}, clips {100 * whole:.0f}"
    )


def n_found(clips: Sequence[Rated], threshold: float) -> int:
    """Forged spans that a proposal from the threshold on covers with an IoU of 0.5."""
    return sum(
        bool(iou(clip.proposals[clip.proposals[:, 0] >= threshold][:, 1:], span[None]).max(initial=0) >= 0.5)
        for clip in clips
        for span in clip.spans_s
    )


def _drawn_people(clips: Sequence[Rated], people: list[str], n_resamples: int) -> Iterator[Int64Array]:
    """How often each clip counts when its people are drawn."""
    index = np.array([people.index(clip.person) for clip in clips])
    for counts in draws(len(people), n_resamples):
        yield counts[index]
