"""Peak memory of scanning long 1080p files with `small`: it must not grow with the length.

python benchmarks/bench_memory.py [MINUTES ...]      default: 1 and 5; an hour works too, and takes its time
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

import fakespan
from bench_scan import SAMPLE, on_stage
from fakespan.config import FPS
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.encode import write_video


def main() -> None:
    if sys.argv[1:2] == ["--scan"]:
        report(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'1080p, minutes':>14} {'scan':>8} {'peak memory':>12}")
        for minutes in [float(m) for m in sys.argv[1:]] or [1.0, 5.0]:
            path = Path(folder) / "long.mp4"
            film(path, minutes * 60)
            subprocess.run([sys.executable, __file__, "--scan", str(path)], check=True)


def report(path: Path) -> None:
    """Scan in this process alone and say what it took."""
    begin = time.perf_counter()
    result = fakespan.scan(path)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{result.duration_s / 60:14.1f} {time.perf_counter() - begin:7.1f}s {peak_mb:9.0f} MB")


def film(path: Path, length_s: float) -> None:
    """The sample's head in a 1080p picture, over and over."""
    faces, sound = np.stack([picture.rgb() for picture in read_pictures(SAMPLE)]), read_sound(SAMPLE)
    rng = np.random.default_rng(0)
    stage = cv2.GaussianBlur(rng.integers(0, 255, (1080, 1920, 3), np.uint8), (0, 0), 20)
    n_frames = round(length_s * FPS)
    frames = (on_stage(faces[k % len(faces)], stage, rng) for k in range(n_frames))
    write_video(path, frames, sound=np.resize(sound, n_frames * 640), preset="ultrafast")


if __name__ == "__main__":
    main()
