"""A folder of forged files for `fakespan experts calibrate --forged`, from pairs of genuine and generated media.

    python examples/pairs/forged_files.py CLIPS --out FOLDER [--each 40] [--seed 1]

Half of them are utterances of `CLIPS/neural_voice` in which a span of 0.3 to 1.2 s comes from a neural copy, at
most two of a speaker; the others are links to videos of `CLIPS/neural_lips` that somebody else forged in parts.
"""

from __future__ import annotations

import argparse
import json
import random
import wave
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakespan.config import SAMPLE_RATE
from fakespan.media.decode import read_sound

LEAST_S = 2.5
MOST_OF_A_SPEAKER = 2
Sound = NDArray[np.float32]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=40, help="files of sound, and of lips")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    n_sounds = sum(1 for _ in sounds(options.clips / "neural_voice", options.out, options.each, rng))
    n_lips = sum(1 for _ in lips(options.clips / "neural_lips", options.out, options.each, rng))
    print(f"{options.out}: {n_sounds} files of sound, {n_lips} of lips")


def sounds(folder: Path, out: Path, most: int, rng: random.Random) -> Iterator[Path]:
    """Write utterances with one forged span each."""
    copies = [row for row in rows_of(folder) if row["kind"] == "copysyn" and row["system"] != "real"]
    rng.shuffle(copies)
    taken: Counter[str] = Counter()
    for row in copies:
        copy = folder / row["path"]
        genuine = copy.parent / "real.flac"
        if taken.total() == most:
            return
        if row["seconds"] >= LEAST_S and taken[row["speaker"]] < MOST_OF_A_SPEAKER and genuine.exists():
            path = out / f"sound_{taken.total():02d}.wav"
            write_wav(path, spliced(read_sound(genuine), read_sound(copy), rng))
            taken[row["speaker"]] += 1
            yield path


def spliced(genuine: Sound, copy: Sound, rng: random.Random) -> Sound:
    """The genuine sound (n,) with a span of the copy, at its level, cross-faded over 5 to 40 ms."""
    n = min(len(genuine), len(copy))
    genuine, copy = genuine[:n], copy[:n]
    copy = copy * np.sqrt(np.mean(genuine**2) / max(float(np.mean(copy**2)), 1e-12))
    length = int(rng.uniform(0.3, 1.2) * SAMPLE_RATE)
    start = int(rng.uniform(0.2, 0.8) * max(0, n - length))
    share = np.zeros(n)
    share[start : start + length] = 1
    fade = int(rng.uniform(0.005, 0.04) * SAMPLE_RATE)
    share = np.convolve(share, np.ones(fade) / fade, "same")
    return np.clip(genuine * (1 - share) + copy * share, -1, 1).astype(np.float32)


def write_wav(path: Path, sound: Sound) -> None:
    """Mono, 16 bit, 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def lips(folder: Path, out: Path, most: int, rng: random.Random) -> Iterator[Path]:
    """Link videos that were forged in parts."""
    partial = [row for row in rows_of(folder) if row["kind"] == "partial_forgeries" and row["role"] == "fake"]
    rng.shuffle(partial)
    for number, row in enumerate(partial[:most]):
        file = folder / row["path"]
        link = out / f"lips_{number:02d}{file.suffix}"
        link.unlink(missing_ok=True)
        link.symlink_to(file.resolve())
        yield link


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of its index."""
    return [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
