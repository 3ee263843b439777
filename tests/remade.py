"""The bundled sample, made again in other ways: its decoded pictures and sound, and where it is forged."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

import fakespan
from clips import load_pictures
from fakespan.media.decode import read_sound

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"
FORGED_S = (5.84, 6.58)


@functools.cache
def sample_pictures() -> np.ndarray:
    """(207, 320, 320, 3) uint8 RGB, 25 a second."""
    return load_pictures(SAMPLE)


@functools.cache
def sample_sound() -> np.ndarray:
    """(1, n) float32 at 16 kHz."""
    return read_sound(SAMPLE)[None]


def finds_the_forgery(scan: fakespan.Scan) -> bool:
    """Whether a segment of the scan begins and ends within 0.2 s of the forged span."""
    return any(abs(s.start_s - FORGED_S[0]) <= 0.2 and abs(s.end_s - FORGED_S[1]) <= 0.2 for s in scan.segments)
