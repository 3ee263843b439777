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

import av

import fakespan
from bench_scan import made_clips


def main() -> None:
    if sys.argv[1:2] == ["--scan"]:
        report(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        _, clip = made_clips(Path(folder))
        print(f"{'1080p, minutes':>14} {'scan':>8} {'peak memory':>12}")
        for minutes in [float(m) for m in sys.argv[1:]] or [1.0, 5.0]:
            path = Path(folder) / "long.mp4"
            repeat(clip, path, minutes * 60)
            subprocess.run([sys.executable, __file__, "--scan", str(path)], check=True)


def report(path: Path) -> None:
    """Scan in this process alone and say what it took."""
    begin = time.perf_counter()
    result = fakespan.scan(path)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{result.duration_s / 60:14.1f} {time.perf_counter() - begin:7.1f}s {peak_mb:9.0f} MB")


def repeat(clip: Path, path: Path, length_s: float) -> None:
    """The clip over and over, without encoding it anew."""
    with av.open(str(path), "w") as output:
        streams, shift_s = {}, 0.0
        while shift_s < length_s:
            with av.open(str(clip)) as source:
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    index = packet.stream.index
                    if index not in streams:
                        streams[index] = output.add_stream_from_template(packet.stream)
                    shift = round(shift_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[index]
                    output.mux(packet)
                shift_s += (source.duration or 0) / av.time_base


if __name__ == "__main__":
    main()
