"""Converts the maps of a stretch to segments with their modality, and to curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from fakespan.boundary_map import cover, decode, peak, peak_near
from fakespan.config import FPS, PostConfig
from fakespan.localizer.maps import ClipMaps
from fakespan.rates import GenuineRates
from fakespan.segments import soft_nms, strongest
from fakespan.types import Curve, FaceTrack, Modality, Segment

__all__ = ["find_curves", "find_segments", "graded", "stretch_score"]


SHARE_OF_BOTH = 0.5  # a modality counts if its map reaches this share of the other's
DIGITS = 4  # decimals of scores; rounded before the comparison with the threshold, so that output and decision agree


def stretch_score(maps: ClipMaps) -> float:
    """The score of a stretch: the maximum over the spans within it."""
    return round(peak(maps.score), DIGITS)


def find_segments(maps: ClipMaps, track: FaceTrack | None, post: PostConfig) -> list[Segment]:
    """The proposals of a stretch that reach the threshold, after NMS."""
    # proposals below the threshold are neither shown nor suppress others
    n_frames, slack = maps.score.shape[1], 10.0**-DIGITS
    proposals = decode(maps.score, n_frames, post.decoding, min_score=post.threshold - slack)
    proposals[:, 0] = proposals[:, 0].round(DIGITS)
    kept = soft_nms(
        proposals,
        post.nms_alpha,
        post.nms_t1,
        post.nms_t2,
        FPS,
        max_proposals=max(post.max_proposals, n_frames // 5),
        floor=post.threshold,
        keep_last=True,
    )
    found = []
    for score, begin, end in strongest(kept):
        modality = _modality(maps, int(begin), int(end))
        found.append(
            Segment(
                start_s=round(float(maps.first_frame + begin) / FPS, 3),
                end_s=round(float(maps.first_frame + end) / FPS, 3),
                score=round(float(score), DIGITS),
                modality=modality,
                track=track.id if track is not None and modality != "audio" else None,
            )
        )
    return found


def graded(segment: Segment, rates: GenuineRates | None) -> Segment:
    """A segment with how rarely genuine recordings reach its score, if that was measured for the model."""
    rate = None if rates is None else rates.per_minute(segment.score, segment.modality)
    if rates is None or rate is None:
        return segment
    tier = rates.tier(segment.score, segment.modality)
    return dataclasses.replace(segment, tier=tier, genuine_per_hour=round(60 * rate, 2))


def _modality(maps: ClipMaps, begin: int, end: int) -> Modality:
    """The modality of a span: audio, visual or both, by the values of the two maps."""
    if maps.visual is None:
        return "audio"
    if maps.audio is None:
        return "visual"
    visual, audio = (peak_near(m, begin, end) for m in (maps.visual, maps.audio))
    if min(visual, audio) >= SHARE_OF_BOTH * max(visual, audio):
        return "both"
    return "audio" if audio > visual else "visual"


def find_curves(maps: ClipMaps, track: FaceTrack | None) -> Iterator[Curve]:
    """Frame scores of each modality, and for each frame the best score of a span that covers it."""
    number, start_s = (None if track is None else track.id), maps.first_frame / FPS
    for modality, values in (
        ("visual", maps.visual_frames),
        ("audio", maps.audio_frames),
        ("fused", cover(maps.score)),
    ):
        if values is not None:
            kind: Literal["audio", "visual", "fused"] = modality  # type: ignore[assignment]
            yield Curve(kind, number, start_s, FPS, tuple(round(float(v), 3) for v in values))
