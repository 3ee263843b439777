"""The clock of a file: from frames without holes to the times of a player, and what is missing on the way."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from fakespan.arrays import BoolArray
from fakespan.config import FPS
from fakespan.localizer.hearing import runs
from fakespan.media.damage import Damage, cut_off_s
from fakespan.media.jumps import Jumps
from fakespan.types import Curve, FaceTrack, MediaInfo, Segment, Unjudged

__all__ = ["FileClock"]

Timed = TypeVar("Timed", Segment, FaceTrack, Curve)


@dataclass(frozen=True)
class FileClock:
    """The clock of one file; `jumps` and `damage` are filled while it is read."""

    info: MediaInfo
    is_read_to_end: bool = True
    jumps: Jumps = field(default_factory=Jumps)  # found in the pass over the sound, or the pictures if there is none
    damage: Damage = field(default_factory=Damage)
    others_end_s: float = 0.0  # of tracks that are not judged: a file that has these to the end is not cut short

    def late_s(self, frame: int) -> float:
        """How much later than the clock of the arrays a player shows a frame."""
        return self.info.starts_at_s + self.jumps.file_s(frame) - frame / FPS

    def end_s(self, n_frames: int) -> float:
        """Seconds from the file's first picture or sound to the end of so many frames; no hole is behind the last."""
        return self.jumps.file_s(n_frames - 1) + 1 / FPS if n_frames else 0.0

    def moved(self, part: Timed, frame: int) -> Timed:
        """The same at the times of a player; frame is where it begins, or what it belongs to begins."""
        late_s = self.late_s(frame)
        ends: dict[str, Any] = {"end_s": round(part.end_s + late_s, 3)} if not isinstance(part, Curve) else {}
        return dataclasses.replace(part, start_s=round(part.start_s + late_s, 3), **ends)

    def is_damaged(self, n_frames: int) -> BoolArray:
        """(n_frames,)."""
        damaged = np.zeros(n_frames, bool)
        for start_s, end_s in self.damage.merged(n_frames / FPS):
            damaged[int(start_s * FPS) : math.ceil(end_s * FPS)] = True
        return damaged

    def intact(self, n_frames: int) -> list[tuple[int, int]]:
        """The stretches [begin, end) between holes and damage."""
        is_intact = ~self.is_damaged(n_frames)
        return [run for part in self.jumps.parts(n_frames) for run in runs(is_intact[slice(*part)], part[0])]

    def lost(self, n_frames: int) -> list[Unjudged]:
        """Holes, damage, and what is missing at the end, by the clock of a player."""
        zero_s, found = self.info.starts_at_s, []
        for hole in (hole for hole in self.jumps.holes if hole.frame < n_frames):  # nothing is behind the others
            end_s = zero_s + self.jumps.file_s(hole.frame)
            found.append(Unjudged(round(end_s - hole.length_s, 3), round(end_s, 3), "gap"))
        for begin, end in self.jumps.parts(n_frames):
            late_s = self.late_s(begin)
            for start_s, end_s in self.damage.merged(end / FPS):
                if end_s > begin / FPS:
                    start_s = max(start_s, begin / FPS)  # noqa: PLW2901
                    found.append(Unjudged(round(start_s + late_s, 3), round(end_s + late_s, 3), "damaged"))
        missing_s = self.missing_s(n_frames)
        if missing_s:
            end_s = round(zero_s + self.end_s(n_frames), 3)
            found.append(Unjudged(end_s, round(end_s + missing_s, 3), "damaged"))
        return found

    def missing_s(self, n_frames: int) -> float:
        """How long before its stated length the file ends; 0 if it ends in time, states none, or is not read so far."""
        if not self.is_read_to_end or self.jumps.n_restarts:
            return 0.0
        ends_s = self.end_s(n_frames), self.others_end_s
        missing_s, also_of_others_s = (cut_off_s(self.info.container, end_s, self.info.duration_s) for end_s in ends_s)
        return missing_s if also_of_others_s else 0.0

    def notes(self, n_frames: int) -> list[str]:
        """Remarks on restarts, damage and a missing end."""
        notes, n = [], self.jumps.n_restarts
        if n:
            times = "once" if n == 1 else f"{n} times"
            notes.append(f"the file's clock starts again {times}: what follows is appended to what was before")
        damaged = self.damage.merged(n_frames / FPS)
        if damaged:
            length_s = sum(end_s - start_s for start_s, end_s in damaged)
            notes.append(f"{length_s:.1f} s are damaged and were not judged")
        missing_s = self.missing_s(n_frames)
        if missing_s:
            notes.append(f"the file ends {missing_s:.1f} s before its stated length: cut short or damaged")
        return notes
