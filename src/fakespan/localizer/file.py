"""Scans one file with a localizer: reads it, and sends what is seen and heard through the network."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from fakespan.arrays import Float32Array, Int64Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, ModelConfig
from fakespan.errors import MediaError
from fakespan.localizer.clock import FileClock
from fakespan.localizer.extent import Extent
from fakespan.localizer.hearing import Hearing, hear, runs
from fakespan.localizer.judged import heard_part, seen_part, skipped
from fakespan.localizer.maps import ClipMaps, window_frames
from fakespan.localizer.options import ScanOptions
from fakespan.localizer.reading import Reading
from fakespan.localizer.stretch import JudgeClip, Stretch, listen
from fakespan.media.choice import ONLY, Choice
from fakespan.media.damage import Damage
from fakespan.media.decode import Picture, read_pictures, read_sound
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces
from fakespan.media.probe import packets_end_s, probe
from fakespan.types import FaceTrack, MediaInfo, Progress, no_progress

__all__ = ["FileScan"]

SLOWEST_FPS = 5.0  # slower pictures are stills: a syllable takes a fifth of a second
FEW_FPS = 10.0  # of slower pictures each is shown three times and more
LEAST_SIDE = 48  # pixels of a crop; of smaller faces a quarter of the genuine ones looked forged (docs/scan.md)
MIN_STRETCH_FRAMES = 10  # shorter gaps between faces are not scored by their audio alone


class FileScan:
    """The reading of one file.

    Args:
        judge: the network, see `Localizer.judge_clip`.
        model: its sizes.
        path: of the file.
        options: what the user chose.
        progress: called with the processed and the total duration in seconds.
        choice: the tracks to judge.
    """

    def __init__(  # noqa: PLR0917 - called once, by the localizer
        self,
        judge: JudgeClip,
        model: ModelConfig,
        path: Path,
        options: ScanOptions,
        progress: Progress | None = None,
        choice: Choice = ONLY,
    ) -> None:
        self.judge, self.model, self.path, self.options = judge, model, path, options
        self.progress = progress or no_progress
        self.source = choice.tracks
        self.info: MediaInfo = dataclasses.replace(probe(path, choice.tracks), streams=choice.every)
        self.decoder_threads = 0  # 0: one per core
        self.n_pictures = 0  # so far
        self.early: list[int] = []  # the pictures that fill a time before the first one
        self.tracks: list[FaceTrack] = []
        self.stretches: list[tuple[ClipMaps, FaceTrack | None]] = []
        self.seen: dict[int, Int64Array] = {}  # labels of the frames of tracks, by their ids, see `seeing`
        self.notes: list[str] = list(choice.notes)
        self.extent = Extent.of(path, options, self.info, window_frames(model), self.source)
        damage = Damage(frozenset({"audio", "video"} if self._looks else {"audio"}))
        self.clock = FileClock(self.info, self.extent.last is None, damage=damage)
        self.jumps, self.damage = self.clock.jumps, damage

    @cached_property
    def sound(self) -> Float32Array:
        """The audio of the file as far as it is needed, empty if there is none."""
        if not self.info.has_audio:
            return np.zeros(0, np.float32)
        most = self.extent.n_samples
        return read_sound(self.path, jumps=self.jumps, tracks=self.source, damage=self.damage, n_most=most)

    @property
    def has_sound(self) -> bool:
        """Whether there is any audio, possibly silent."""
        return len(self.sound) > 0

    @cached_property
    def hearing(self) -> Hearing:
        """What the sound is, frame by frame."""
        return hear(self.sound, self.options.sound)

    def run(self) -> Reading:
        """Read and judge it. Raises MediaError if neither picture nor sound can be decoded."""
        self._scan_tracks()
        n_heard = -(-len(self.sound) // SAMPLES_PER_FRAME)
        self._scan_sound_alone(n_heard)
        missing = [*self._missing_sound(), *self._missing_picture()]
        if not self.has_sound and not self.n_pictures and (self._looks or not self.info.has_video):
            remedy = "copy or convert it again, from a source that plays"
            raise MediaError(self.path, expected="a picture or sound to scan", got=" and ".join(missing), remedy=remedy)
        self._note(missing)
        self.progress(self._read_s, self._read_s)
        return self._reading(n_heard)

    def _scan_tracks(self) -> None:
        """Send every face track through the network."""
        if not self._looks:
            return
        _ = self.sound  # first, because pictures are not judged where the sound is damaged
        open_tracks: dict[int, Stretch] = {}
        config = FaceConfig(framing=self.model.framing, min_side=LEAST_SIDE)
        for event in follow_faces(self._pictures(), self.options.faces, config):
            if isinstance(event, TrackEnd):
                track = event.track
                self.tracks.append(track)
                stretch = open_tracks.pop(track.id, None)
                if stretch is not None and track.is_scanned:
                    self.seen[track.id] = stretch.seen
                    self._keep(stretch.finish(), track)
                continue
            if event.track not in open_tracks:
                open_tracks[event.track] = Stretch(self.judge, self.model, event.index, self.sound, self.extent)
            open_tracks[event.track].push(event.face)

    def _keep(self, maps: ClipMaps | None, track: FaceTrack | None) -> None:
        if maps is not None:
            seen = maps if track is None else seen_part(maps, self.seen[track.id])
            self.stretches.append((self.extent.kept(heard_part(seen, self.hearing)), track))

    def _pictures(self) -> Iterator[Picture]:
        """The pictures of the file; none if nothing can be decoded but there is audio."""
        jumps, begins_anew = None if self.info.has_audio else self.jumps, False
        heard = list(self.damage.spans)  # of the sound, which was read before
        pictures = read_pictures(
            self.path, threads=self.decoder_threads, jumps=jumps, tracks=self.source, damage=self.damage
        )
        try:
            for picture in itertools.islice(pictures, self.extent.last):
                self.n_pictures = picture.index + 1
                if picture.index % 25 == 0:
                    self.progress(picture.index / FPS, self._read_s)
                begins_anew |= picture.is_after_hole or picture.is_damaged
                if picture.is_early:
                    self.early.append(picture.index)
                elif not picture.is_damaged:
                    yield dataclasses.replace(picture, is_after_hole=begins_anew)
                    begins_anew = False
        except MediaError:
            if self.n_pictures or not self.has_sound:
                raise
            self.damage.spans, self.damage.open_s = heard, None  # no picture is judged: its damage does not count
        finally:
            pictures.close()

    @property
    def _read_s(self) -> float:
        """How much of the file is read, as far as it states its length."""
        stated_s, last = self.info.duration_s, self.extent.last
        return stated_s if last is None else min(stated_s, last / FPS)

    def _scan_sound_alone(self, n_heard: int) -> None:
        """Score the parts without a scanned face by their audio, as far as it goes."""
        free = np.ones(n_heard, bool)
        for track in self.tracks:
            if track.is_scanned:
                free[round(track.start_s * FPS) : round(track.end_s * FPS)] = False
        for part in self.clock.intact(n_heard):
            for begin, end in runs(free[slice(*part)], part[0]):
                is_long = end - begin >= MIN_STRETCH_FRAMES or (begin, end) == part
                if is_long and self.hearing.is_judged[begin:end].any():
                    maps = listen(self.judge, self.model, self.sound, begin, end, part, self.extent)
                    self._keep(maps, None)

    @property
    def _looks(self) -> bool:
        """Whether faces are looked for."""
        return self.info.has_video and self.options.faces != "none" and not self._is_slideshow

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
        if self.options.faces == "none":
            return ["faces not detected (--faces none)"]
        if self._is_slideshow:
            return [f"still pictures ({self.info.fps:.3g} a second)"]
        if not self.n_pictures:
            return ["a picture stream that cannot be decoded"]
        return [] if any(t.is_scanned for t in self.tracks) else ["no face that is large enough for long enough"]

    def _note(self, missing: list[str]) -> None:
        """Add the notes on special cases."""
        if not self.stretches and not self.has_sound:
            self.notes.append(f"{' and '.join(missing)}: nothing could be judged")
        elif missing:
            left = f": scored by the {'sound' if self.has_sound else 'picture'} alone" if self.stretches else ""
            self.notes.append(f"{missing[0]}{left}")
        elif any(track is None for _, track in self.stretches):
            unseen_s = sum(maps.score.shape[1] for maps, track in self.stretches if track is None) / FPS
            self.notes.append(f"{unseen_s:.1f} s without a face: scored by the sound alone")
        if self.n_pictures and 0 < self.info.fps < FEW_FPS:
            self.notes.append(
                f"{self.info.fps:.3g} pictures a second: few to see a mouth move, so forged lips may be missed"
            )
        if self.info.is_interlaced and self.n_pictures:
            self.notes.append("the picture is marked as interlaced: torn frames were deinterlaced, which costs detail")
        if self.info.hdr:
            self.notes.append(f"the picture is HDR ({self.info.hdr}): converted to SDR before it was judged")
        if self.has_sound and not np.any(self.sound):
            self.notes.append("the sound is digital silence")
        if self.has_sound and not self.hearing.has_detector:
            self.notes.append("speech was not looked for (install silero-vad): all sound was judged")
        self.notes += skipped(self.tracks)
        apart_s = abs(self.n_pictures / FPS - len(self.sound) / SAMPLE_RATE) if self.extent.last is None else 0.0
        if self.n_pictures and self.has_sound and apart_s > 1.0:
            self.notes.append(f"picture and sound differ in length by {apart_s:.1f} s")

    def _reading(self, n_heard: int) -> Reading:
        n_read = max(self.n_pictures, n_heard)
        is_unseen = self.info.has_video and not self.n_pictures and self.extent.last is None
        if n_read and (is_unseen or self.clock.missing_s(n_read)):
            self.clock = dataclasses.replace(self.clock, others_end_s=packets_end_s(self.path))
        return Reading(
            path=self.path,
            streams=self.source,
            options=self.options,
            clock=self.clock,
            extent=self.extent,
            n_pictures=self.n_pictures,
            early=tuple(self.early),
            n_heard=n_heard,
            heard=self.hearing.labels if self.has_sound else None,
            tracks=tuple(self.tracks),
            seen=self.seen,
            stretches=tuple(self.stretches),
            notes=tuple(self.notes),
        )
