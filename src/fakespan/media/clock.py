"""Resamples a clip in time for networks with the "stretch" clock (the AV-Deepfake1M baseline, 2311.15308).

Frames and audio in, frames and audio out, with 640 audio samples per frame. The whole clip is compressed or extended to
T frames, so that a frame of the network lasts (clip length / T) seconds. Labels are handled elsewhere.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME

__all__ = ["stretch_faces", "stretch_sound"]


def stretch_faces(faces: UInt8Array, n_frames: int) -> UInt8Array:
    """Nearest-neighbour interpolation of the frames of a clip, (n, ...) -> (n_frames, ...).

    >>> stretch_faces(np.arange(10, dtype=np.uint8), 4).tolist()
    [0, 2, 5, 7]
    """
    return faces[np.arange(n_frames) * len(faces) // n_frames]


def stretch_sound(sound: Float32Array, n_given: int, n_frames: int) -> Float32Array:
    """Linear interpolation of the audio of n_given frames (zero-padded if shorter) to that of n_frames."""
    before, after = n_given * SAMPLES_PER_FRAME, n_frames * SAMPLES_PER_FRAME
    padded = np.pad(sound[:before], (0, max(0, before - len(sound))))
    places = (np.arange(after) + 0.5) * (before / after) - 0.5
    return np.asarray(np.interp(places, np.arange(before), padded), np.float32)
