"""From phonemes to a moving mouth: how far the lips are apart and how wide the mouth is, for every video frame.

Knows the phoneme names of flite (ARPAbet) and of espeak-ng's English voices, nothing about pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["mouth_track"]

_REST = (0.6, 0.93)
# gap between the lips in pixels of the portrait, width of the mouth as a share of the portrait's smile
_SHAPES: tuple[tuple[tuple[float, float], tuple[str, ...]], ...] = (
    (_REST, ("pau", "_", ";", "?")),
    ((0.0, 0.92), ("m", "b", "p")),
    ((1.3, 0.95), ("f", "v")),
    ((11.0, 0.93), ("aa", "ae", "ah", "ay", "aw", "a", "A", "V", "0")),
    ((7.0, 0.96), ("eh", "ey", "er", "ax", "ih", "E", "e", "@", "3", "I", "hh", "h")),
    ((4.6, 1.04), ("iy", "y", "i", "j")),
    ((4.2, 0.78), ("uw", "uh", "w", "u", "U")),
    ((6.5, 0.82), ("ow", "oy", "oU", "OI", "o")),
    ((9.0, 0.86), ("ao", "O")),
    ((2.6, 0.97), ("s", "z", "t", "d", "n")),
    ((3.2, 0.84), ("sh", "zh", "ch", "jh", "S", "Z", "tS", "dZ", "r")),
    ((4.4, 0.94), ("l", "th", "dh", "k", "g", "ng", "T", "D", "N")),
)
_SHAPE_OF = {name: shape for shape, names in _SHAPES for name in names}
_TICKS_PER_S = 200


def mouth_track(
    phones: Sequence[tuple[str, float, float]], frame_times_s: Iterable[float], liveliness: float = 1.0
) -> NDArray[np.float64]:
    """Mouth shapes at the given instants, smoothed as lips glide from sound to sound.

    Args:
        phones: name, start_s, end_s, in order.
        frame_times_s: the instants wanted.
        liveliness: how far this speaker opens the mouth, 1 is usual.

    Returns:
        (frames, 2): gap in portrait pixels, width as a share.
    """
    times = np.asarray(list(frame_times_s), float)
    end_s = max(times[-1], phones[-1][2]) + 0.5
    ticks = np.tile(np.array(_REST), (int(end_s * _TICKS_PER_S) + 1, 1))
    for name, start_s, stop_s in phones:
        # lips lead the sound by some 30 ms
        ticks[max(0, int((start_s - 0.03) * _TICKS_PER_S)) : int((stop_s - 0.03) * _TICKS_PER_S)] = _shape(name)
    gap, width = _smooth(ticks[:, 0], 0.028), _smooth(ticks[:, 1], 0.045)
    at = np.arange(len(ticks)) / _TICKS_PER_S
    return np.stack([np.interp(times, at, gap) * liveliness, np.interp(times, at, width)], axis=1)


def _shape(name: str) -> tuple[float, float]:
    """The shape of a phoneme: the longest known beginning of its name counts ("i:", "aI@" and "t#" have marks)."""
    for length in range(len(name), 0, -1):
        if name[:length] in _SHAPE_OF:
            return _SHAPE_OF[name[:length]]
    return 3.0, 0.94


def _smooth(values: NDArray[np.float64], sigma_s: float) -> NDArray[np.float64]:
    reach = int(4 * sigma_s * _TICKS_PER_S)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma_s * _TICKS_PER_S)) ** 2)
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid")
