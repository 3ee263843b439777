"""Speech of many people joined by hard cuts, to count false alarms on: genuine, but edited like a programme.

    python examples/pairs/cut_files.py runs/speech/tuxpaint-stamps-default --out runs/small/cuts --minutes 40

Recordings in random order, one after the other as they are, in files of a minute (16 kHz, 16 bits).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from forged_files import write_wav

from fakespan.config import SAMPLE_RATE
from fakespan.media.decode import read_sound

MINUTE = 60 * SAMPLE_RATE


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="folder of recordings, one person each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recordings = sorted(options.speech.rglob("*.flac"))
    order = np.random.default_rng(options.seed).permutation(len(recordings))
    sound, n_files = np.zeros(0, np.float32), 0
    for k in order:
        sound = np.concatenate([sound, read_sound(recordings[k])])
        while len(sound) >= MINUTE and n_files < options.minutes:
            write_wav(options.out / f"{n_files:03d}.wav", sound[:MINUTE])
            sound, n_files = sound[MINUTE:], n_files + 1
    if n_files < options.minutes:
        raise SystemExit(f"expected {options.minutes} minutes of .flac in {options.speech}, got {n_files}")


if __name__ == "__main__":
    main()
