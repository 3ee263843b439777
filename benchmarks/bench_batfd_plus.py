"""BA-TFD+'s layers against a plain implementation with explicit attention matrices, on the same weights and input.

Two parts at the published clip length of 512 frames: the video encoder (mvit_t unless told otherwise), whose plain
form writes down every score and every pair's relative position; and the proposal relation block (D 40, 128 channels),
whose plain form holds the matrix of all cells by all pooled cells. Each way runs in a process of its own, ways taking
turns; memory is the most beyond what the process held before. Beside the time on the clock stands the processors' time,
which other work on the same machine disturbs less.

Run: python benchmarks/bench_batfd_plus.py [--part encoder relation] [--encoder mvit_t] [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.mvit import MultiscaleViT, PooledAttention
from fakespan.models.relation import PositionRelation, ProposalRelationBlock

T, D, WIDTH, C_F = 512, 40, 128, 256
WAYS = ("plain", "fakespan")


class PlainAttention(nn.Module):
    """`PooledAttention` as the papers write it."""

    def __init__(self, attention: PooledAttention) -> None:
        super().__init__()
        self.of = attention

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """(B, 1 + T*grid*grid, n_in) -> (B, 1 + T*grid_q*grid_q, n_out)."""
        of, size = self.of, self.of.size
        q, k, v = of.qkv(x).unflatten(-1, (3, size.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = (self.pooled(part, pool, n_frames) for part, pool in ((q, of.pool_q), (k, of.pool_k), (v, of.pool_v)))
        scores = (q / q.shape[-1] ** 0.5) @ k.transpose(2, 3)
        scores[:, :, 1:, 1:] += self.bias(q[:, :, 1:], n_frames)
        attended = scores.softmax(-1) @ v
        attended[:, :, 1:] += q[:, :, 1:]
        return of.project(attended.transpose(1, 2).flatten(2))

    def pooled(self, tokens: Tensor, pool: nn.Module, n_frames: int) -> Tensor:
        """Tokens (B, heads, N, c), head by head."""
        grid, heads = self.of.size.grid, self.of.size.heads
        frames = tokens[:, :, 1:].unflatten(2, (n_frames, grid, grid)).flatten(0, 1).permute(0, 4, 1, 2, 3)
        pooled = pool.pool(frames.contiguous()).flatten(2).transpose(1, 2).unflatten(0, (-1, heads))
        return pool.norm_act(torch.cat((tokens[:, :, :1], pooled), dim=2))

    def bias(self, q: Tensor, n_frames: int) -> Tensor:
        """(B, heads, queries, keys), all pairs at once."""
        of, n_q, n_k = self.of, self.of.grid_q, self.of.grid_kv
        q = q.unflatten(2, (n_frames, n_q, n_q))
        frames = torch.arange(n_frames)
        time_table = of.rel_pos_t[frames[:, None] - frames + n_frames - 1]
        places, keys = torch.arange(n_q)[:, None], torch.arange(n_k)
        place_index = places * max(n_k // n_q, 1) + (n_k - 1 - keys) * max(n_q // n_k, 1)
        by_row = torch.einsum("bntyxc,ykc->bntyxk", q, of.rel_pos_h[place_index])
        by_column = torch.einsum("bntyxc,xkc->bntyxk", q, of.rel_pos_w[place_index])
        by_time = torch.einsum("bntyxc,tkc->bntyxk", q, time_table)
        whole = by_time[..., :, None, None] + by_row[..., None, :, None] + by_column[..., None, None, :]
        return whole.flatten(5).flatten(2, 4)


class PlainPositionRelation(nn.Module):
    """`PositionRelation` with its matrix."""

    def __init__(self, relation: PositionRelation) -> None:
        super().__init__()
        self.of = relation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, T) -> (B, C, D, T)."""
        q, k, v = (net(x).flatten(2) for net in (self.of.theta, self.of.phi, self.of.g))
        weights = torch.softmax(q.transpose(1, 2) @ k, dim=-1)
        related = (weights @ v.transpose(1, 2)).transpose(1, 2)
        return x + self.of.W(related.contiguous().view_as(x))


