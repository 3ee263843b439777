"""Split long media into windows of the network's length, and stitch the windows' maps.

Frames are those of the model's clock. A stretch of n frames is covered by overlapping windows of at most T frames. Each
cell of the stitched map comes from the window in which its span lies deepest, so that a forgery on a window's border is
scored by the window that contains all of it, and only once.
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
    """Frames [begin, end) of a stretch, with flags for the first and the last window."""

    begin: int
    end: int
    is_first: bool
    is_last: bool


def overlap_frames(max_duration: int, size: int) -> int:
    """Overlap of neighbouring windows of `size` frames: 2 D, so that one contains each span; at most half.

    >>> overlap_frames(40, 512), overlap_frames(40, 100)
    (80, 50)
    """
    return min(2 * max_duration, size // 2)


def windows(n_frames: int, size: int, overlap: int) -> Iterator[Window]:
    """Windows of `size` frames that cover n frames, each overlapping the next by at least `overlap` frames.

    The last window is shifted back to be full, unless the stretch is shorter than one window.

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
    """Collects frames one by one into the windows of `windows`; holds at most one window."""

    def __init__(self, size: int, overlap: int) -> None:
        if not 0 <= overlap < size:
            raise ValueError(f"the overlap ({overlap}) must be shorter than the window ({size})")
        self.size, self.hop = size, size - overlap
        self._frames: deque[UInt8Array] = deque()
        self._begin = 0  # index of the oldest buffered frame
        self._next = 0  # first frame of the next window

    def push(self, frame: UInt8Array) -> Iterator[tuple[Window, UInt8Array]]:
        """Add a frame; return the window that ended before it, if any."""
        if len(self._frames) == self.size:
            if self._begin == self._next:
                yield self._window(is_last=False)
                self._next += self.hop
            self._frames.popleft()
            self._begin += 1
        self._frames.append(frame)

    def finish(self) -> Iterator[tuple[Window, UInt8Array]]:
        """Return the last window: the newest frames."""
        if self._frames:
            yield self._window(is_last=True)

    def _window(self, is_last: bool) -> tuple[Window, UInt8Array]:
        end = self._begin + len(self._frames)
        return Window(self._begin, end, self._begin == 0, is_last), np.stack(self._frames)


class MapStitcher:
    """Stitches the maps of windows into one map (D, n)."""

    def __init__(self, max_duration: int) -> None:
        self._map = np.zeros((max_duration, 0), np.float32)
        self._depth = np.zeros((max_duration, 0), np.float32)

    def add(self, window: Window, part: Float32Array) -> None:
        """Add the map (D, frames) of one window."""
        self._grow(window.end)
        depth = _depth(window, part.shape[0])
        here = np.s_[:, window.begin : window.end]
        deeper = depth > self._depth[here]
        self._map[here] = np.where(deeper, part, self._map[here])
        self._depth[here] = np.where(deeper, depth, self._depth[here])

    def result(self) -> Float32Array:
        """The stitched map (D, n)."""
        return self._map

    def _grow(self, n_frames: int) -> None:
        more = n_frames - self._map.shape[1]
        if more > 0:
            self._map = np.pad(self._map, ((0, 0), (0, more)))
            self._depth = np.pad(self._depth, ((0, 0), (0, more)))


def _depth(window: Window, max_duration: int) -> Float32Array:
    """Distance of each cell's span [t, t + d + 1) to the window's inner borders; cells beyond get 0."""
    n = window.end - window.begin
    begin, last = np.arange(n)[None, :], np.arange(n)[None, :] + np.arange(max_duration)[:, None]
    left = np.full_like(last, 1 << 20) if window.is_first else begin + 1 + 0 * last
    right = np.full_like(last, 1 << 20) if window.is_last else n - last
    return np.where(last < n, np.minimum(left, right), 0).astype(np.float32)
