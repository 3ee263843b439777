"""Make the second sample: a few bars of plucked chords, in which nobody speaks and nothing can be judged.

    python examples/make_music.py --out src/fakespan/samples/music.wav [--seconds 6]

The same arguments give the same samples.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakespan.files import replacing

__all__ = ["make_music"]

SAMPLE_RATE = 16_000
CHORDS_HZ = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))
CHORD_S, DECAY_S, DELAY_S = 1.0, 0.5, 0.09  # of a chord, of a string, between two strings


def make_music(seconds: float) -> NDArray[np.float32]:
    """(n,) at 16 kHz, at most 0.5 in size."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros(len(time_s))
    for bar in range(int(np.ceil(seconds / CHORD_S))):
        for string, hertz in enumerate(CHORDS_HZ[bar % len(CHORDS_HZ)]):
            sound += _plucked(time_s - bar * CHORD_S - string * DELAY_S, hertz)
    return np.asarray(0.5 * sound / np.abs(sound).max(initial=1e-9), np.float32)


def _plucked(since_s: NDArray[np.float64], hertz: float) -> NDArray[np.float64]:
    """A string that is plucked at 0: five harmonics, the higher the sooner gone."""
    past_s = np.maximum(since_s, 0.0)
    parts = [np.exp(-past_s * k / DECAY_S) * np.sin(2 * np.pi * k * hertz * past_s) / k for k in range(1, 6)]
    return np.sum(parts, axis=0) * (since_s >= 0)


def main() -> None:
    """Write OUT, a WAV file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.wav")
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    samples = np.round(32767 * make_music(options.seconds)).astype("<i2")
    with replacing(options.out) as part, wave.open(str(part), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    main()
