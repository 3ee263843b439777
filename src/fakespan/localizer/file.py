"""Scans one file with a localizer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fakespan.arrays import BoolArray, Float32Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, ModelConfig, PostConfig
from fakespan.errors import MediaError
from fakespan.files import fingerprint
from fakespan.localizer.findings import find_curves, find_segments, stretch_score
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.stretch import JudgeClip, Stretch, listen
from fakespan.localizer.verdict import head_verdict, plain_verdict
from fakespan.media.choice import ONLY, Choice
from fakespan.media.damage import Damage
from fakespan.media.decode import Picture, read_pictures, read_sound
from fakespan.media.faces import FaceConfig, FaceMode, TrackEnd, follow_faces
from fakespan.media.jumps import Jumps
from fakespan.media.probe import probe
from fakespan.segments import merge
from fakespan.types import Curve, FaceTrack, MediaInfo, Progress, Scan, Segment, Source, Unjudged, Verdict, no_progress
from fakespan.version import __version__

if TYPE_CHECKING:  # it imports torch
    from fakespan.models.verdict_head import Head

__all__ = ["FileScan"]


Timed = TypeVar("Timed", Segment, FaceTrack, Curve)

_STATING = {"mov", "matroska", "avi", "flv", "asf", "wav", "ogg", "mxf"}  # formats whose length is no estimate
_LONGEST_MISSING_S = 0.5
SLOWEST_FPS = 5.0  # slower pictures are stills: a syllable takes a fifth of a second
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
        choice: the tracks to judge.
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
        choice: Choice = ONLY,
    ) -> None:
        self.judge, self.model, self.path, self.faces, self.post = judge, model, path, faces, post
        self.head = head
        self.progress = progress or no_progress
        self.source = choice.tracks
        self.info: MediaInfo = dataclasses.replace(probe(path, choice.tracks), streams=choice.every)
        self.decoder_threads = 0  # 0: one per core
        self.n_pictures = 0  # so far
        self.tracks: list[FaceTrack] = []
        self.stretches: list[tuple[ClipMaps, FaceTrack | None]] = []
        self.notes: list[str] = list(choice.notes)
        self.damage = Damage()
        self.jumps = Jumps()  # found in the pass over the sound, or over the pictures if there is none

    @cached_property
    def sound(self) -> Float32Array:
        """The audio of the file, empty if there is none."""
        if not self.info.has_audio:
            return np.zeros(0, np.float32)
        return read_sound(self.path, jumps=self.jumps, tracks=self.source, damage=self.damage)

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
        self._note_clock()
        self._note_damage(max(self.n_pictures, n_heard))
        self.progress(self.info.duration_s, self.info.duration_s)
        return self._result(max(self.n_pictures, n_heard), model_name)

    def _scan_tracks(self) -> None:
        """Send every face track through the network."""
        if not self.info.has_video or self.faces == "none" or self._is_slideshow:
            return
        _ = self.sound  # first, because pictures are not judged where the sound is damaged
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
            jumps, was_damaged = None if self.info.has_audio else self.jumps, False
            threads = self.decoder_threads
            for picture in read_pictures(
                self.path, threads=threads, jumps=jumps, tracks=self.source, damage=self.damage
            ):
                self.n_pictures = picture.index + 1
                if picture.index % 25 == 0:
                    self.progress(picture.index / FPS, self.info.duration_s)
                if not (is_damaged := self.damage.covers(picture.time_s)):
                    yield dataclasses.replace(picture, is_after_hole=True) if was_damaged else picture
                was_damaged = is_damaged
        except MediaError:
            if self.n_pictures or not self.has_sound:
                raise

    def _scan_sound_alone(self, n_heard: int) -> None:
        """Score the parts without a scanned face by their audio, as far as it goes."""
        free = np.ones(n_heard, bool)
        for track in self.tracks:
            if track.is_scanned:
                free[round(track.start_s * FPS) : round(track.end_s * FPS)] = False
        for part in self._intact(n_heard):
            for begin, end in _runs(free[slice(*part)], part[0]):
                if end - begin >= MIN_STRETCH_FRAMES or (begin, end) == part:
                    maps = listen(self.judge, self.model, self.sound, begin, end, part)
                    self.stretches.append((maps, None))

    def _intact(self, n_frames: int) -> list[tuple[int, int]]:
        """The stretches [begin, end) between holes and damage."""
        is_intact = np.ones(n_frames, bool)
        for start_s, end_s in self.damage.merged(n_frames / FPS):
            is_intact[int(start_s * FPS) : math.ceil(end_s * FPS)] = False
        return [run for part in self.jumps.parts(n_frames) for run in _runs(is_intact[slice(*part)], part[0])]

    @property
    def _is_slideshow(self) -> bool:
        """Whether the picture changes too seldom to show a mouth that moves."""
        return 0 < self.info.fps < SLOWEST_FPS

    def _missing_sound(self) -> list[str]:
        if not self.info.has_audio:
            return ["no sound"]
        return [] if self.has_sound else ["an empty audio stream"]

    def _missing_picture(self) -> list[str]:
        if not self.info.has_video:
            return ["no picture"]
        if self.faces == "none":
            return ["faces not detected (--faces none)"]
        if self._is_slideshow:
            return [f"still pictures ({self.info.fps:.3g} a second)"]
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

    def _note_clock(self) -> None:
        n = self.jumps.n_restarts
        if n:
            times = "once" if n == 1 else f"{n} times"
            self.notes.append(f"the file's clock starts again {times}: what follows is appended to what was before")

    def _late_s(self, frame: int) -> float:
        """How much later than the clock of the arrays a player shows a frame."""
        return self.info.starts_at_s + self.jumps.file_s(frame) - frame / FPS

    def _not_judged(self, n_frames: int) -> tuple[Unjudged, ...]:
        """Holes, damage, and what is missing at the end, by the clock of a player."""
        zero_s, found = self.info.starts_at_s, []
        for hole in self.jumps.holes:
            end_s = zero_s + self.jumps.file_s(hole.frame)
            found.append(Unjudged(round(end_s - hole.length_s, 3), round(end_s, 3), "gap"))
        for begin, end in self.jumps.parts(n_frames):
            late_s = self._late_s(begin)
            for start_s, end_s in self.damage.merged(end / FPS):
                if end_s > begin / FPS:
                    start_s = max(start_s, begin / FPS)  # noqa: PLW2901
                    found.append(Unjudged(round(start_s + late_s, 3), round(end_s + late_s, 3), "damaged"))
        missing_s = self._missing_s(n_frames)
        if missing_s:
            end_s = round(zero_s + self.jumps.file_s(n_frames), 3)
            found.append(Unjudged(end_s, round(end_s + missing_s, 3), "damaged"))
        return tuple(sorted(found, key=lambda u: u.start_s))

    def _missing_s(self, n_frames: int) -> float:
        """How long before its stated length the file ends; 0 if it ends in time or states none."""
        states_length = bool(_STATING & set(self.info.container.split(",")))
        missing_s = self.info.duration_s - self.jumps.file_s(n_frames)
        return missing_s if states_length and not self.jumps.n_restarts and missing_s > _LONGEST_MISSING_S else 0.0

    def _note_damage(self, n_frames: int) -> None:
        damaged = self.damage.merged(n_frames / FPS)
        if damaged:
            length_s = sum(end_s - start_s for start_s, end_s in damaged)
            self.notes.append(f"{length_s:.1f} s are damaged and were not judged")
        missing_s = self._missing_s(n_frames)
        if missing_s:
            self.notes.append(f"the file ends {missing_s:.1f} s before its stated length: cut short or damaged")

    def _result(self, n_frames: int, model_name: str) -> Scan:
        segments, curves, score = [], [], 0.0
        for maps, track in self.stretches:
            late_s = self._late_s(maps.first_frame)
            segments += [_moved(s, late_s) for s in find_segments(maps, track, self.post)]
            curves += [_moved(c, late_s) for c in find_curves(maps, track)]
            score = max(score, stretch_score(maps))
        return Scan(
            file=str(self.path),
            duration_s=round(self.jumps.file_s(n_frames), 3),
            score=score,
            threshold=self.post.threshold,
            segments=tuple(sorted(merge(segments), key=lambda s: (s.start_s, s.end_s))),
            model=model_name,
            media=self.info,
            tracks=tuple(_moved(track, self._late_s(round(track.start_s * FPS))) for track in self.tracks),
            curves=tuple(curves),
            notes=tuple(self.notes),
            fakespan_version=__version__,
            verdict=self._verdict(score),
            not_judged=self._not_judged(n_frames),
            source=Source(self.path.name, *fingerprint(self.path)),
        )

    def _verdict(self, score: float) -> Verdict:
        if self.head is None:
            return plain_verdict(score, self.post.threshold)
        return head_verdict(self.head, [maps.score for maps, _ in self.stretches], self.model)


def _moved(part: Timed, late_s: float) -> Timed:
    """The same, so much later."""
    ends: dict[str, Any] = {"end_s": round(part.end_s + late_s, 3)} if not isinstance(part, Curve) else {}
    return dataclasses.replace(part, start_s=round(part.start_s + late_s, 3), **ends)


def _runs(mask: BoolArray, first: int) -> list[tuple[int, int]]:
    """Range [begin, end) of each run of True, the first of them at `first`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(first + int(a), first + int(b)) for a, b in edges.reshape(-1, 2)]
