"""The shipped model by torch, by onnxruntime, and with 8-bit weights: start-up, speed, memory; each in its own process.

python benchmarks/bench_onnx.py [FILE ...]      default: the bundled sample

The kinds take turns, so that whatever else the machine does hits all of them. Time is that of the CPU; medians.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fakespan

PACKAGE = Path(fakespan.__file__).parent
SAMPLE = PACKAGE / "samples" / "sample.mp4"
ROUNDS, SCANS = 3, 3


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], [Path(name) for name in sys.argv[3:]])))
        return
    from onnx_int8 import kinds  # noqa: PLC0415 - not in the measured processes

    files = [Path(name) for name in sys.argv[1:]] or [SAMPLE]
    with tempfile.TemporaryDirectory() as folder:
        models = {"torch": PACKAGE / "weights" / "small.safetensors", **kinds(Path(folder))}
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in models}
        for _ in range(ROUNDS):
            for name, model in models.items():
                runs[name].append(run(model, files))
    print(f"{'':20} {'start-up':>9} {'network':>14} {'whole scan':>14} {'peak memory':>12}")
    for name, found in runs.items():
        print(row(name, found))


def run(model: Path, files: list[Path]) -> dict[str, float]:
    """`measure` in a process of its own, on one thread."""
    command = [sys.executable, __file__, "--one", str(model), *map(str, files)]
    child = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, float] = json.loads(child.stdout)
    return found


def measure(model: str | Path, files: list[Path], n_scans: int = SCANS) -> dict[str, float]:
    """CPU seconds of this process until a model is loaded, milliseconds for each second of video, peak memory in MB."""
    localizer = fakespan.load_model(model)
    start_s = time.process_time()
    judge, spent = localizer.judge_clip, [0.0]

    def timed(*clip: Any) -> Any:
        begin = time.process_time()
        maps = judge(*clip)
        spent[0] += time.process_time() - begin
        return maps

    localizer.judge_clip = timed  # type: ignore[method-assign]
    network, scan = [], []
    for _ in range(n_scans):
        spent[0], begin = 0.0, time.process_time()
        length_s = sum(localizer.scan(path).duration_s for path in files)
        scan.append(1000 * (time.process_time() - begin) / length_s)
        network.append(1000 * spent[0] / length_s)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "start_s": start_s,
        "network_ms": statistics.median(network),
        "scan_ms": statistics.median(scan),
        "peak_mb": peak_mb,
    }


def row(name: str, runs: list[dict[str, float]]) -> str:
    """A line of the table: medians of the runs."""
    start_s, network_ms, scan_ms, peak_mb = (
        statistics.median(run[key] for run in runs) for key in ("start_s", "network_ms", "scan_ms", "peak_mb")
    )
    return f"{name:20} {start_s:7.2f} s {network_ms:9.1f} ms/s {scan_ms:9.1f} ms/s {peak_mb:9.0f} MB"


if __name__ == "__main__":
    main()
