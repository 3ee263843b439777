"""Long media in windows of the network's length, and the windows' maps stitched into one.

Frames are counted at the model's clock. A stretch of n frames is covered by windows of at most T frames that overlap;
each cell of the stitched map comes from the window in which its span lies deepest, so that a forgery on a window's
border is judged by the window that holds it whole, and is there once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array

__all__ = ["MapStitcher", "Window", "WindowBuffer", "overlap_frames", "windows"]


@dataclass(frozen=True)
class Window:
    """Frames [begin, end) of a stretch; the first and the last window know that nothing lies beyond."""

    begin: int
    end: int
    is_first: bool
    is_last: bool


def overlap_frames(max_duration: int, size: int) -> int:
    """How many frames neighbouring windows of `size` share: 2 D, so that every span is whole in one; at most half.

    >>> overlap_frames(40, 512), overlap_frames(40, 100)
    (80, 50)
    """
    return min(2 * max_duration, size // 2)


def windows(n_frames: int, size: int, overlap: int) -> Iterator[Window]:
    """Windows of `size` frames that cover n frames, each sharing at least `overlap` with the next.

    The last window is moved back so that it is full too, unless the stretch is shorter than one window.

    >>> [(w.begin, w.end) for w in windows(1000, 512, 80)]
    [(0, 512), (432, 944), (488, 1000)]
    """
    if not 0 <= overlap < size:
        raise ValueError(f"the overlap ({overlap}) must be shorter than the window ({size})")
    begin = 0
    while True:
        end = min(begin + size, n_frames)
        is_last = end == n_frames
        yield Window(begin, end, begin == 0, is_last)
        if is_last:
            return
        begin = max(0, min(begin + size - overlap, n_frames - size))


class WindowBuffer:
    """Frames that arrive one by one, given out in the windows that `windows` plans; holds one window at most."""

    def __init__(self, size: int, overlap: int) -> None:
        if not 0 <= overlap < size:
            raise ValueError(f"the overlap ({overlap}) must be shorter than the window ({size})")
        self.size, self.hop = size, size - overlap
        self._frames: deque[UInt8Array] = deque()
        self._begin = 0  # frame number of the oldest that is held
        self._next = 0  # first frame of the next window

    def push(self, frame: UInt8Array) -> Iterator[tuple[Window, UInt8Array]]:
        """Take one more frame; give the window that ended before it, if one did."""
        if len(self._frames) == self.size:
            if self._begin == self._next:
                yield self._window(is_last=False)
                self._next += self.hop
            self._frames.popleft()
            self._begin += 1
        self._frames.append(frame)

    def finish(self) -> Iterator[tuple[Window, UInt8Array]]:
        """Give the last window: the newest frames, as many as there are."""
        if self._frames:
            yield self._window(is_last=True)

    def _window(self, is_last: bool) -> tuple[Window, UInt8Array]:
        end = self._begin + len(self._frames)
        return Window(self._begin, end, self._begin == 0, is_last), np.stack(self._frames)


class MapStitcher:
    """One map (D, n) of a whole stretch from the maps of its windows."""

    def __init__(self, max_duration: int) -> None:
        self._map = np.zeros((max_duration, 0), np.float32)
        self._depth = np.zeros((max_duration, 0), np.float32)

    def add(self, window: Window, part: Float32Array) -> None:
        """Take the map (D, window's frames) of one window."""
        self._grow(window.end)
        depth = _depth(window, part.shape[0])
        here = np.s_[:, window.begin : window.end]
        deeper = depth > self._depth[here]
        self._map[here] = np.where(deeper, part, self._map[here])
        self._depth[here] = np.where(deeper, depth, self._depth[here])

    def result(self) -> Float32Array:
        """The map (D, n) of all that was added."""
        return self._map

    def _grow(self, n_frames: int) -> None:
        more = n_frames - self._map.shape[1]
        if more > 0:
            self._map = np.pad(self._map, ((0, 0), (0, more)))
            self._depth = np.pad(self._depth, ((0, 0), (0, more)))


def _depth(window: Window, max_duration: int) -> Float32Array:
    """How far each cell's span [t, t + d + 1) lies from the window's borders with the unknown; cells beyond get 0."""
    n = window.end - window.begin
    begin, last = np.arange(n)[None, :], np.arange(n)[None, :] + np.arange(max_duration)[:, None]
    left = np.full_like(last, 1 << 20) if window.is_first else begin + 1 + 0 * last
    right = np.full_like(last, 1 << 20) if window.is_last else n - last
    return np.where(last < n, np.minimum(left, right), 0).astype(np.float32)
