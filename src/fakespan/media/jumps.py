"""What the clock of a file does, and which item is shown at each instant of it.

Contract: holes are taken out of the clock by which a file is read, so that they cost nothing. `Jumps` records them and
converts times back; no item is shown on the other side of a hole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from fakespan.config import FPS

__all__ = ["Hole", "Jumps", "at_clock"]

T = TypeVar("T")

_TIE_S = 1e-4


@dataclass(frozen=True, slots=True)
class Hole:
    """A hole of `length_s` that was taken out in front of a frame of the clock (25 fps)."""

    frame: int
    length_s: float


@dataclass
class Jumps:
    """What the clock of a file does; filled while the file is read."""

    holes: list[Hole] = field(default_factory=list)
    n_restarts: int = 0  # how often the clock went back, or ahead beyond the end of the file

    def file_s(self, frame: float) -> float:
        """Seconds from the file's first picture or sound to a frame of the clock.

        >>> Jumps([Hole(50, 10.0)]).file_s(49), Jumps([Hole(50, 10.0)]).file_s(50)
        (1.96, 12.0)
        """
        return frame / FPS + sum(hole.length_s for hole in self.holes if hole.frame <= frame)

    def frame_at(self, time_s: float) -> int:
        """The frame of the clock that a file shows so many seconds after its first picture or sound; at least 0.

        >>> Jumps([Hole(50, 10.0)]).frame_at(1.96), Jumps([Hole(50, 10.0)]).frame_at(7.0)
        (49, 50)
        """
        lost_s = 0.0
        for hole in sorted(self.holes, key=lambda hole: hole.frame):
            if time_s < hole.frame / FPS + lost_s + hole.length_s:
                return max(0, min(hole.frame, int((time_s - lost_s) * FPS + _TIE_S)))
            lost_s += hole.length_s
        return max(0, int((time_s - lost_s) * FPS + _TIE_S))

    def frames_before(self, time_s: float) -> int:
        """How many frames of the clock begin less than so many seconds after the file's first picture or sound.

        >>> Jumps([Hole(50, 10.0)]).frames_before(1.97), Jumps([Hole(50, 10.0)]).frames_before(12.0)
        (50, 50)
        """
        frame = self.frame_at(time_s)
        return frame + (self.file_s(frame) < time_s - _TIE_S)

    def last_s(self, time_s: float) -> float:
        """The latest hole up to a time of the clock; 0 if there is none."""
        return max((hole.frame / FPS for hole in self.holes if hole.frame / FPS <= time_s + _TIE_S), default=0.0)

    def next_s(self, time_s: float) -> float:
        """The first hole after a time of the clock; infinite if there is none."""
        return min((hole.frame / FPS for hole in self.holes if hole.frame / FPS > time_s + _TIE_S), default=math.inf)

    def is_hole(self, time_s: float) -> bool:
        """Whether a hole was taken out at a time of the clock."""
        return any(abs(hole.frame / FPS - time_s) < _TIE_S for hole in self.holes)

    def parts(self, n_frames: int) -> list[tuple[int, int]]:
        """The stretches [begin, end) between the holes.

        >>> Jumps([Hole(50, 10.0)]).parts(80)
        [(0, 50), (50, 80)]
        """
        edges = sorted({0, n_frames, *(hole.frame for hole in self.holes if 0 < hole.frame < n_frames)})
        return list(itertools.pairwise(edges))


def at_clock(
    pieces: Iterable[tuple[float, float, T]], fps: float, jumps: Jumps | None = None
) -> Iterator[tuple[int, T]]:
    """Yield the item to show at each time k / fps, from k = 0 to the end of the last item.

    The item with the nearest time is shown, but none more than half a clock frame before its time (a picture shown for
    seconds must not be replaced halfway through). The first item also fills the time before it. A duration of s seconds
    gives round(s * fps) time steps, at least one. No item is shown on the other side of a hole; a stretch between two
    holes that has no item is left out.

    Args:
        pieces: (time_s, length_s, item), ordered by time.
        fps: time steps per second.
        jumps: the holes; may grow while the pieces are read.

    >>> list(at_clock([(0.0, 0.04, "a"), (0.04, 0.04, "b"), (0.08, 0.04, "c")], fps=12.5))
    [(0, 'a'), (1, 'c')]
    >>> list(at_clock([(0.0, 0.04, "a"), (0.12, 0.04, "b")], 25, Jumps([Hole(2, 9.0)])))
    [(0, 'a'), (1, 'a'), (2, 'b'), (3, 'b')]
    """
    jumps = jumps or Jumps()
    current: tuple[float, float, T] | None = None
    k = first = 0  # the next time step, and the first since the latest hole
    for time_s, length_s, piece in pieces:
        if current is not None:
            change_s = max((current[0] + time_s) / 2, time_s - 0.5 / fps) + _TIE_S
            change_s = min(change_s, jumps.next_s(current[0]) - _TIE_S)
            while k / fps <= change_s:
                yield k, current[2]
                k += 1
        if (hole := round(jumps.last_s(time_s) * fps)) > first:
            k = first = max(k, hole)
        current = (time_s, length_s, piece)
    if current is None:
        return
    end_s = current[0] + current[1] - 0.5 / fps + _TIE_S  # a remainder of less than half a time step is not shown
    while k == first or k / fps < min(end_s, jumps.next_s(current[0])):
        yield k, current[2]
        k += 1
