"""Scoring a set of LAV-DF's test size: fakespan against the compiled evaluator of `avdeepfake1m`, in the same run.

`python benchmarks/bench_score.py` takes two to five minutes. It makes 26,100 videos x 101 proposals twice, with begin
and end in frames and in seconds, numbers as Python writes what came from float32, and rates each file in turn by the
compiled evaluator (`ap_ar_1d`, the one call that its README documents; and `ap_1d`, then `ar_1d`), by fakespan from
JSON and from Parquet: AP@0.5, 0.75, 0.95 and AR@100, 50, 20, 10. Every run is a process of its own that imports first
and then times reading both files and rating, by the clock and by the processor's time; medians. Peak memory is that of
the process. The evaluator is fetched by pip into a folder that is removed at the end; without it the rest is measured.
`fakespan score` with everything that it prints is timed as well. The load of the machine is printed before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fakespan.scoring.proposals import read_proposals
from fakespan.scoring.proposals_parquet import write_parquet

N_VIDEOS, N_PROPOSALS = 26_100, 101
IOUS, COUNTS = (0.5, 0.75, 0.95), (100, 50, 20, 10)

TIMED = """
import json, re, sys, time
{imports}
begun, begun_cpu = time.perf_counter(), time.process_time()
{work}
spent, spent_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024  # this process alone, by Linux
print(json.dumps({{"s": spent, "cpu_s": spent_cpu, "mb": peak, "values": [float(v) for v in values]}}))
"""
ORACLE_IMPORTS = """
import types
package = types.ModuleType("avdeepfake1m")  # its own __init__ needs torchvision
package.__path__ = [{folder!r} + "/avdeepfake1m"]
sys.modules["avdeepfake1m"] = package
from avdeepfake1m._evaluation import ap_1d, ap_ar_1d, ar_1d
"""
ORACLE_WORK = """
got = ap_ar_1d({proposals!r}, {metadata!r}, "file", "fake_periods", {fps}, [0.5, 0.75, 0.95], [100, 50, 20, 10],
               [k / 100 for k in range(50, 100, 5)])
values = [*got["ap"].values(), *(got["ar"][n] for n in (100, 50, 20, 10))]
"""
SEPARATE_WORK = """
files = ({proposals!r}, {metadata!r}, "file", "fake_periods", {fps})
ap = ap_1d(*files, [0.5, 0.75, 0.95])
ar = ar_1d(*files, [100, 50, 20, 10], [k / 100 for k in range(50, 100, 5)])
values = [*ap.values(), *(ar[n] for n in (100, 50, 20, 10))]
"""
OUR_IMPORTS = """
import orjson, pyarrow.csv, pyarrow.parquet
from fakespan.scoring.score import ScoreOptions, read_both, score
from fakespan.metrics import Pairs
from fakespan.metrics.precision import match_pairs
from fakespan.metrics.recall import best_shares, found_shares
"""
OUR_WORK = """
found, truth = read_both({proposals!r}, {metadata!r}, {fps})
pairs = Pairs.of(found, truth.labels)
matches = match_pairs(pairs, (0.5, 0.75, 0.95))
values = [matches.average_precision(t) for t in (0.5, 0.75, 0.95)]
values += [found_shares(best).mean() for best in best_shares(pairs, (100, 50, 20, 10)).values()]
"""
SCORE_WORK = """
result = score(*read_both({proposals!r}, {metadata!r}, {fps}), ScoreOptions(n_bootstrap={n_bootstrap}))
values = [v for k, v in result.subsets[0].values.items() if k[:3] in ("AP@", "AR@")]
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3, help="of each, in turn; the median counts")
    parser.add_argument("--bootstrap", type=int, default=0, help="time `score` with so many resamples too")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        has_oracle = fetch(folder / "oracle")
        metadata = make_metadata(folder / "metadata.json")
        for unit, fps in (("frames", 25.0), ("seconds", 1.0)):
            path = make_proposals(folder, unit, metadata)
            size_mb = path.stat().st_size / 1e6
            print(f"\n{N_VIDEOS} videos x {N_PROPOSALS} proposals, begin and end in {unit}, JSON of {size_mb:.0f} MB")
            compare(folder, path, fps, has_oracle, options.runs)
            if options.bootstrap:
                work = SCORE_WORK.format(**places(folder, path, fps), n_bootstrap=options.bootstrap)
                row(f"score, Parquet, {options.bootstrap} resamples", [run(OUR_IMPORTS, work)], None)
                options.bootstrap = 0  # once is enough
    print(f"load {os.getloadavg()[0]:.1f}")


