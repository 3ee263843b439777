"""Scans one file with a localizer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from fakespan.arrays import BoolArray, Float32Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, ModelConfig, PostConfig
from fakespan.errors import MediaError
from fakespan.files import fingerprint
from fakespan.localizer.findings import find_curves, find_segments, stretch_score
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.stretch import JudgeClip, Stretch, listen
from fakespan.localizer.verdict import head_verdict, plain_verdict
from fakespan.media.decode import Picture, read_pictures, read_sound
from fakespan.media.faces import FaceConfig, FaceMode, TrackEnd, follow_faces
from fakespan.media.probe import probe
from fakespan.models.verdict_head import Head
from fakespan.segments import merge
from fakespan.types import FaceTrack, MediaInfo, Progress, Scan, Source, Verdict, no_progress
from fakespan.version import __version__

__all__ = ["FileScan"]


MIN_STRETCH_FRAMES = 10  # shorter gaps between faces are not scored by their audio alone


class FileScan:
    """The scan of one file.

    Args:
        judge: the network, see `Localizer.judge_clip`.
        model: its sizes.
        path: of the file.
        faces: face mode.
        post: post-processing.
        progress: called with the processed and the total duration in seconds.
        head: for the verdict on the whole file, if the model has one.
    """

    def __init__(  # noqa: PLR0917 - called once, by the localizer
        self,
        judge: JudgeClip,
        model: ModelConfig,
        path: Path,
        faces: FaceMode,
        post: PostConfig,
        progress: Progress | None,
        head: Head | None = None,
    ) -> None:
        self.judge, self.model, self.path, self.faces, self.post = judge, model, path, faces, post
        self.head = head
        self.progress = progress or no_progress
        self.info: MediaInfo = probe(path)
        self.n_pictures = 0  # so far
        self.tracks: list[FaceTrack] = []
        self.stretches: list[tuple[ClipMaps, FaceTrack | None]] = []
        self.notes: list[str] = []

    @cached_property
    def sound(self) -> Float32Array:
        """The audio of the file, empty if there is none."""
        return read_sound(self.path) if self.info.has_audio else np.zeros(0, np.float32)

    @property
    def has_sound(self) -> bool:
        """Whether there is any audio, possibly silent."""
        return len(self.sound) > 0

    def run(self, model_name: str) -> Scan:
        """Scan it. Raises MediaError if there is neither a face nor audio."""
        self._scan_tracks()
        n_heard = -(-len(self.sound) // SAMPLES_PER_FRAME)
        self._scan_sound_alone(n_heard)
        missing = [*self._missing_sound(), *self._missing_picture()]
        if not self.stretches:
            raise MediaError(
                self.path,
                expected="a face or sound to scan",
                got=" and ".join(missing),
                remedy="use --faces whole if the whole picture is a face",
            )
        self._note(missing)
        self.progress(self.info.duration_s, self.info.duration_s)
        return self._result(max(self.n_pictures, n_heard) / FPS, model_name)

    def _scan_tracks(self) -> None:
        """Send every face track through the network."""
        if not self.info.has_video or self.faces == "none":
            return
        open_tracks: dict[int, Stretch] = {}
        for event in follow_faces(self._pictures(), self.faces, FaceConfig(framing=self.model.framing)):
            if isinstance(event, TrackEnd):
                track = event.track
                self.tracks.append(track)
                stretch = open_tracks.pop(track.id, None)
                if stretch is not None and track.is_scanned:
                    self.stretches.append((stretch.finish(), track))
                continue
            if event.track not in open_tracks:
                open_tracks[event.track] = Stretch(self.judge, self.model, event.index, self.sound)
            open_tracks[event.track].push(event.face)

    def _pictures(self) -> Iterator[Picture]:
        """The pictures of the file; none if nothing can be decoded but there is audio."""
        try:
            for picture in read_pictures(self.path):
                self.n_pictures = picture.index + 1
                if picture.index % 25 == 0:
                    self.progress(picture.index / FPS, self.info.duration_s)
                yield picture
        except MediaError:
            if self.n_pictures or not self.has_sound:
                raise

    def _scan_sound_alone(self, n_heard: int) -> None:
        """Score the parts without a scanned face by their audio, as far as it goes."""
        free = np.ones(n_heard, bool)
        for track in self.tracks:
            if track.is_scanned:
                free[round(track.start_s * FPS) : round(track.end_s * FPS)] = False
        for begin, end in _runs(free):
            if end - begin >= MIN_STRETCH_FRAMES or end - begin == n_heard:
                self.stretches.append((listen(self.judge, self.model, self.sound, begin, end), None))

    def _missing_sound(self) -> list[str]:
        if not self.info.has_audio:
            return ["no sound"]
        return [] if self.has_sound else ["an empty audio stream"]

    def _missing_picture(self) -> list[str]:
        if not self.info.has_video:
            return ["no picture"]
        if self.faces == "none":
            return ["faces not detected (--faces none)"]
        if not self.n_pictures:
            return ["a picture stream that cannot be decoded"]
        has_face = any(track.is_scanned for track in self.tracks)
        return [] if has_face else ["no face that is large enough for long enough"]

    def _note(self, missing: list[str]) -> None:
        """Add the notes on special cases."""
        if missing:
            left = "sound" if self.has_sound else "picture"
            self.notes.append(f"{missing[0]}: scored by the {left} alone")
        elif any(track is None for _, track in self.stretches):
            unseen_s = sum(maps.score.shape[1] for maps, track in self.stretches if track is None) / FPS
            self.notes.append(f"{unseen_s:.1f} s without a face: scored by the sound alone")
        if self.info.hdr:
            self.notes.append(f"the picture is HDR ({self.info.hdr}): converted to SDR before it was judged")
        if self.has_sound and not np.any(self.sound):
            self.notes.append("the sound is digital silence")
        n_short = sum(not track.is_scanned for track in self.tracks)
        if n_short:
            self.notes.append(f"{n_short} face track{'s' * (n_short > 1)} skipped: too short to scan")
        apart_s = abs(self.n_pictures / FPS - len(self.sound) / SAMPLE_RATE)
        if self.n_pictures and self.has_sound and apart_s > 1.0:
            self.notes.append(f"picture and sound differ in length by {apart_s:.1f} s")

    def _result(self, duration_s: float, model_name: str) -> Scan:
        segments, score = [], 0.0
        for maps, track in self.stretches:
            segments += find_segments(maps, track, self.post)
            score = max(score, stretch_score(maps))
        return Scan(
            file=str(self.path),
            duration_s=round(duration_s, 3),
            score=score,
            threshold=self.post.threshold,
            segments=tuple(sorted(merge(segments), key=lambda s: (s.start_s, s.end_s))),
            model=model_name,
            media=self.info,
            tracks=tuple(self.tracks),
            curves=tuple(curve for maps, track in self.stretches for curve in find_curves(maps, track)),
            notes=tuple(self.notes),
            fakespan_version=__version__,
            verdict=self._verdict(score),
            source=Source(self.path.name, *fingerprint(self.path)),
        )

    def _verdict(self, score: float) -> Verdict:
        if self.head is None:
            return plain_verdict(score, self.post.threshold)
        return head_verdict(self.head, [maps.score for maps, _ in self.stretches], self.model)


def _runs(mask: BoolArray) -> list[tuple[int, int]]:
    """Range [begin, end) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
