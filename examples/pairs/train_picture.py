"""Trains the picture expert on pools of `picture_pool.py`.

    python examples/pairs/train_picture.py POOL [POOL ...] --out RUN [--steps 8000] [--without GENERATOR ...] [--fold K]

The network is that of `configs/experts.toml`. Every 200 steps RUN holds the moving average of the weights as a
model file (`picture.safetensors`, for `fakespan experts join`) and the state to resume from (`state.pt`).
`--without` leaves a generator out, `--fold K` the third of the people in it, for validation on both.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from folds import fold_of
from numpy.typing import NDArray
from torch import Tensor

from fakespan.boundary_map import iou_map_target
from fakespan.checkpoint import save_checkpoint
from fakespan.config import FPS, ModelConfig, from_mapping, load_toml
from fakespan.files import replacing
from fakespan.losses import ExpertWeights, expert_loss
from fakespan.models import build_model
from fakespan.models.picture import PictureExpert

WEIGHTS = ExpertWeights(seams=1.0)
N_FRAMES, BATCH, RATE = 64, 8, 2e-3
MAX_DURATION = 40  # frames, as in configs/experts.toml
N_PATTERNS = 32
SHOWN_EVERY, KEPT_EVERY = 50, 200
Row = dict[str, Any]


class Pools:
    """The examples of several pools; `refresh` takes in what has come since."""

    def __init__(self, folders: Sequence[Path], without: Sequence[str], fold: int | None) -> None:
        self._folders, self._without, self._fold = folders, set(without), fold
        self._shards: dict[Path, tuple[NDArray[np.float16], list[Row]]] = {}
        self.examples: list[tuple[Path, int]] = []

    def refresh(self) -> None:
        """Examples whose person and generators are wanted; of a pair the forged one, which brings its twin."""
        for path in sorted(p for folder in self._folders for p in folder.glob("*.json")):
            if path not in self._shards:
                rows = json.loads(path.read_text(encoding="utf-8"))
                self._shards[path] = np.load(path.with_suffix(".npy"), mmap_mode="r"), rows
                self.examples += [(path, k) for k, row in enumerate(rows) if row["method"] and self._is_wanted(row)]

    def _is_wanted(self, row: Row) -> bool:
        is_held = self._fold is not None and fold_of(row["person"]) == self._fold
        return row["n"] >= 24 and not is_held and not self._without.intersection(row["method"].split("+"))

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Energies (B, T, 35, 8, 8), frames (B, T), maps (B, D, T), lengths (B,)."""
        chosen: list[tuple[Tensor, Tensor, Tensor, int]] = []
        while len(chosen) < BATCH:
            path, k = self.examples[rng.integers(len(self.examples))]
            energies, rows = self._shards[path]
            n = min(N_FRAMES, rows[k]["n"])
            first, seed = int(rng.integers(0, rows[k]["n"] - n + 1)), int(rng.integers(2**31))
            has_twin = k % 2 == 0 and k + 1 < len(rows) and not rows[k + 1]["method"]
            for j in (k, k + 1) if has_twin else (k,):
                shown = _varied(torch.from_numpy(energies[j, first : first + n].astype(np.float32)), seed)
                chosen.append((shown, *_targets(rows[j]["spans"], first, n), n))
        padded = torch.zeros(len(chosen), N_FRAMES, *chosen[0][0].shape[1:])
        for one, (shown, *_) in zip(padded, chosen, strict=True):
            one[: len(shown)] = shown
        frames, maps = torch.stack([c[1] for c in chosen]), torch.stack([c[2] for c in chosen])
        return padded, frames, maps, torch.tensor([c[3] for c in chosen])


