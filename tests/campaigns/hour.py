"""Scans an hour of 1080p and its ten minutes: time, memory over time, and whether both find the same segments.

`python tests/campaigns/hour.py --threads 1` makes both files in a temporary folder (220 MB). A minute of the bundled
clip is encoded: large and small faces, two people, shots without a face, a title without speech. Its packets are
repeated, so that each ten minutes of the hour are the file of ten minutes. It fails if memory exceeds 1.2 GB or rises
by more than 10 % after five minutes of the film, or if a segment differs by more than 0.1 s or 0.05 of score.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from clips import load_pictures
from fakespan.media.decode import read_sound
from remade import SAMPLE

GENUINE = SAMPLE.with_name("sample_real.mp4")
WIDTH, HEIGHT, FPS, SOUND_RATE = 1920, 1080, 25, 16_000
MOST_BYTES, MOST_RISE, SETTLED_S = 1_200_000_000, 0.1, 300.0
CLOSE_S, CLOSE_SCORE = 0.1, 0.05
PIECE_MINUTES = 10


@dataclass(frozen=True)
class Shot:
    """Clips side by side, and whose sound is heard."""

    n_frames: int
    faces: Sequence[tuple[Path, int, int]] = ()  # clip, side in pixels, left edge
    heard: Path | None = None


FULL, LEFT, RIGHT = (1080, 420), (540, 120), (540, 1260)
MINUTE = (
    Shot(207, [(SAMPLE, *FULL)], SAMPLE),
    Shot(207, [(GENUINE, *LEFT)], GENUINE),
    Shot(100),
    Shot(207, [(SAMPLE, *RIGHT)], SAMPLE),
    Shot(207, [(GENUINE, *LEFT), (SAMPLE, *RIGHT)], SAMPLE),
    Shot(207, [(GENUINE, *FULL)], GENUINE),
    Shot(158, heard=SAMPLE),
    Shot(207, [(GENUINE, 300, 810)], GENUINE),
)


def pictures(shots: Sequence[Shot]) -> Iterator[np.ndarray]:
    """(1080, 1920, 3) uint8 RGB, the faces on a background that moves slowly."""
    clips = {path: load_pictures(path) for path in (SAMPLE, GENUINE)}
    slope = np.linspace(40, 120, WIDTH, dtype=np.uint8)
    for number, shot in enumerate(shots):
        for k in range(shot.n_frames):
            picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
            picture[:] = np.roll(slope, 2 * k)[None, :, None] + 10 * np.uint8(number)
            for path, side, left in shot.faces:
                top = (HEIGHT - side) // 2
                picture[top : top + side, left : left + side] = cv2.resize(clips[path][k], (side, side))
            yield picture


def sound(shots: Sequence[Shot]) -> np.ndarray:
    """(n,) float32 at 16 kHz, as long as the pictures."""
    parts = []
    for shot in shots:
        n = shot.n_frames * SOUND_RATE // FPS
        heard = read_sound(shot.heard)[:n] if shot.heard else np.zeros(0, np.float32)
        parts.append(np.pad(heard, (0, n - len(heard))))
    return np.concatenate(parts)


def encoded_minute(folder: Path) -> Path:
    """The pictures of a minute, encoded once."""
    path = folder / "minute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.thread_count = WIDTH, HEIGHT, "yuv420p", 1
        for picture in pictures(MINUTE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def film(path: Path, minute: Path, n_minutes: int) -> Path:
    """The minute, so many times: its packets copied, its sound encoded in one go."""
    heard, n_a_picture = sound(MINUTE), SOUND_RATE // FPS
    with av.open(str(minute)) as given, av.open(str(path), "w") as made:
        (template,) = given.streams.video
        video = made.add_stream_from_template(template)
        audio: Any = made.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(n_minutes):
            given.seek(0)
            for k, packet in enumerate(p for p in given.demux(template) if p.dts is not None):
                late = round(60 * number / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + late, packet.dts + late, video
                made.mux(packet)
                part = heard[None, k * n_a_picture : (k + 1) * n_a_picture]
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "flt", "mono")
                frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
                frame.pts = number * len(heard) + k * n_a_picture
                made.mux(audio.encode(frame))
        made.mux(audio.encode(None))
    return path


@dataclass(frozen=True)
class Run:
    """A scan by the command, as it went."""

    scan: dict[str, Any]
    wall_s: float
    cpu_s: float
    peak_bytes: int
    memory: Sequence[tuple[float, int]]  # seconds of CPU time, bytes resident


def scanned(path: Path, threads: int, every_s: float = 2.0) -> Run:
    """Run `fakespan scan --json` on it and look at its memory now and then."""
    began, memory = time.monotonic(), []
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-m", "fakespan", "scan", str(path), "--json"]
        running = subprocess.Popen(command, stdout=out, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        while not (ended := os.wait4(running.pid, os.WNOHANG))[0]:
            memory.append(_use(running.pid))
            time.sleep(every_s)
        running.returncode = os.waitstatus_to_exitcode(ended[1])
        if running.returncode:
            raise SystemExit(f"the scan of {path.name} ended with exit code {running.returncode}")
        out.seek(0)
        scan = json.loads(out.read())
    used = ended[2]
    return Run(scan, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, memory)


def _use(pid: int) -> tuple[float, int]:
    """CPU time and resident memory of a process, from /proc."""
    times = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return sum(map(int, times[11:13])) / os.sysconf("SC_CLK_TCK"), int(pages) * os.sysconf("SC_PAGE_SIZE")


def rise(run: Run, film_s: float) -> float:
    """By how much memory rose after the first five minutes of the film, as a share."""
    settled = run.cpu_s * SETTLED_S / film_s
    before = max(n_bytes for cpu_s, n_bytes in run.memory if cpu_s <= settled)
    return max(n_bytes for _, n_bytes in run.memory) / before - 1


def differences(whole: dict[str, Any], piece: dict[str, Any], n_pieces: int) -> list[str]:
    """Segments of a piece that the whole does not have at the same place, or has in addition."""
    found = []
    for number in range(n_pieces):
        first_s = 60 * PIECE_MINUTES * number
        mine = [s for s in whole["segments"] if first_s <= s["start_s"] < first_s + 60 * PIECE_MINUTES]
        for segment in piece["segments"]:
            same = next((s for s in mine if _is_same(s, segment, first_s)), None)
            if same is None:
                found.append(f"piece {number + 1} lacks {segment}")
            else:
                mine.remove(same)
        found += [f"piece {number + 1} also has {segment}" for segment in mine]
    return found


def _is_same(mine: dict[str, Any], other: dict[str, Any], late_s: float) -> bool:
    apart_s = [abs(mine[name] - late_s - other[name]) for name in ("start_s", "end_s")]
    is_alike = mine["modality"] == other["modality"] and abs(mine["score"] - other["score"]) <= CLOSE_SCORE
    return is_alike and max(apart_s) <= CLOSE_S


def told(name: str, run: Run, film_s: float) -> str:
    """A line about a run."""
    curve = ", ".join(f"{n_bytes / 1e6:.0f}" for _, n_bytes in run.memory[:: max(1, len(run.memory) // 12)])
    return (
        f"{name}: {film_s:.0f} s of film in {run.wall_s:.0f} s, {run.cpu_s:.0f} s of CPU time; "
        f"{len(run.scan['segments'])} segments; at most {run.peak_bytes / 1e6:.0f} MB; over time, MB: {curve}"
    )


def main() -> int:
    """Run the campaign; 1 if memory or segments are not as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=6, help="of ten minutes; 6 are an hour")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minute = encoded_minute(folder)
        runs, lengths_s = [], [600.0, 600.0 * options.pieces]
        for length_s in lengths_s:
            path = film(folder / f"film{length_s:.0f}.mp4", minute, round(length_s / 60))
            runs.append(scanned(path, options.threads))
            print(told(path.name, runs[-1], length_s), flush=True)
    piece, whole = runs
    wrong = differences(whole.scan, piece.scan, options.pieces)
    print(f"memory rose by {100 * rise(whole, lengths_s[1]):.1f} % after five minutes; {len(wrong)} segments differ")
    print(*wrong, sep="\n")
    return 1 if wrong or whole.peak_bytes > MOST_BYTES or rise(whole, lengths_s[1]) > MOST_RISE else 0


if __name__ == "__main__":
    sys.exit(main())
