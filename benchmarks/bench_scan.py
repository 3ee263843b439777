"""How fast `small` scans a file, against the file's own length and against decoding it alone, in the same run.

Speed is by the clock; the ratio to decoding is of processor time, so that it holds while other programs run.

python benchmarks/bench_scan.py [FILE ...]      default: two clips made from the bundled sample, 224x224 and 1920x1080
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

import fakespan
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.encode import write_video
from fakespan.media.probe import probe

ROUNDS = 5
SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample_real.mp4"
N_REPEATS = 4  # the sample over and over: half a minute


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(name) for name in sys.argv[1:]] or made_clips(Path(folder))
        localizer = fakespan.load_model("small")
        localizer.scan(files[0])  # start-up does not count
        print(f"{'file':32} {'length':>8} {'decode':>8} {'scan':>8} {'x real time':>12} {'x decoding':>11}")
        for path in files:
            rounds = [(clocked(decode, path), clocked(localizer.scan, path)) for _ in range(ROUNDS)]
            decoded, scanned = (statistics.median(s for s, _ in column) for column in zip(*rounds, strict=True))
            ratio = statistics.median(scan_cpu_s / decode_cpu_s for (_, decode_cpu_s), (_, scan_cpu_s) in rounds)
            length_s = probe(path).duration_s
            print(
                f"{path.name[:32]:32} {length_s:7.1f}s {decoded:7.2f}s {scanned:7.2f}s {length_s / scanned:11.1f}x "
                f"{ratio:10.2f}x"
            )


def made_clips(folder: Path) -> list[Path]:
    """A face crop of 224x224, and the same head in a 1080p picture with some grain."""
    faces = np.stack([picture.rgb() for picture in read_pictures(SAMPLE)])
    sound = np.tile(read_sound(SAMPLE), N_REPEATS)
    small = [cv2.resize(face, (224, 224), interpolation=cv2.INTER_AREA) for face in faces] * N_REPEATS
    write_video(folder / "face_224.mp4", small, sound=sound)
    rng = np.random.default_rng(0)
    stage = cv2.GaussianBlur(rng.integers(0, 255, (1080, 1920, 3), np.uint8), (0, 0), 20)
    write_video(folder / "head_1080p.mp4", (on_stage(face, stage, rng) for face in [*faces] * N_REPEATS), sound=sound)
    return [folder / "face_224.mp4", folder / "head_1080p.mp4"]


def on_stage(face: np.ndarray, stage: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = np.roll(stage, int(rng.integers(0, 3)), axis=1)
    picture[300:780, 720:1200] = cv2.resize(face, (480, 480), interpolation=cv2.INTER_CUBIC)
    return picture


def decode(path: Path) -> None:
    """All pictures and all sound, nothing else."""
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            streams = [s for s in container.streams if s.type == kind]
            for stream in streams[:1]:
                stream.thread_type = "AUTO"
                for _ in container.decode(stream):
                    pass


def clocked(work: Callable[[Path], object], path: Path) -> tuple[float, float]:
    """Seconds by the clock, and of the processor in all threads."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work(path)
    return time.perf_counter() - begin, time.process_time() - begin_cpu


if __name__ == "__main__":
    main()
