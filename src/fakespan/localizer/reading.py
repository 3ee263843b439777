"""What was read of a file and judged, and the `Scan` that it amounts to: segments, coverage, verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fakespan.arrays import Int64Array
from fakespan.config import FPS, ModelConfig, PostConfig
from fakespan.files import fingerprint
from fakespan.localizer.clock import FileClock
from fakespan.localizer.extent import Extent
from fakespan.localizer.findings import find_curves, find_segments, graded, stretch_score
from fakespan.localizer.judged import Coverage, seen_labels, without
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.options import ScanOptions
from fakespan.localizer.verdict import head_verdict, judged_minutes, plain_verdict
from fakespan.media.container import Tracks
from fakespan.media.credentials import read_credentials
from fakespan.media.making import read_making
from fakespan.segments import heard_once, merge
from fakespan.types import FaceTrack, Provenance, Scan, Source, TimeRange, Unjudged, Verdict
from fakespan.version import __version__

if TYPE_CHECKING:  # it imports torch
    from fakespan.models.verdict_head import Head

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """A file that was read as far as asked; times and frames are those of its arrays, without holes."""

    path: Path
    streams: Tracks  # that were read
    options: ScanOptions
    clock: FileClock
    extent: Extent
    n_pictures: int  # 0: no faces were looked for
    early: tuple[int, ...]  # of the pictures: those that fill a time in which none was recorded
    n_heard: int  # frames of sound
    heard: Int64Array | None  # (n_heard,): what the sound is, see `hearing`; None: there is none
    tracks: tuple[FaceTrack, ...]
    seen: Mapping[int, Int64Array]  # labels of the frames of tracks, by their ids, see `seeing`
    stretches: tuple[tuple[ClipMaps, FaceTrack | None], ...]  # None: judged by the sound alone
    notes: tuple[str, ...]

    def result(self, model_name: str, model: ModelConfig, post: PostConfig, head: Head | None = None) -> Scan:
        """The result of the scan.

        Args:
            model_name: for the record.
            model: the sizes of the network.
            post: post-processing of its maps.
            head: for the verdict on the whole file, if the model has one.
        """
        segments, curves, score = [], [], 0.0
        for maps, track in self.stretches:
            segments += [self.clock.moved(s, maps.first_frame) for s in find_segments(maps, track, post)]
            shown = [self.extent.shown(curve) for curve in find_curves(maps, track)]
            curves += [self.clock.moved(c, round(c.start_s * FPS)) for c in shown if c.values]
            score = max(score, stretch_score(maps))
        edges_s = self.extent.edges_s(self.clock.info, self._length_s)
        coverage, asked = self._coverage(), None if self.extent.is_whole else TimeRange(*edges_s[1:3])
        not_judged = self._not_judged(coverage, edges_s)
        duration_s, judged_s = edges_s[3] - edges_s[0], edges_s[2] - edges_s[1]
        within = coverage.part(self.extent.begin, self.extent.end_in(self.n_frames))
        share = within.share(judged_s)
        if head is None or not self.stretches:
            verdict = self._plain_verdict(score, (share.sound or 0.0) * judged_s, post)
        else:
            verdict = head_verdict(head, [maps.score for maps, _ in self.stretches], model, self.options.prior)
        return Scan(
            file=str(self.path),
            duration_s=round(duration_s, 3),
            score=score,
            threshold=post.threshold,
            segments=tuple(graded(segment, post.rates) for segment in heard_once(merge(segments))),
            model=model_name,
            media=self.clock.info,
            tracks=tuple(self.clock.moved(track, round(track.start_s * FPS)) for track in self.tracks),
            curves=tuple(curves),
            notes=(*self.notes, *self.clock.notes(self.n_frames)),
            fakespan_version=__version__,
            verdict=verdict,
            not_judged=not_judged,
            source=Source(self.path.name, *fingerprint(self.path)),
            judged_share=share,
            reasons=within.reasons(not_judged, judged_s),
            asked=asked,
            provenance=Provenance(read_credentials(self.path), read_making(self.path, self.streams, self.clock.jumps)),
        )

    @property
    def n_frames(self) -> int:
        """Length of the file: as far as it decodes, or as stated if nothing of it was to be decoded.

        Pictures that were not looked at count as far as their packets go.
        """
        n_read = max(self.n_pictures, self.n_heard)
        if n_read and self.clock.info.has_video and not self.n_pictures and self.extent.last is None:
            return max(n_read, self.clock.jumps.frames_before(self.clock.others_end_s))
        return n_read or round(self.clock.info.duration_s * FPS)

    @property
    def _length_s(self) -> float:
        """Length of the file by its own clock, with the end that it states and does not have."""
        return self.clock.end_s(self.n_frames) + self.clock.missing_s(self.n_frames)

    def _coverage(self) -> Coverage:
        picture = seen_labels(self.n_pictures, self.tracks, self.seen, self.early) if self.n_pictures else None
        left_out = self.clock.is_damaged(self.n_frames) | self.extent.without(self.n_frames)
        return Coverage(without(self.heard, left_out), without(picture, left_out))

    def _not_judged(self, coverage: Coverage, edges_s: Sequence[float]) -> tuple[Unjudged, ...]:
        """The stretches that were not judged, by the clock of a player."""
        lost = self.clock.lost(self.n_frames)
        found = [part for part in lost if part.end_s > edges_s[1] and part.start_s <= edges_s[2]]
        for part in coverage.left_out(self.clock.jumps.parts(self.n_frames)):
            late_s = self.clock.late_s(part.begin)
            start_s, end_s = (round(frame / FPS + late_s, 3) for frame in (part.begin, part.end))
            found.append(Unjudged(start_s, end_s, part.reason, part.modality))
        return tuple(sorted([*found, *self.extent.outside(edges_s)], key=lambda part: (part.start_s, part.end_s)))

    def _plain_verdict(self, score: float, sound_s: float, post: PostConfig) -> Verdict:
        faces = [maps for maps, track in self.stretches if track is not None]
        judged = judged_minutes(faces, self.extent, sound_s)
        return plain_verdict(score, post.threshold, post.rates, judged, self.options.prior)