def _varied(energies: Tensor, seed: int) -> Tensor:
    """Mirrored, with other levels of the patterns and of the frames; a pair varies alike."""
    rng = torch.Generator().manual_seed(seed)
    mirrored, levels, frames = torch.rand(3, generator=rng).tolist()
    if mirrored < 0.5:
        energies = energies.flip(-1)  # a cosine pattern's strength is that of its mirror image
    if levels < 0.5:
        energies[:, :N_PATTERNS] += 0.15 * torch.randn(1, N_PATTERNS, 1, 1, generator=rng)
    if frames < 0.3:
        energies[:, :N_PATTERNS] += 0.05 * torch.randn(len(energies), 1, 8, 8, generator=rng)
    return energies


def _targets(spans: Sequence[Sequence[int]], first: int, n: int) -> tuple[Tensor, Tensor]:
    shown = [(max(0, a - first), min(n, b - first)) for a, b in spans]
    shown = [(a, b) for a, b in shown if b - a > 1]
    frames = torch.zeros(N_FRAMES)
    for a, b in shown:
        frames[a:b] = 1
    periods_s = np.array(shown, float).reshape(-1, 2) / FPS
    return frames, torch.from_numpy(iou_map_target(periods_s, n, N_FRAMES, MAX_DURATION))


def train(pools: Pools, out: Path, model: ModelConfig, n_steps: int, seed: int) -> None:
    """All steps; resumes where a run was stopped."""
    torch.manual_seed(seed)
    network = PictureExpert(model)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05, betas=(0.9, 0.98))
    step = _resume(out / "state.pt", network, average, optimiser)
    began = time.monotonic()
    shown: dict[str, float] = {}
    while step < n_steps:
        if step % SHOWN_EVERY == 0:
            pools.refresh()
        rng = np.random.default_rng([seed, step])
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 40) * _cooled(step / n_steps)
        energies, frames, maps, n_frames = pools.batch(rng)
        network.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network.head(network.encoder.read(energies, n_frames))
        terms = expert_loss(output, frames, maps, n_frames, WEIGHTS)
        optimiser.zero_grad()
        terms.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        step += 1
        _follow(average, network, min(0.995, (step + 1) / (step + 20)))
        shown = {name: 0.97 * shown.get(name, value) + 0.03 * value for name, value in terms.to_dict().items()}
        if step % SHOWN_EVERY == 0:
            told = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
            print(f"step {step}, {time.monotonic() - began:.0f} s, {len(pools.examples)} examples: {told}", flush=True)
        if step % KEPT_EVERY == 0:
            _keep(out, (network, average, optimiser), step)
            _write_model(out / "picture.safetensors", model, average, step)
    _keep(out, (network, average, optimiser), step)
    _write_model(out / "picture.safetensors", model, average, step)


def _cooled(share: float) -> float:
    """The learning rate falls over the last 40 percent of the steps."""
    return 1.0 if share < 0.6 else max(0.02, (1 - share) / 0.4)


@torch.no_grad()
def _follow(average: PictureExpert, network: PictureExpert, share: float) -> None:
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        kept.lerp_(new, 1 - share) if kept.is_floating_point() else kept.copy_(new)


def _keep(out: Path, parts: tuple[PictureExpert, PictureExpert, Any], step: int) -> None:
    network, average, optimiser = parts
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
    with replacing(out / "state.pt") as part:
        torch.save({**state, "step": step}, part)


def _write_model(path: Path, model: ModelConfig, expert: PictureExpert, step: int) -> None:
    """A network of experts of which only this one was trained."""
    network: Any = build_model(model)
    network.picture.load_state_dict(expert.state_dict())
    save_checkpoint(path, network, name="picture", model=model, notes={"steps": step})


def _resume(path: Path, network: PictureExpert, average: PictureExpert, optimiser: Any) -> int:
    if not path.exists():
        return 0
    state = torch.load(path)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pools", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--fold", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", type=Path, default=Path("configs/experts.toml"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    model = from_mapping(ModelConfig, load_toml(options.config)["model"])
    train(Pools(options.pools, options.without, options.fold), options.out, model, options.steps, options.seed)


if __name__ == "__main__":
    main()