def compare(folder: Path, path: Path, fps: float, has_oracle: bool, n_runs: int) -> None:
    json_, parquet = places(folder, path, fps), places(folder, path.with_suffix(".parquet"), fps)
    oracle = ORACLE_IMPORTS.format(folder=str(folder / "oracle"))
    ways = {
        "compiled evaluator": (oracle, ORACLE_WORK.format(**json_)),
        "the same, AP and AR in two calls": (oracle, SEPARATE_WORK.format(**json_)),
        "fakespan, JSON": (OUR_IMPORTS, OUR_WORK.format(**json_)),
        "fakespan, Parquet": (OUR_IMPORTS, OUR_WORK.format(**parquet)),
        "score, all it prints, Parquet": (OUR_IMPORTS, SCORE_WORK.format(**parquet, n_bootstrap=0)),
    }
    if not has_oracle:
        ways = {name: way for name, way in ways.items() if name.startswith(("fakespan", "score"))}
        print("the compiled evaluator could not be fetched: no ratio")
    results: dict[str, list[dict]] = {name: [] for name in ways}
    for _ in range(n_runs):
        for name, (imports, work) in ways.items():
            results[name].append(run(imports, work))
    slow = results.get("compiled evaluator")
    for name, found in results.items():
        row(name, found, slow)
    values = {name: np.array(found[0]["values"]) for name, found in results.items()}
    first, *others = values.values()
    largest = max(float(np.abs(first - other).max()) for other in others)
    print(f"largest difference between any two numbers: {largest:.1e}")
    assert largest < 1e-5, values


def places(folder: Path, path: Path, fps: float) -> dict[str, object]:
    return {"proposals": str(path), "metadata": str(folder / "metadata.json"), "fps": fps}


def row(name: str, found: list[dict], slow: list[dict] | None) -> None:
    line = f"{name:<34}{max(f['mb'] for f in found):6.0f} MB"
    for key, what in (("s", "s by the clock"), ("cpu_s", "s of processor")):
        seconds = statistics.median(f[key] for f in found)
        ratio = f"{statistics.median(f[key] for f in slow) / seconds:5.1f}x" if slow else ""
        line += f"{seconds:8.2f} {what} {ratio}"
    print(line, flush=True)


def run(imports: str, work: str) -> dict:
    program = TIMED.format(imports=imports, work=work)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def fetch(folder: Path) -> bool:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "avdeepfake1m"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_metadata(path: Path) -> list[dict]:
    generator = np.random.default_rng(0)
    entries = []
    for k in range(N_VIDEOS):
        n = int(generator.choice(4, p=[0.27, 0.5, 0.15, 0.08]))
        starts = np.sort(generator.uniform(0, 7, n)).round(3)
        spans = np.stack([starts, (starts + generator.uniform(0.2, 1.6, n)).round(3)], axis=1).tolist()
        sound, picture = bool(n) and k % 3 != 0, bool(n) and k % 3 != 1
        entry = {"file": f"test/{k:06d}.mp4", "n_fakes": n, "fake_periods": spans, "duration": 8.6, "original": None}
        entry |= {"modify_audio": sound, "modify_video": picture, "split": "test", "video_frames": 215}
        entries.append(entry | {"audio_channels": 1, "audio_frames": 137_600})
    path.write_text(json.dumps(entries))
    return entries


def make_proposals(folder: Path, unit: str, entries: list[dict]) -> Path:
    """Best first, as Python writes what came from float32; a few lie near each forged span, the better the nearer."""
    generator = np.random.default_rng(1)
    found = {}
    for entry in entries:
        begins = generator.uniform(0, 8, N_PROPOSALS)
        table = np.stack([begins, begins + generator.uniform(0.04, 1.6, N_PROPOSALS)], axis=1)
        for j, span in enumerate(entry["fake_periods"]):
            table[j::20] = np.sort(span + generator.normal(0, 0.06, (len(table[j::20]), 2)).clip(-0.2, 0.2), axis=1)
        scores = np.sort(generator.beta(0.5, 3, N_PROPOSALS))[::-1]
        table = np.abs(np.round(table * 25)) if unit == "frames" else table
        table[:, 1] = np.maximum(table[:, 1], table[:, 0] + (1 if unit == "frames" else 0.04))
        found[entry["file"]] = np.column_stack([scores, table]).astype(np.float32).tolist()
    path = folder / f"{unit}.json"
    path.write_text(json.dumps(found))
    write_parquet(path.with_suffix(".parquet"), read_proposals(path, 25.0 if unit == "frames" else 1.0))
    return path


if __name__ == "__main__":
    main()
