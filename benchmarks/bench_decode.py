"""Decoding alone against decoding with what a scan asks of every picture.

    python benchmarks/bench_decode.py [FILE] [--runs 3]

Without FILE, a 10 s 1080p clip is made. "scan's reads" are `read_pictures` with a 480-pixel thumbnail of every 12th
picture and a 448-pixel crop, brought to 96x96, of each; "all RGB" converts every picture whole, which they
avoid. Single conversions are timed on one decoded picture.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from fakespan.media.crop import prepare_crop
from fakespan.media.decode import read_pictures
from fakespan.media.encode import write_video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or make_clip(Path(folder) / "clip.mp4")
        ways = {
            "decode alone": decode_alone,
            "read_pictures": read_only,
            "scan's reads": scan_reads,
            "all RGB": all_rgb,
        }
        print_ways(path, ways, args.runs)
        print_conversions(path)


def make_clip(path: Path) -> Path:
    write_video(path, moving_pictures(250), 25.0, preset="veryfast", crf=20)
    return path


def moving_pictures(n: int) -> Iterator[np.ndarray]:
    """A slowly wandering texture with some noise, so that the decoder has motion and residue to work on."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (40, 64, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((32, 36, 1), np.uint8))
    noise = rng.integers(0, 12, (1080, 1920, 3), dtype=np.uint8)
    for k in range(n):
        view = texture[k % 200 : k % 200 + 1080, k % 360 : k % 360 + 1920]
        yield np.ascontiguousarray(view // 2 + np.roll(noise, 7 * k, axis=1))


def decode_alone(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def read_only(path: Path) -> None:
    for _ in read_pictures(path):
        pass


def scan_reads(path: Path) -> None:
    for picture in read_pictures(path):
        if picture.index % 12 == 0:
            picture.thumbnail(480)
        prepare_crop(picture.crop(*middle_box(picture.width, picture.height)))


def all_rgb(path: Path) -> None:
    for picture in read_pictures(path):
        picture.rgb()


def middle_box(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(448, width, height)
    x0, y0 = (width - side) // 2, (height - side) // 2
    return x0, y0, x0 + side, y0 + side


def print_ways(path: Path, ways: dict[str, Callable[[Path], None]], runs: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):  # interleaved, so that a busy moment hits all of them
        for name, way in ways.items():
            times[name].append(seconds(lambda way=way: way(path)))
    alone = statistics.median(times["decode alone"])
    print(f"{'way':<16}{'seconds':>9}{'ratio':>8}")
    for name, found in times.items():
        print(f"{name:<16}{statistics.median(found):>9.2f}{statistics.median(found) / alone:>8.2f}")


def print_conversions(path: Path) -> None:
    picture = next(read_pictures(path))
    box = middle_box(picture.width, picture.height)
    conversions = {
        "rgb": picture.rgb,
        "crop 448": lambda: picture.crop(*box),
        "thumbnail 480": lambda: picture.thumbnail(480),
    }
    print(f"\n{picture.width}x{picture.height:<8}{'ms':>9}")
    for name, convert in conversions.items():
        print(f"{name:<16}{1e3 * statistics.median(seconds(convert) for _ in range(31)):>8.2f}")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
