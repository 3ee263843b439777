"""Maps decoded frames of a stream to the file's timeline, whose origin video and audio share.

Contract: seconds in, seconds out. Plausible timestamps are used as they are. A jump back by more than a tenth of a
second, or ahead beyond the file's own duration, is treated as a fault (two concatenated files, a counter overflow): the
frames after it are shifted to continue without a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["Timeline", "at_clock"]

T = TypeVar("T")

_LONGEST_FILE_S = 86_400.0  # a longer stated duration is ignored
_LONGEST_GAP_S = 60.0  # if the container states no duration
_BACK_S = 0.1
_TIE_S = 1e-4


class Timeline:
    """Converts timestamps of a stream to seconds since the common origin.

    Args:
        zero_s: the common origin in the file's own time.
        duration_s: the duration that the file states; 0 if none.
    """

    def __init__(self, zero_s: float, duration_s: float) -> None:
        self._shift_s = -zero_s
        self._last_s = -math.inf  # time of the previous frame
        self._end_s = duration_s + 1.0 if 0 < duration_s <= _LONGEST_FILE_S else None

    def place(self, stamp_s: float | None, due_s: float) -> float:
        """Time of a frame with timestamp `stamp_s`, where the frames so far end at `due_s`."""
        if stamp_s is None:
            return self._placed(due_s)
        time_s = stamp_s + self._shift_s
        latest_s = due_s + _LONGEST_GAP_S if self._end_s is None else max(self._end_s, due_s)
        if time_s < self._last_s - _BACK_S or time_s > latest_s:
            self._shift_s += due_s - time_s
            return self._placed(due_s)
        return self._placed(time_s)

    def _placed(self, time_s: float) -> float:
        self._last_s = time_s
        return time_s


def at_clock(pieces: Iterable[tuple[float, float, T]], fps: float) -> Iterator[tuple[int, T]]:
    """Yield the item to show at each time k / fps, from k = 0 to the end of the last item.

    The item with the nearest time is shown, but none more than half a clock frame before its time (a picture shown for
    seconds must not be replaced halfway through). The first item also fills the time before it. A duration of s seconds
    gives round(s * fps) time steps, at least one.

    Args:
        pieces: (time_s, length_s, item), ordered by time.
        fps: time steps per second.

    >>> list(at_clock([(0.0, 0.04, "a"), (0.04, 0.04, "b"), (0.08, 0.04, "c")], fps=12.5))
    [(0, 'a'), (1, 'c')]
    """
    current: tuple[float, float, T] | None = None
    k = 0
    for time_s, length_s, piece in pieces:
        if current is not None:
            change_s = max((current[0] + time_s) / 2, time_s - 0.5 / fps) + _TIE_S
            while k / fps <= change_s:
                yield k, current[2]
                k += 1
        current = (time_s, length_s, piece)
    if current is None:
        return
    end_s = current[0] + current[1] - 0.5 / fps + _TIE_S  # a remainder of less than half a time step is not shown
    while k == 0 or k / fps < end_s:
        yield k, current[2]
        k += 1
