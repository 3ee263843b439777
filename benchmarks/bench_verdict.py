"""How long a verdict head takes to fit from 10,000 maps, and its features against a readable loop, in the same run.

    python benchmarks/bench_verdict.py [--maps 10000] [--restarts 5]

The maps are made here: 40 x 250 of noise, in a fake (one in two) a broad block that is a hair stronger. Nothing can
be read off the AUC but that the fit works; what counts is the time. Features are compared with the loop before any
time is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakespan.config import VerdictConfig
from fakespan.models.map_features import FLOOR, map_features
from fakespan.verdict.fit import fit_head
from fakespan.verdict.maps import MapEntry, MapsHeader, MapsModel

D, N_FRAMES, T = 40, 250, 512
MODEL = MapsModel("made", "0" * 64, "small", D, T, "pad")


@dataclass(frozen=True)
class MadeMaps:
    """The doors of `fakespan.verdict.maps.MapSet`, onto maps that are made when they are asked for."""

    name: str
    entries: tuple[MapEntry, ...]
    seed: int

    @property
    def folder(self) -> Path:
        """What errors name."""
        return Path(self.name)

    @property
    def header(self) -> MapsHeader:
        """As a folder of maps has it."""
        n = len(self.entries)
        return MapsHeader(MODEL, "made", self.name, {}, n, self.name, True, n, n * N_FRAMES)

    def fused(self, k: int) -> np.ndarray:
        """The deciding map (D, n) of clip k."""
        generator = np.random.default_rng([self.seed, k])
        found = generator.random((D, N_FRAMES), np.float32) * np.float32(0.4)
        if self.entries[k].label:
            begin = int(generator.integers(N_FRAMES - 60))
            found[10:20, begin : begin + 10] += 0.03
        return found

    def frames(self, k: int) -> np.ndarray:
        """(2, n) probabilities that say nothing."""
        return np.random.default_rng([self.seed, k, 1]).random((2, N_FRAMES), np.float32)


def made_maps(name: str, n: int, seed: int) -> MadeMaps:
    clips = ((k, f"{name}{k}.mp4", k % 2) for k in range(n))
    entries = tuple(
        MapEntry(k, file, label, "both" if label else "real", f"of-{file}" if label else None,
                 N_FRAMES, k * N_FRAMES, 25.0, True, True, (0, 0, 0, 0))
        for k, file, label in clips
    )  # fmt: skip
    return MadeMaps(name, entries, seed)


def loop_features(score_map: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """`map_features`, cell by cell, as its docstring tells it."""
    longest, n = score_map.shape
    grid = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            best = 0.0
            for d in range(row * longest // rows, -(-(row + 1) * longest // rows)):
                for t in range(column * n // columns, -(-(column + 1) * n // columns)):
                    if t + d < n:
                        best = max(best, float(score_map[d, t]))
            held = min(max(best, FLOOR), 1 - FLOOR)
            grid[row, column] = np.log(held / (1 - held))
    return np.concatenate([grid.ravel(), grid.max(1), grid.mean(1)])


def features() -> None:
    score_map, config = made_maps("one", 2, 0).fused(1), VerdictConfig()
    sizes = (config.rows, config.columns)
    assert np.allclose(map_features(score_map, *sizes), loop_features(score_map, *sizes), atol=1e-5)
    fast, slow = (
        seconds(lambda: map_features(score_map, *sizes), 200),
        seconds(lambda: loop_features(score_map, *sizes), 5),
    )
    print(f"features of one map: {1e3 * fast:.2f} ms, loop {1e3 * slow:.1f} ms, {slow / fast:.0f}x")


def fit(n_maps: int, restarts: int) -> None:
    config = dataclasses.replace(VerdictConfig(), restarts=restarts)
    train, validation = made_maps("train", n_maps, 1), made_maps("validation", max(2, n_maps // 10), 2)
    begin = time.perf_counter()
    for k in range(n_maps):
        train.fused(k)
    making = time.perf_counter() - begin
    begin = time.perf_counter()
    head = fit_head(train, validation, config)
    taken = time.perf_counter() - begin
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"head from {n_maps} maps, {restarts} restarts: {taken:.0f} s (making the maps is {making:.0f} s of them), "
        f"{held:.0f} MB at the peak; AUC of the validation maps {head.notes['validation_auc']['mlp']:.3f}, "
        f"of their maximum {head.notes['validation_auc']['maximum']:.3f}"
    )


def seconds(call: object, n: int) -> float:
    assert callable(call)
    times = []
    for _ in range(n):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the fit of a verdict head.")
    parser.add_argument("--maps", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=VerdictConfig().restarts)
    given = parser.parse_args()
    features()
    fit(given.maps, given.restarts)


if __name__ == "__main__":
    main()
