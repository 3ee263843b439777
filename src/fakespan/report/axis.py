"""The time axis of a timeline: that of the file, or of the part of it that was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fakespan.report.words import timecode
from fakespan.types import FaceTrack, Scan, TimeRange

__all__ = ["Axis", "axis_of", "file_axis", "tick_step"]

_SHORTEST_S = 0.1
_TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800)


@dataclass(frozen=True)
class Axis:
    """Times from `start_s` on; the length is above 0."""

    start_s: float
    length_s: float

    def share(self, time_s: float) -> float:
        """Where a time lies, from 0 at the start to 1 at the end."""
        return (time_s - self.start_s) / self.length_s

    def place(self, part: TimeRange | FaceTrack) -> tuple[float, float] | None:
        """The shares between which a part lies, as far as it is on the axis; None if it is not.

        >>> Axis(10.0, 4.0).place(TimeRange(9.0, 11.0)), Axis(10.0, 4.0).place(TimeRange(0.0, 10.0))
        ((0.0, 0.25), None)
        """
        start, end = max(self.share(part.start_s), 0.0), min(self.share(part.end_s), 1.0)
        return (start, end) if start < end or (part.start_s == part.end_s and 0 <= start <= 1) else None

    def ticks(self, n_most: int) -> Iterator[tuple[float, str]]:
        """Time and label of each tick: the multiples of a round step, at most `n_most` after the first.

        >>> [label for _, label in Axis(0.0, 8.6).ticks(3)], [label for _, label in Axis(61.5, 9.0).ticks(3)]
        (['0:00', '0:05'], ['1:05', '1:10'])
        """
        step_s, end_s = tick_step(self.length_s, n_most), self.start_s + self.length_s
        for k in range(math.ceil(self.start_s / step_s - 1e-9), int(end_s / step_s + 1e-9) + 1):
            yield k * step_s, timecode(k * step_s, 1 if step_s < 1 else 0)


def axis_of(scan: Scan) -> Axis:
    """Of the part that was asked for; of the file if all of it was."""
    if scan.asked is None or not math.isfinite(scan.asked.length_s):
        return file_axis(scan)
    return Axis(scan.asked.start_s, max(scan.asked.length_s, _SHORTEST_S))


def file_axis(scan: Scan) -> Axis:
    """Of the file; as long as the findings if the file states no length."""
    ends = [part.end_s for parts in (scan.segments, scan.tracks, scan.not_judged) for part in parts]
    lengths = [scan.duration_s, *(end - scan.media.starts_at_s for end in ends)]
    return Axis(scan.media.starts_at_s, max([s for s in lengths if math.isfinite(s)] + [_SHORTEST_S]))


def tick_step(duration_s: float, n_most: int) -> float:
    """The smallest round step in seconds that puts at most `n_most` ticks after the first.

    >>> tick_step(8.6, 10), tick_step(3600, 8)
    (1, 600)
    """
    fitting = (step for step in _TICK_STEPS_S if duration_s / step <= n_most)
    return next(fitting, 86_400 * math.ceil(duration_s / 86_400 / n_most))
