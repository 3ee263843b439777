"""Soft-NMS, targets and metrics against readable Python loops, in the same run.

`python benchmarks/bench_postprocess.py` takes about half a minute.

Both sides get the same input, and their answers are compared before any time is printed. What has no readable
counterpart of bearable length (a one-hour map, a whole test set) is timed alone.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np

from fakespan.boundary_map import decode, iou_map_target
from fakespan.metrics import average_precision, average_recall
from fakespan.segments import soft_nms

PERIODS_S = [[1.2, 1.9], [4.0, 4.64]]


def main() -> None:
    generator = np.random.default_rng(0)
    print(f"{'what':<58}{'fakespan':>12}{'loop':>12}{'ratio':>9}")
    targets()
    suppression(generator)
    rating(generator)


def targets() -> None:
    for n_frames in (200, 512):
        arguments = (PERIODS_S, n_frames, 512, 40)
        assert np.allclose(iou_map_target(*arguments), loop_target(*arguments), atol=1e-5)
        fast, slow = (
            seconds(lambda a=arguments: iou_map_target(*a), 200),
            seconds(lambda a=arguments: loop_target(*a), 5),
        )
        row(f"map target, {n_frames} frames, D 40, T 512", fast, slow)


def suppression(generator: np.random.Generator) -> None:
    for n_frames in (200, 512):
        proposals = decode(generator.random((40, 512)), n_frames)
        rows = proposals.tolist()
        assert np.allclose(soft_nms(proposals), loop_soft_nms(rows), atol=1e-9)
        fast, slow = seconds(lambda p=proposals: soft_nms(p), 20), seconds(lambda r=rows: loop_soft_nms(r), 3)
        row(f"soft-NMS, {n_frames} frames, D 40 ({len(rows)} candidates)", fast, slow)
    hour = decode(generator.random((40, 90_000)), 90_000)
    for n_taken in (101, 10_000):
        fast = seconds(lambda n=n_taken: soft_nms(hour, max_proposals=n), 3)
        row(f"soft-NMS, one hour ({len(hour)} candidates, {n_taken} taken)", fast)
    fast = seconds(lambda: soft_nms(hour, floor=0.9, max_proposals=10_000), 3)
    row("soft-NMS, one hour, floor 0.9, up to 10000 taken", fast)


def rating(generator: np.random.Generator) -> None:
    proposals, labels = test_set(generator, 300)
    assert math.isclose(average_precision(proposals, labels)[0.5], loop_precision(proposals, labels, 0.5), abs_tol=1e-9)
    fast = seconds(lambda: average_precision(proposals, labels, [0.5]), 5)
    row("AP@0.5, 300 videos x 101 proposals", fast, seconds(lambda: loop_precision(proposals, labels, 0.5), 3))
    many, many_labels = test_set(generator, 26_100)
    row("AP@0.5, 0.75, 0.95, 26100 videos x 101 proposals", seconds(lambda: average_precision(many, many_labels), 3))
    row("AR@100, 50, 20, 10, 26100 videos x 101 proposals", seconds(lambda: average_recall(many, many_labels), 3))


def test_set(generator: np.random.Generator, n_videos: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Videos of 8.6 s with 0 to 3 forged spans and 101 proposals, some of them near the truth."""
    proposals, labels = {}, {}
    for k in range(n_videos):
        starts = np.sort(generator.uniform(0, 8, k % 4))
        labels[f"{k}.mp4"] = np.stack([starts, starts + generator.uniform(0.2, 1.6, len(starts))], axis=1)
        begins = generator.integers(0, 200, 101) / 25
        spans = np.stack([begins, begins + generator.integers(1, 40, 101) / 25], axis=1)
        spans[: len(starts)] = labels[f"{k}.mp4"] + generator.normal(0, 0.05, (len(starts), 2))
        proposals[f"{k}.mp4"] = np.column_stack([np.sort(generator.random(101))[::-1], spans])
    return proposals, labels


def loop_target(periods_s: list[list[float]], n_frames: int, n_padded: int, max_duration: int) -> np.ndarray:
    duration_s = n_frames / 25
    forged = [[min(max(second / duration_s, 0), 1) for second in period] for period in periods_s]
    target = np.zeros((max_duration, n_padded), dtype=np.float32)
    for d in range(max_duration):
        for t in range(n_padded):
            if t + d <= n_frames:
                target[d, t] = max(loop_iou(t / n_frames, (t + d + 1) / n_frames, *span) for span in forged)
    return target


def loop_soft_nms(rows: list[list[float]]) -> list[list[float]]:
    left, taken = [list(proposal) for proposal in rows], []
    while len(left) > 1 and len(taken) < 101:
        best = max(left, key=lambda proposal: proposal[0])
        left.remove(best)
        taken.append(best)
        threshold = 0.1968 + (0.4123 - 0.1968) * (best[2] - best[1]) / 25
        for proposal in left:
            share = loop_iou(proposal[1], proposal[2], best[1], best[2])
            if share > threshold:
                proposal[0] *= math.exp(-(share**2) / 0.7234)
    return taken


def loop_precision(proposals: dict[str, np.ndarray], labels: dict[str, np.ndarray], threshold: float) -> float:
    pooled: list[tuple[float, bool]] = []
    for name, spans in labels.items():
        rows = proposals[name].tolist()
        used = [False] * len(rows)
        for begin, end in spans.tolist():
            for k, (_, p_begin, p_end) in enumerate(rows):
                if not used[k] and loop_iou(p_begin, p_end, begin, end) > threshold:
                    used[k] = True
                    break
        pooled += [(proposal[0], hit) for proposal, hit in zip(rows, used, strict=True)]
    pooled.sort(key=lambda pair: -pair[0])
    n_labels, found, curve = sum(map(len, labels.values())), 0, []
    for rank, (_, hit) in enumerate(pooled, 1):
        found += hit
        curve.append((found, found / rank))
    area, best_later = 0.0, 0.0
    for k in range(len(curve) - 1, 0, -1):
        best_later = max(best_later, curve[k][1])
        area += (curve[k][0] - curve[k - 1][0]) * best_later
    return area / n_labels


def loop_iou(a_begin: float, a_end: float, b_begin: float, b_end: float) -> float:
    shared = max(0.0, min(a_end, b_end) - max(a_begin, b_begin))
    return shared / ((a_end - a_begin) + (b_end - b_begin) - shared)


def seconds(call: Callable[[], object], n_runs: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(n_runs):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def row(what: str, fast_s: float, slow_s: float | None = None) -> None:
    slow = "" if slow_s is None else f"{slow_s * 1e3:>9.1f} ms{slow_s / fast_s:>8.0f}x"
    print(f"{what:<58}{fast_s * 1e3:>9.2f} ms{slow}", flush=True)


if __name__ == "__main__":
    main()
