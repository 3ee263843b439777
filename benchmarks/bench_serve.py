"""The service against the command line on the same files: what durable jobs over HTTP cost.

    python benchmarks/bench_serve.py --files 40

Prints: jobs an hour of both, the time that a job takes beside its scan (pictures for list and report included), and how
fast a status request is answered meanwhile.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from fakespan.client import Client

SAMPLE = Path(__file__).parents[1] / "src" / "fakespan" / "samples" / "sample.mp4"


def copies(folder: Path, n_files: int) -> list[Path]:
    """The sample with a different end each time: equal work, different files."""
    paths = [folder / f"clip{number}.mp4" for number in range(n_files)]
    for number, path in enumerate(paths):
        path.write_bytes(SAMPLE.read_bytes() + number.to_bytes(4, "little"))
    return paths


def scan_s(paths: list[Path], folder: Path) -> float:
    """Time of the command line, its start and the report of each file included."""
    command = [sys.executable, "-m", "fakespan", "scan", *map(str, paths), "--json", "--out", str(folder / "results")]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def serve_s(client: Client, paths: list[Path]) -> tuple[float, list[float]]:
    """Time from the first submission to the last result, and the times of questions meanwhile."""
    answers: list[float] = []
    is_over = threading.Event()
    started = time.perf_counter()
    jobs = [client.submit(paths[0])]

    def ask() -> None:
        with Client(client.address) as other:
            while not is_over.wait(0.02):
                before = time.perf_counter()
                other.job(jobs[0])
                answers.append(time.perf_counter() - before)

    thread = threading.Thread(target=ask)
    thread.start()
    jobs += [client.submit(path) for path in paths[1:]]
    ends = [client.wait(job) for job in jobs]
    took = time.perf_counter() - started
    is_over.set()
    thread.join()
    assert {job.state for job in ends} == {"done"}
    return took, answers


def overheads_s(client: Client, paths: list[Path]) -> list[float]:
    """Of jobs one after the other: from accepted to ended, without the scan itself."""
    found = []
    for number, path in enumerate(paths):
        job = client.wait(client.submit(path, threshold=0.5 + number / 1000))
        found.append(_between(job.record) - job.record["scan_s"])
    return found


def _between(record: Any) -> float:
    created, ended = (datetime.fromisoformat(record[key]) for key in ("created", "ended"))
    return (ended - created).total_seconds()


def quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40)
    n_files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = copies(folder, n_files)
        command = [sys.executable, "-m", "fakespan", "serve", "--port", "0", "--data", str(folder / "data")]
        # by default its scans give way to others: beside other work the command line would have more of the CPU
        environment = {**os.environ, "FAKESPAN_SERVE_NICENESS": "0"}
        service = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        try:
            address = re.search(r"http://\S+", service.stdout.readline())[0]  # type: ignore[union-attr,index]
            with Client(address) as client:
                client.wait(client.submit(SAMPLE))  # warm, as the command line is for all but its first file
                served_s, answers = serve_s(client, paths)
                beside = overheads_s(client, paths[:20])
        finally:
            service.terminate()
            service.wait()
        bare_s = scan_s(paths, folder)
    print(f"jobs an hour: command line {3600 * n_files / bare_s:.0f}, service {3600 * n_files / served_s:.0f}", end="")
    print(f" ({bare_s / served_s:.2f} of it)")
    print(f"a job beside its scan: p50 {quantile(beside, 0.5):.3f} s, p95 {quantile(beside, 0.95):.3f} s")
    p50, p95 = (1000 * quantile(answers, share) for share in (0.5, 0.95))
    print(f"GET /v1/jobs/ID under load: p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(answers)}")


if __name__ == "__main__":
    main()