def network_and_input(part: str, encoder: str, way: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    if part == "encoder":
        network: nn.Module = MultiscaleViT(encoder, T, C_F)
        x = torch.rand(1, 3, T, 96, 96)
        if way == "plain":
            for block in network.mvit.blocks:
                block.attn = PlainAttention(block.attn)
        return network.eval(), x
    network = ProposalRelationBlock(WIDTH)
    if way == "plain":
        network.p_net = PlainPositionRelation(network.p_net)
    x = torch.randn(1, WIDTH, D, T).contiguous(memory_format=torch.channels_last)  # as the proposals come
    return network.eval(), x


@torch.inference_mode()
def measure(part: str, encoder: str, way: str, runs: int, answer: Path) -> dict[str, object]:
    network, x = network_and_input(part, encoder, way)
    F.conv2d(torch.randn(1, 8, 9, 9), torch.randn(8, 8, 3, 3)).sum()  # the libraries' own memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times, cpu_times = [], []
    for _ in range(runs + 1):  # the first is to warm up
        start, cpu_start = time.perf_counter(), time.process_time()
        result = network(x)
        times.append(time.perf_counter() - start)
        cpu_times.append(time.process_time() - cpu_start)
    peak_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.save(answer, (result.mean if part == "relation" else result).numpy())
    return {"times_s": times[1:], "cpu_times_s": cpu_times[1:], "peak_mb": peak_mb}


def in_own_process(part: str, encoder: str, way: str, runs: int, answer: Path) -> dict[str, list[float]]:
    order = [sys.executable, __file__, "--one", way, str(answer), "--part", part, "--encoder", encoder]
    order += ["--runs", str(runs)]
    return json.loads(subprocess.run(order, check=True, capture_output=True, text=True).stdout)


def compare(part: str, encoder: str, runs: int, rounds: int) -> None:
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu_times: dict[str, list[float]] = {way: [] for way in WAYS}
    peak, answers = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for way in WAYS:
                answer = Path(folder) / f"{way}.npy"
                found = in_own_process(part, encoder, way, runs, answer)
                times[way] += found["times_s"]
                cpu_times[way] += found["cpu_times_s"]
                peak[way], answers[way] = found["peak_mb"], np.load(answer)
    second, cpu = ({way: statistics.median(v) for way, v in each.items()} for each in (times, cpu_times))
    title = f"video encoder {encoder}" if part == "encoder" else "proposal relation block"
    print(f"{title}, T {T}{'' if part == 'encoder' else f', D {D}'}, {torch.get_num_threads()} threads")
    for way in WAYS:
        print(f"  {way:9} {second[way]:8.2f} s  {cpu[way]:8.2f} s of processor  {peak[way]:8.0f} MB")
    plain, ours = WAYS
    difference = np.abs(answers[plain] - answers[ours]).max()
    faster, by_cpu = second[plain] / second[ours], cpu[plain] / cpu[ours]
    print(f"  {faster:.1f}x faster ({by_cpu:.1f}x by processor time), ", end="")
    print(f"{peak[plain] / peak[ours]:.1f}x less memory, largest difference {difference:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=("encoder", "relation"), default=["encoder", "relation"])
    parser.add_argument("--encoder", choices=("mvit_t", "mvit_s", "mvit_b"), default="mvit_t")
    parser.add_argument("--runs", type=int, default=3, help="timed runs in each process")
    parser.add_argument("--rounds", type=int, default=2, help="processes for each way")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "ANSWER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, answer = options.one
        print(json.dumps(measure(options.part[0], options.encoder, way, options.runs, Path(answer))))
        return
    for part in options.part:
        compare(part, options.encoder, options.runs, options.rounds)


if __name__ == "__main__":
    main()
