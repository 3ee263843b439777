"""The maps of one clip or stretch: the one form in which a network's answer travels, at its own clock or the file's.

A network with the "pad" clock counts frames as the file does, 25 a second. One with the "stretch" clock sees any clip
as T frames; moved to 25 frames a second, its spans lie at the nearest frames (see `boundary_map.at_clock`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.boundary_map import at_clock
from fakespan.config import FPS, ModelConfig
from fakespan.windows import MapStitcher, Window

__all__ = ["ClipMaps", "MapsStitcher", "longest_span", "window_frames"]

FRAMES_PER_STEP = 2.5  # of a window for a stretched network: with T = 100 10 s, the mean clip of AV-Deepfake1M
MAPS = ("score", "visual", "audio")
CURVES = ("visual_frames", "audio_frames")


@dataclass(frozen=True)
class ClipMaps:
    """The network's maps of one clip, or of one stretch of a file; None where a modality is missing.

    Entry [d, t] of a map is the score of the span from t / fps to (t + d + 1) / fps seconds of the clip: for proposals
    in seconds `boundary_map.to_seconds(boundary_map.decode(maps.score, maps.n_steps), maps.fps)`. Scores are those of
    `Output.score_map`: where there is a boundary generator, times the probabilities of the start and of the end.
    """

    fps: float  # of the columns: 25 with the "pad" clock, 25 T / n with "stretch"
    score: Float32Array  # (D, m): the map that decides, fused, or that of the only modality
    visual: Float32Array | None = None  # (D, m)
    audio: Float32Array | None = None
    visual_frames: Float32Array | None = None  # (m,) probabilities
    audio_frames: Float32Array | None = None
    first_frame: int = 0  # of the file, at 25 a second, where the first column lies

    @property
    def n_steps(self) -> int:
        """m: the clip's frames with the "pad" clock, T with "stretch"."""
        return int(self.score.shape[1])

    def at_file_clock(self) -> ClipMaps:
        """The same at the clip's n frames, 25 a second: maps (D', n) with D' = ceil(D n / T), curves (n,)."""
        if self.fps == FPS:
            return self
        n_frames = round(self.n_steps * FPS / self.fps)
        nearest = (2 * np.arange(n_frames) + 1) * self.n_steps // (2 * n_frames)
        moved = self._changed(lambda part: at_clock(part, n_frames), lambda part: part[nearest])
        return dataclasses.replace(moved, fps=FPS)

    def columns(self, begin: int, end: int) -> ClipMaps:
        """Columns [begin, end) of every part."""
        cut = self._changed(lambda part: part[:, begin:end], lambda part: part[begin:end])
        return dataclasses.replace(cut, first_frame=self.first_frame + begin)

    def _changed(
        self, of_map: Callable[[Float32Array], Float32Array], of_curve: Callable[[Float32Array], Float32Array]
    ) -> ClipMaps:
        """With each part changed; the map of the only modality stays the one that decides."""
        changed: dict[str, Any] = {}
        for names, change in ((MAPS, of_map), (CURVES, of_curve)):
            changed |= {name: change(part) for name in names if (part := getattr(self, name)) is not None}
        return dataclasses.replace(self, **changed)


class MapsStitcher:
    """The maps of a whole clip or stretch from those of its windows, which are equally long."""

    def __init__(self) -> None:
        self._fps = FPS
        self._parts: dict[str, MapStitcher] = {}

    def add(self, window: Window, maps: ClipMaps) -> None:
        """Take the maps of one window."""
        self._fps = maps.fps
        for name in (*MAPS, *CURVES):
            part = getattr(maps, name)
            if part is not None:
                rows = part if name in MAPS else part[None]
                self._parts.setdefault(name, MapStitcher(len(rows))).add(window, rows)

    def result(self, first_frame: int = 0) -> ClipMaps:
        """The maps of all that was added, which begins at that frame of the file."""
        parts = {name: stitcher.result() for name, stitcher in self._parts.items()}
        parts |= {name: parts[name][0] for name in CURVES if name in parts}
        return ClipMaps(self._fps, **parts, first_frame=first_frame)


def window_frames(model: ModelConfig) -> int:
    """Frames at 25 a second that a network looks at together: T, or of a longer file 2.5 T with the "stretch" clock."""
    return model.n_frames if model.clock == "pad" else int(FRAMES_PER_STEP * model.n_frames)


def longest_span(model: ModelConfig, n_frames: int) -> int:
    """Rows of the map at 25 frames a second of a clip of n frames: D, or D' = ceil(D n / T) with "stretch".

    >>> longest_span(ModelConfig(n_frames=100, max_duration=30, clock="stretch"), 250)
    75
    """
    return model.max_duration if model.clock == "pad" else -(-model.max_duration * n_frames // model.n_frames)
