"""Scans the same files again and again in new processes; every result must be the same, byte for byte.

    python tests/campaigns/determinism.py --runs 20

Compared are the JSON, but for the time of the scan, and the arrays of the network in full precision. The number of
threads (of network, OpenCV and decoder) may change the arrays by 1e-4, if the file is intact. Prints a line for each
backend, file and number of threads; exit code 1 if a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakespan.arrays import Float32Array
from fakespan.localizer import Localizer, load_model
from fakespan.report.export import json_text
from remux import SAMPLE, remuxed

N_THREADS = (1, 2)
MOST_APART = 1e-4


@dataclass(frozen=True)
class Result:
    """What a scan gave."""

    text: str  # JSON, without the time of the scan
    answers: list[Float32Array]  # of the network, in their order

    @property
    def is_damaged(self) -> bool:
        """Whether a part of the file is damaged: beside it FFmpeg's threads give other pictures, by their number."""
        return any(part["reason"] == "damaged" for part in json.loads(self.text)["not_judged"])

    def equals(self, other: Result) -> bool:
        """Whether nothing differs."""
        pairs = zip(self.answers, other.answers, strict=False)
        alike = len(self.answers) == len(other.answers) and all(a.tobytes() == b.tobytes() for a, b in pairs)
        return self.text == other.text and alike

    def apart(self, other: Result) -> float:
        """The largest difference of two numbers; infinity if there is no counterpart."""
        if [a.shape for a in self.answers] != [a.shape for a in other.answers]:
            return float("inf")
        return max((float(np.abs(a - b).max()) for a, b in zip(self.answers, other.answers, strict=True)), default=0.0)


class Recorder:
    """Runs a localizer's network, and keeps what it says."""

    def __init__(self, localizer: Localizer) -> None:
        self._localizer, self._runner, self.answers = localizer, localizer.runner, list[Float32Array]()
        localizer.runner = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def __call__(self, *arguments: Any) -> Mapping[str, Float32Array]:
        answers = self._runner(*arguments)
        self.answers += [np.array(answers[name]) for name in sorted(answers)]
        return answers

    def scan(self, path: Path) -> Result:
        """Scan a file."""
        self.answers = []
        record = json.loads(json_text(self._localizer.scan(path)))
        del record["evidence"]["scanned_at"]
        return Result(json.dumps(record, indent=1), self.answers)


def make_files(folder: Path) -> list[Path]:
    """The bundled clip; the same with 4 kB of zeros; and twice in Matroska, with a pause and its sound late."""
    folder.mkdir(exist_ok=True)
    damaged, content = folder / "damaged.mp4", bytearray(SAMPLE.read_bytes())
    content[100_000:104_096] = bytes(4096)
    damaged.write_bytes(content)
    twice = remuxed(folder / "twice.mkv", (0.0, 9.0), sound_later_s=0.3)
    return [SAMPLE, damaged, twice]


def scan_all(backend: Any, n_threads: int, files: Sequence[Path], out: Path) -> None:
    """Scan the files in this process; the results go into a folder."""
    import cv2

    cv2.setNumThreads(n_threads)
    localizer = load_model(backend=backend)
    localizer.decoder_threads = n_threads
    recorder = Recorder(localizer)
    for path in files:
        result = recorder.scan(path)
        (out / f"{path.name}.json").write_text(result.text)
        np.savez(out / f"{path.name}.npz", *result.answers)


def scanned_anew(backend: str, n_threads: int, files: Sequence[Path], out: Path) -> dict[str, Result]:
    """The results of a new process, by the names of the files."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--once", str(out), "--backend", backend, "--threads", str(n_threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    subprocess.run([*command, *map(str, files)], env=environment, check=True)
    return {path.name: _read(out, path.name) for path in files}


def _read(folder: Path, name: str) -> Result:
    with np.load(folder / f"{name}.npz") as stored:
        return Result((folder / f"{name}.json").read_text(), [stored[key] for key in stored])


def campaign(backend: str, files: Sequence[Path], n_runs: int, folder: Path) -> bool:
    """Print what differs; whether nothing does."""
    is_good, firsts = True, []
    for n_threads in N_THREADS:
        first = scanned_anew(backend, n_threads, files, folder / "first")
        n_other = dict.fromkeys(first, 0)
        for _ in range(n_runs - 1):
            for name, result in scanned_anew(backend, n_threads, files, folder / "again").items():
                n_other[name] += not result.equals(first[name])
        firsts.append(first)
        for name, number in n_other.items():
            print(f"{backend}, {n_threads} threads, {name}: {n_runs} runs, {number} differ from the first", flush=True)
            is_good &= number == 0
    for name, result in firsts[0].items():
        apart = result.apart(firsts[1][name])
        print(f"{backend}, {name}: {N_THREADS[0]} and {N_THREADS[1]} threads differ by at most {apart:.1e}", flush=True)
        is_good &= apart <= MOST_APART or result.is_damaged
    return is_good


def main() -> None:
    """Run the campaign, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="default: made from the bundled clip")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--backend", choices=["torch", "onnx"], help="default: both")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        scan_all(given.backend, given.threads, given.files, given.once)
        return
    with tempfile.TemporaryDirectory() as place:
        files = given.files or make_files(Path(place) / "files")
        backends = [given.backend] if given.backend else ["torch", "onnx"]
        is_good = [campaign(backend, files, given.runs, Path(place)) for backend in backends]
    sys.exit(0 if all(is_good) else 1)


if __name__ == "__main__":
    main()
