"""The boundary module against its dense twin at the published size (T 512, D 40, N 10, 257 -> 512 -> 128).

Each way runs in a process of its own: building, the map, map and gradients, and the most memory beyond what the
process held before. Run: python benchmarks/bench_boundary.py
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.boundary import BoundaryModule

C, WIDTHS, T, D, N = 257, (512, 128), 512, 40, 10
WAYS, SAMPLINGS, TASKS = ("dense", "fakespan"), ("reference", "bmn"), ("map", "map and gradients")


class DenseBoundary(nn.Module):
    """The layers as the papers write them, on the weights of a `BoundaryModule`."""

    def __init__(self, module: BoundaryModule, sampling: str) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("matrix", torch.from_numpy(dense_matrix(sampling)).view(T, -1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T) -> (B, D, T)."""
        proposals = self.module.proposals
        x = (features @ self.matrix).view(-1, C, N, D, T)
        x = F.leaky_relu(proposals.sampled(x).squeeze(2), 0.01)
        x = F.leaky_relu(proposals.project(x), 0.01)
        x = F.leaky_relu(self.module.context(x), 0.01)
        return torch.sigmoid(self.module.score(x)).squeeze(1)


def dense_matrix(sampling: str) -> np.ndarray:
    """(T, N, D, T), point by point."""
    matrix = np.zeros((T, N, D, T), np.float32)
    for t in range(T):
        for d in range(min(D, T - t)):
            end = d + 1 if sampling == "reference" else t + d + 1
            if sampling == "reference" and t + d + 1 == T:
                continue
            for n in range(N):
                point = t - (end - t) / 2 + n * (2 * (end - t)) / (N - 1)
                if 0 <= point <= T - 1:
                    low, high = math.floor(point), math.ceil(point)
                    share = point - low
                    matrix[low, n, d, t] += 1 - share
                    if high > low or sampling == "reference":
                        matrix[high, n, d, t] += share if high > low else 1
    return matrix


def measure(way: str, sampling: str, task: str, runs: int, answer: Path) -> dict[str, float]:
    torch.manual_seed(0)
    features = torch.randn(1, C, T)
    module = BoundaryModule(C, WIDTHS, D, N, sampling)
    F.conv2d(torch.randn(1, 8, 9, 9), torch.randn(8, 8, 3, 3)).sum()  # the libraries' own memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    network = DenseBoundary(module, sampling) if way == "dense" else module
    if way == "fakespan":
        rows = torch.empty(1)
        network.proposals._groups(T, T, rows, task != "map")  # else built at the first call
    built = time.perf_counter() - start
    run = with_gradients(network, features) if task != "map" else without(network, features)
    run()
    times = [timed(run) for _ in range(runs)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.save(answer, np.concatenate([x.numpy().ravel() for x in run()]))
    return {"build_s": built, "run_s": statistics.median(times), "peak_mb": peak / 1024}


def without(network: nn.Module, features: Tensor) -> Callable[[], list[Tensor]]:
    @torch.no_grad()
    def run() -> list[Tensor]:
        return [network(features)]

    return run


def with_gradients(network: nn.Module, features: Tensor) -> Callable[[], list[Tensor]]:
    features = features.requires_grad_()
    leaves = [features, *network.parameters()]

    def run() -> list[Tensor]:
        boundary_map = network(features)
        return [boundary_map.detach(), *torch.autograd.grad(boundary_map.square().mean(), leaves)]

    return run


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_own_process(way: str, sampling: str, task: str, runs: int, answer: Path) -> dict[str, float]:
    order = [
        sys.executable,
        __file__,
        "--one",
        way,
        sampling,
        task,
        "--runs",
        str(runs),
        "--threads",
        str(torch.get_num_threads()),
        "--answer",
        str(answer),
    ]
    result: dict[str, float] = json.loads(subprocess.run(order, check=True, capture_output=True).stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        print(json.dumps(measure(*args.one, args.runs, args.answer)))
        return
    print(f"{'':28}{'build s':>18}{'run s':>18}{'ratio':>7}{'peak MB':>16}{'ratio':>7}{'difference':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for sampling in SAMPLINGS:
            for task in TASKS:
                files = [Path(folder, f"{way}.npy") for way in WAYS]
                dense, ours = (
                    in_own_process(way, sampling, task, args.runs, file) for way, file in zip(WAYS, files, strict=True)
                )
                difference = np.abs(np.load(files[0]) - np.load(files[1])).max()
                print(
                    f"{sampling + ', ' + task:28}"
                    f"{dense['build_s']:10.2f} ->{ours['build_s']:5.2f}"
                    f"{dense['run_s']:10.2f} ->{ours['run_s']:5.2f}{dense['run_s'] / ours['run_s']:7.1f}"
                    f"{dense['peak_mb']:9.0f} ->{ours['peak_mb']:4.0f}{dense['peak_mb'] / ours['peak_mb']:7.1f}"
                    f"{difference:12.1e}"
                )


if __name__ == "__main__":
    main()
