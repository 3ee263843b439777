"""What of a file was judged: the maps limited to it, its share, and the stretches left out, with reasons."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fakespan.arrays import BoolArray, Int64Array
from fakespan.config import FPS
from fakespan.localizer import seeing
from fakespan.localizer.hearing import LABELS, Hearing, runs
from fakespan.localizer.maps import ClipMaps
from fakespan.types import MIN_JUDGED_S, FaceTrack, JudgedShare, Reason, Unjudged

__all__ = ["Coverage", "LeftOut", "heard_part", "seen_labels", "seen_part", "skipped", "without"]

_SHARE = 0.5  # of the frames of a span that must be judged
_SHORTEST = round(0.4 * FPS)  # frames; shorter stretches are not listed
_LABELS: tuple[Reason | None, ...] = (*LABELS, "no_face", "too_short", "face_too_small", "gap", *seeing.LABELS)
_NO_FACE, _TOO_SHORT, _TOO_SMALL, _GAP, _SEEN = range(len(LABELS), len(LABELS) + 5)  # behind them those of faces
_ELSEWHERE = -1  # listed elsewhere


def heard_part(maps: ClipMaps, hearing: Hearing) -> ClipMaps:
    """The maps without the sound of spans of which less than half can be judged by it; the picture decides there."""
    can = np.zeros(maps.score.shape[1], bool)
    own = hearing.is_judged[maps.first_frame : maps.first_frame + len(can)]
    can[: len(own)] = own
    return _limited(maps, can, "audio", "visual")


def seen_part(maps: ClipMaps, seen: Int64Array) -> ClipMaps:
    """The maps of a track without the picture of spans of which more than half is not judged; the sound decides there.

    `seen` has the labels of its frames, see `seeing`.
    """
    return _limited(maps, seen[: maps.score.shape[1]] == 0, "visual", "audio")


def _limited(maps: ClipMaps, can: BoolArray, modality: str, other: str) -> ClipMaps:
    own, curve, otherwise = (getattr(maps, name) for name in (modality, f"{modality}_frames", other))
    if own is None or curve is None or can.all():
        return maps
    allowed = _mostly(can, len(own))
    changed: dict[str, Any] = {
        "score": np.where(allowed, maps.score, np.float32(0) if otherwise is None else otherwise),
        modality: np.where(allowed, own, np.float32(0)),
        f"{modality}_frames": np.where(can, curve, np.float32(0)),
    }
    return dataclasses.replace(maps, **changed)


def _mostly(mask: BoolArray, n_spans: int) -> BoolArray:
    """(D, n): whether the mask holds for at least half of the frames of each span [t, t + d + 1]."""
    n_frames = len(mask)
    sums = np.concatenate([[0], np.cumsum(mask)])
    begin = np.arange(n_frames)
    end = np.minimum(begin + np.arange(1, n_spans + 1)[:, None], n_frames)
    return np.asarray(sums[end] - sums[begin] >= _SHARE * (end - begin))


def seen_labels(
    n_pictures: int, tracks: Sequence[FaceTrack], seen: Mapping[int, Int64Array], early: Sequence[int] = ()
) -> Int64Array:
    """The labels of the pictures of a file at 25 fps, by the faces that were tracked in them.

    `seen` has the labels of the frames of scanned tracks, by their ids (see `seeing`); `early` are pictures that fill a
    time in which none was recorded.
    """
    labels = np.full(n_pictures, _NO_FACE)
    for track in sorted(tracks, key=lambda track: track.is_scanned):  # scanned faces last
        begin, end = round(track.start_s * FPS), round(track.end_s * FPS)
        labels[begin:end] = 0 if track.is_scanned else _TOO_SMALL if track.is_small else _TOO_SHORT
    worst, is_seen = np.zeros(n_pictures, np.int64), np.zeros(n_pictures, bool)
    for track in (track for track in tracks if track.id in seen):
        begin = round(track.start_s * FPS)
        own = seen[track.id][: n_pictures - begin]
        part = slice(begin, begin + len(own))
        worst[part], is_seen[part] = np.maximum(worst[part], own), is_seen[part] | (own == 0)
    labels = np.where((worst > 0) & ~is_seen, _SEEN + worst, labels)  # another face may be judged there
    labels[list(early)] = _GAP
    return labels


def skipped(tracks: Sequence[FaceTrack]) -> Iterator[str]:
    """A note on the faces that were not scanned, for each reason."""
    for is_small, why in ((False, "short"), (True, "small")):
        n = sum(not track.is_scanned and track.is_small == is_small for track in tracks)
        if n:
            yield f"{n} face track{'s' * (n > 1)} skipped: too {why} to scan"


@dataclass(frozen=True)
class LeftOut:
    """Frames [begin, end) of a stream that were not judged."""

    begin: int
    end: int
    reason: Reason
    modality: Literal["audio", "visual"]


@dataclass(frozen=True)
class Coverage:
    """The labels of the frames of each stream, 0 where it was judged."""

    sound: Int64Array | None  # None: the file has none
    picture: Int64Array | None

    def share(self, duration_s: float) -> JudgedShare:
        """The judged shares of a file's duration."""
        lengths = [len(part) for part in (self.sound, self.picture) if part is not None]
        n_frames = max([round(duration_s * FPS), *lengths])
        sound, picture = (_judged(part, n_frames) for part in (self.sound, self.picture))
        return JudgedShare(
            either=_mean(sound | picture),
            sound=None if self.sound is None else _mean(sound),
            picture=None if self.picture is None else _mean(picture),
        )

    def part(self, begin: int, end: int) -> Coverage:
        """Of the frames [begin, end)."""
        sound, picture = (None if labels is None else labels[begin:end] for labels in (self.sound, self.picture))
        return Coverage(sound, picture)

    def left_out(self, parts: Sequence[tuple[int, int]]) -> Iterator[LeftOut]:
        """The stretches that were not judged, within each of the parts [begin, end) of the file; no damage."""
        for part in parts:
            if self.sound is not None:
                yield from _left_out(self.sound, part, "audio")
            if self.picture is not None:
                yield from _left_out(self.picture, part, "visual")

    def reasons(self, not_judged: Sequence[Unjudged], duration_s: float) -> tuple[Reason, ...]:
        """Why something was not judged, by how much of the file it concerns."""
        lengths_s: dict[Reason, float] = {}
        for part in not_judged:
            if part.reason != "not_asked":
                lengths_s[part.reason] = lengths_s.get(part.reason, 0.0) + part.length_s
        if self.share(duration_s).either * duration_s < MIN_JUDGED_S:
            lengths_s.setdefault("too_short", 0.0)
        if self.picture is None and self.sound is not None:
            lengths_s["sound_only"] = duration_s
        if self.sound is None:
            lengths_s["picture_only"] = duration_s
        return tuple(sorted(lengths_s, key=lambda reason: -lengths_s[reason]))


