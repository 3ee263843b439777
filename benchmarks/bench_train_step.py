"""One training step of BA-TFD at the published size (T 512, D 40, batch 1): memory and time, three ways.

- dense: the network with the boundary layers as the papers write them, one product with a (T, N D T) matrix and a
  3-D convolution over the samples (the twin of bench_boundary.py); all else is ours.
- fakespan: as `build_model` gives it.
- saving: the same after `save_memory`, which computes c3d's activations again on the way back.

A step is forward, loss and backward. Each way runs in a process of its own; its peak is what the step needs beyond what
the process holds after imports, building the network (for dense with its matrices) and loading the batch.
Run: python benchmarks/bench_train_step.py (about 5 GB of memory for the largest)
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import bench_boundary
from fakespan.boundary_map import iou_map_target
from fakespan.config import ModelConfig
from fakespan.losses import Targets, localization_loss
from fakespan.models import build_model
from fakespan.models.batfd import BaTfd
from fakespan.models.memory import save_memory

WAYS = ("dense", "fakespan", "saving")


class Dense(bench_boundary.DenseBoundary):
    """The dense twin with a matrix that both modalities share, which favours it."""

    def __init__(self, module: Any, matrix: Tensor) -> None:
        nn.Module.__init__(self)
        self.module, self.n_frames = module, matrix.shape[0]
        self.register_buffer("matrix", matrix.flatten(1), persistent=False)


def network_of(way: str, config: ModelConfig) -> BaTfd:
    """BA-TFD with the same weights whatever the way."""
    torch.manual_seed(0)
    network: Any = build_model(config).train()
    if way == "dense":
        matrix = torch.from_numpy(bench_boundary.dense_matrix(config.sampling))
        network.visual_boundary = Dense(network.visual_boundary, matrix)
        network.audio_boundary = Dense(network.audio_boundary, matrix)
    save_memory(network, way == "saving")
    return network


def batch_of(config: ModelConfig) -> tuple[Tensor, Tensor, Targets]:
    """One clip of full length with one forged span."""
    torch.manual_seed(1)
    n = config.n_frames
    video, audio = torch.rand(1, 3, n, 96, 96), torch.randn(1, 64, 4 * n)
    target = torch.from_numpy(iou_map_target([[4.0, 4.6]], n, n, config.max_duration))[None]
    frames = torch.zeros(1, n)
    frames[:, 100:115] = 1
    return video, audio, Targets(torch.tensor([n]), torch.tensor([False]), target, target, target, frames, frames)


def measure(way: str) -> dict[str, float]:
    config = ModelConfig()
    network = network_of(way, config)
    video, audio, targets = batch_of(config)
    before = now_mb()
    start = time.perf_counter()
    loss = localization_loss(network(video, audio), targets).total
    loss.backward()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
    return {
        "held_mb": before,
        "peak_mb": peak,
        "seconds": seconds,
        "loss": float(loss.detach()),
        "gradient": float(gradients.double().norm()),
    }


def now_mb() -> float:
    """What the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def in_own_process(way: str, threads: int) -> dict[str, float]:
    order = [sys.executable, __file__, "--one", way, "--threads", str(threads)]
    result: dict[str, float] = json.loads(subprocess.run(order, check=True, capture_output=True).stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        print(json.dumps(measure(args.one)))
        return
    print(f"{'':10}{'held MB':>10}{'step MB':>10}{'of dense':>10}{'s':>8}{'of dense':>10}{'loss':>12}{'gradient':>12}")
    dense: dict[str, float] = {}
    for way in WAYS:
        found = in_own_process(way, args.threads)
        dense = dense or found
        print(
            f"{way:10}{found['held_mb']:10.0f}{found['peak_mb']:10.0f}{found['peak_mb'] / dense['peak_mb']:10.2f}"
            f"{found['seconds']:8.1f}{found['seconds'] / dense['seconds']:10.2f}"
            f"{found['loss']:12.7f}{found['gradient']:12.7f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
