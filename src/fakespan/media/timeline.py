"""Places decoded pieces of a stream on the file's timeline, whose zero picture and sound share.

Contract: seconds in, seconds out. Timestamps are believed as long as they are plausible; a jump back by more than a
tenth of a second, or ahead beyond the file's own length, is taken for a fault (a file glued from two, a wrapped
counter): the pieces that follow it are moved to follow on without a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["Timeline", "at_clock"]

T = TypeVar("T")

_LONGEST_FILE_S = 86_400.0  # a container that states more is not believed
_LONGEST_GAP_S = 60.0  # where the container states no length
_BACK_S = 0.1
_TIE_S = 1e-4


class Timeline:
    """Turns a stream's timestamps into seconds since the common zero.

    Args:
        zero_s: the common zero in the file's own time.
        duration_s: the length that the file states; 0 when it states none.
    """

    def __init__(self, zero_s: float, duration_s: float) -> None:
        self._shift_s = -zero_s
        self._last_s = -math.inf  # where the piece before was placed
        self._end_s = duration_s + 1.0 if 0 < duration_s <= _LONGEST_FILE_S else None

    def place(self, stamp_s: float | None, due_s: float) -> float:
        """Where a piece belongs that carries `stamp_s`, when the pieces so far end at `due_s`."""
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
    """The piece to show at each clock instant k / fps, from k = 0 until the last piece ends.

    Shown is the piece whose time is nearest, except that none is shown more than half a clock frame before its time
    (a picture held for seconds must not give way to its successor halfway). The first piece also fills the time before
    it. A length of s seconds gives round(s * fps) instants, but at least one.

    Args:
        pieces: (time_s, length_s, piece), in order of time.
        fps: instants a second.

    >>> list(at_clock([(0.0, 0.04, "a"), (0.04, 0.04, "b"), (0.08, 0.04, "c")], fps=12.5))
    [(0, 'a'), (1, 'c')]
    """
    held: tuple[float, float, T] | None = None
    k = 0
    for time_s, length_s, piece in pieces:
        if held is not None:
            change_s = max((held[0] + time_s) / 2, time_s - 0.5 / fps) + _TIE_S
            while k / fps <= change_s:
                yield k, held[2]
                k += 1
        held = (time_s, length_s, piece)
    if held is None:
        return
    end_s = held[0] + held[1] - 0.5 / fps + _TIE_S  # a rest of less than half an instant is not shown
    while k == 0 or k / fps < end_s:
        yield k, held[2]
        k += 1