def without(labels: Int64Array | None, frames: BoolArray) -> Int64Array | None:
    """The labels of all frames of a file, with these (damaged, not asked for) as not judged, but not to be listed.

    Where the stream has ended before the other one, nothing was recorded; a difference
    too short to be listed is none, since streams seldom end with the same frame.
    """
    if labels is None:
        return None
    n_ended = len(frames) - len(labels)
    ended = np.full(n_ended, _GAP if n_ended >= _SHORTEST else labels[-1])
    return np.where(frames, _ELSEWHERE, np.concatenate([labels, ended]))


def _left_out(labels: Int64Array, part: tuple[int, int], modality: Literal["audio", "visual"]) -> Iterator[LeftOut]:
    for label, reason in enumerate(_LABELS):
        for begin, end in runs(labels[slice(*part)] == label, part[0]):
            if reason is not None and end - begin >= _SHORTEST:
                yield LeftOut(begin, end, reason, modality)


def _judged(labels: Int64Array | None, n_frames: int) -> BoolArray:
    """(n_frames,)."""
    judged = np.zeros(n_frames, bool)
    if labels is not None:
        judged[: len(labels)] = labels == 0
    return judged


def _mean(mask: BoolArray) -> float:
    return round(float(mask.mean()), 3) if len(mask) else 0.0
