"""The maps of one clip or stretch, at the network's clock or the file's: the common form of a network's output.

The frames of a network with the "pad" clock are those of the file, 25 per second. With the "stretch" clock any clip has
T frames; converted to 25 fps, its spans are moved to the nearest frames (see `boundary_map.at_clock`).
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

FRAMES_PER_STEP = 2.5  # of a window with the "stretch" clock: 10 s for T = 100, the mean length in AV-Deepfake1M
MAPS = ("score", "visual", "audio")
CURVES = ("visual_frames", "audio_frames")


@dataclass(frozen=True)
class ClipMaps:
    """The maps of one clip, or of one stretch of a file; None for a missing modality.

    Entry [d, t] of a map is the score of the span from t / fps to (t + d + 1) / fps seconds of the clip: for proposals
    in seconds `boundary_map.to_seconds(boundary_map.decode(maps.score, maps.n_steps), maps.fps)`. Scores are those of
    `Output.score_map`: with a boundary generator, multiplied by the probabilities of start and end.
    """

    fps: float  # of the columns: 25 with the "pad" clock, 25 T / n with "stretch"
    score: Float32Array  # (D, m): the fused map, or that of the only modality
    visual: Float32Array | None = None  # (D, m)
    audio: Float32Array | None = None
    visual_frames: Float32Array | None = None  # (m,) probabilities
    audio_frames: Float32Array | None = None
    first_frame: int = 0  # frame of the file (25 fps) of the first column

    @property
    def n_steps(self) -> int:
        """m: the number of frames with the "pad" clock, T with "stretch"."""
        return int(self.score.shape[1])

    def at_file_clock(self) -> ClipMaps:
        """The same at the n frames of the clip, 25 fps: maps (D', n) with D' = ceil(D n / T), curves (n,)."""
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
        """Apply a function to each part; a single modality's map stays the score map."""
        changed: dict[str, Any] = {}
        for names, change in ((MAPS, of_map), (CURVES, of_curve)):
            changed |= {name: change(part) for name in names if (part := getattr(self, name)) is not None}
        return dataclasses.replace(self, **changed)


class MapsStitcher:
    """Stitches the maps of equally long windows into those of a whole clip or stretch."""

    def __init__(self) -> None:
        self._fps = FPS
        self._parts: dict[str, MapStitcher] = {}

    def add(self, window: Window, maps: ClipMaps) -> None:
        """Add the maps of one window."""
        self._fps = maps.fps
        for name in (*MAPS, *CURVES):
            part = getattr(maps, name)
            if part is not None:
                rows = part if name in MAPS else part[None]
                self._parts.setdefault(name, MapStitcher(len(rows))).add(window, rows)

    @property
    def has_any(self) -> bool:
        """Whether maps were added."""
        return bool(self._parts)

    def result(self, first_frame: int = 0) -> ClipMaps:
        """The stitched maps, which begin at that frame of the file."""
        parts = {name: stitcher.result() for name, stitcher in self._parts.items()}
        parts |= {name: parts[name][0] for name in CURVES if name in parts}
        return ClipMaps(self._fps, **parts, first_frame=first_frame)


def window_frames(model: ModelConfig) -> int:
    """Frames (25 fps) per window: T with the "pad" clock, 2.5 T with "stretch" for longer files."""
    return model.n_frames if model.clock == "pad" else int(FRAMES_PER_STEP * model.n_frames)


def longest_span(model: ModelConfig, n_frames: int) -> int:
    """Rows of the map at 25 fps of a clip of n frames: D, or D' = ceil(D n / T) with "stretch".

    >>> longest_span(ModelConfig(n_frames=100, max_duration=30, clock="stretch"), 250)
    75
    """
    return model.max_duration if model.clock == "pad" else -(-model.max_duration * n_frames // model.n_frames)
