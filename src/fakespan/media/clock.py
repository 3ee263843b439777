"""A clip resampled in time, as networks with the "stretch" clock want it (the AV-Deepfake1M baseline, 2311.15308).

Pictures and sound in, pictures and sound out, always 640 samples of sound to a frame. The whole clip is squeezed or
drawn out to T frames, so that a frame of the network lasts (clip length / T) seconds. Spans are unknown here.
"""

from __future__ import annotations

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME

__all__ = ["stretch_faces", "stretch_sound"]


def stretch_faces(faces: UInt8Array, n_frames: int) -> UInt8Array:
    """The frames that nearest-neighbour interpolation takes from a clip of any length, (n, ...) -> (n_frames, ...).

    >>> stretch_faces(np.arange(10, dtype=np.uint8), 4).tolist()
    [0, 2, 5, 7]
    """
    return faces[np.arange(n_frames) * len(faces) // n_frames]


def stretch_sound(sound: Float32Array, n_given: int, n_frames: int) -> Float32Array:
    """The sound of n_given frames (silence where it is shorter) as that of n_frames, by linear interpolation."""
    before, after = n_given * SAMPLES_PER_FRAME, n_frames * SAMPLES_PER_FRAME
    padded = np.pad(sound[:before], (0, max(0, before - len(sound))))
    places = (np.arange(after) + 0.5) * (before / after) - 0.5
    return np.asarray(np.interp(places, np.arange(before), padded), np.float32)
