"""What length does to the verdict on genuine files: cut to 5, 10, 20 and 60 s, how many count as forged?

    fakespan scan GENUINE --threshold 0.02 --out RESULTS --format json
    python benchmarks/verdict_duration.py RESULTS [--model small] [--shuffles 20]

The results are joined in a random order with hard cuts and cut into pieces of each length. The score of a piece is the
highest that any span in it has in the scan, as with `scan --start --end`; no file is encoded again. "before" compares
it with the model's threshold, "after" is the verdict by `fakespan.rates`. Shares are means over the shuffles, as is the
rank correlation (Spearman) of the length of the pieces with the score, and with the probability.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakespan.arrays import Float64Array
from fakespan.config import FPS, PostConfig
from fakespan.localizer import load_model
from fakespan.localizer.verdict import plain_verdict
from fakespan.rates import Minutes
from fakespan.report.reading import read_json
from fakespan.types import Scan, Verdict

LENGTHS_S = (5, 10, 20, 60)


@dataclass(frozen=True)
class Frames:
    """What a scan says of each frame: (n, 3) score, number of faces that were judged, whether sound was judged."""

    table: Float64Array

    @classmethod
    def of(cls, scan: Scan) -> Frames:
        """From its curves and from what was not judged."""
        table = np.zeros((round(scan.duration_s * FPS), 3))
        table[:, 2] = scan.media.has_audio
        start_s = scan.media.starts_at_s
        for curve in scan.curves:
            first = round((curve.start_s - start_s) * FPS)
            part = table[first : first + len(curve.values)]
            if curve.modality == "fused":
                part[:, 0] = np.maximum(part[:, 0], curve.values[: len(part)])
            elif curve.modality == "visual":
                part[:, 1] += 1
        for gap in scan.not_judged:
            if gap.modality != "visual":
                table[round((gap.start_s - start_s) * FPS) : round((gap.end_s - start_s) * FPS), 2] = 0
        return cls(table)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--shuffles", type=int, default=20)
    options = parser.parse_args()
    post = load_model(options.model, "cpu").post
    scans = [Frames.of(read_json(path)).table for path in sorted(options.results.glob("*.json"))]
    print(f"{len(scans)} files, {sum(map(len, scans)) / FPS / 60:.1f} minutes, threshold {post.threshold}")
    shuffles = [shuffled(scans, post, seed) for seed in range(options.shuffles)]
    print("| pieces of | pieces | forged before | forged after |\n|---|---|---|---|")
    for length_s in LENGTHS_S:
        verdicts = [verdict for pieces in shuffles for length, verdict in pieces if length == length_s]
        before = np.mean([verdict.score >= post.threshold for verdict in verdicts])
        after = np.mean([verdict.is_fake for verdict in verdicts])
        print(f"| {length_s} s | {len(verdicts) // len(shuffles)} | {before:.0%} | {after:.0%} |")
    for name, value in (("score", lambda v: v.score), ("probability", lambda v: v.probability or -v.genuine_chance)):
        ranks = [spearman([length for length, _ in pieces], [value(v) for _, v in pieces]) for pieces in shuffles]
        print(f"Spearman of length and {name}: {np.mean(ranks):.2f}")


def shuffled(scans: list[Float64Array], post: PostConfig, seed: int) -> list[tuple[int, Verdict]]:
    """Length and verdict of every piece of one random order."""
    order = np.random.default_rng(seed).permutation(len(scans))
    frames = np.concatenate([scans[k] for k in order])
    found = []
    for length_s in LENGTHS_S:
        n = round(length_s * FPS)
        for begin in range(0, len(frames) - n + 1, n):
            piece = frames[begin : begin + n]
            judged = Minutes(piece[:, 1].sum() / FPS / 60, piece[:, 2].sum() / FPS / 60)
            found.append((length_s, plain_verdict(float(piece[:, 0].max()), post.threshold, post.rates, judged)))
    return found


def spearman(a: list[float], b: list[float]) -> float:
    """Rank correlation, with mean ranks of equal values."""
    ranks = [np.unique(values, return_inverse=True, return_counts=True)[1:] for values in (a, b)]
    means = [(np.cumsum(counts) - (counts - 1) / 2)[inverse] for inverse, counts in ranks]
    return float(np.corrcoef(*means)[0, 1])


if __name__ == "__main__":
    main()
