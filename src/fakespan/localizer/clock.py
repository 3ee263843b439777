"""What a network says of one clip, at the clock of the network and at that of the file.

A network with the "pad" clock counts frames as the file does, 25 a second. One with the "stretch" clock sees any clip
as T frames; told back at 25 frames a second, its spans lie at the nearest frames (see `boundary_map.at_clock`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.boundary_map import at_clock
from fakespan.config import FPS, ModelConfig

__all__ = ["ClipMaps", "longest_span", "window_frames"]


FRAMES_PER_STEP = 2.5  # of a window for a stretched network: with T = 100 10 s, the mean clip of AV-Deepfake1M


@dataclass(frozen=True)
class ClipMaps:
    """The network's maps of one clip at the network's own clock; None where a modality is missing.

    Entry [d, t] of a map is the score of the span from t / fps to (t + d + 1) / fps seconds of the clip: for proposals
    in seconds `boundary_map.to_seconds(boundary_map.decode(maps.score, maps.n_steps), maps.fps)`. Scores are those of
    `Output.score_map`: where there is a boundary generator, times the probabilities of the start and of the end.
    """

    fps: float  # 25 with the "pad" clock, 25 T / n with "stretch"
    score: Float32Array  # (D, m): the map that decides, fused, or that of the only modality
    visual: Float32Array | None = None  # (D, m)
    audio: Float32Array | None = None
    visual_frames: Float32Array | None = None  # (1, m) probabilities
    audio_frames: Float32Array | None = None

    @property
    def n_steps(self) -> int:
        """m: the clip's frames with the "pad" clock, T with "stretch"."""
        return int(self.score.shape[1])

    def at_file_clock(self, n_frames: int) -> dict[str, Float32Array]:
        """The parts by name, of the clip's n frames at 25 a second: maps (D', n), rows (1, n)."""
        parts = {name: part for name, part in vars(self).items() if name != "fps" and part is not None}
        if self.fps == FPS:
            return parts
        nearest = (2 * np.arange(n_frames) + 1) * self.n_steps // (2 * n_frames)
        return {
            name: part[:, nearest] if name.endswith("_frames") else at_clock(part, n_frames)
            for name, part in parts.items()
        }


def window_frames(model: ModelConfig) -> int:
    """Frames at 25 a second that a network looks at together: T, or of a longer file 2.5 T with the "stretch" clock."""
    return model.n_frames if model.clock == "pad" else int(FRAMES_PER_STEP * model.n_frames)


def longest_span(model: ModelConfig, n_frames: int) -> int:
    """Rows of the map at 25 frames a second of a clip of n frames: D, or D' = ceil(D n / T) with "stretch".

    >>> longest_span(ModelConfig(n_frames=100, max_duration=30, clock="stretch"), 250)
    75
    """
    return model.max_duration if model.clock == "pad" else -(-model.max_duration * n_frames // model.n_frames)
