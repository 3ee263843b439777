"""Train one system of the zoo: a small neural vocoder or codec.

    python examples/zoo/train.py KIND --speech runs/speech --out runs/zoo/KIND --minutes 6 [--seed 1] [--set width=64]
    python examples/zoo/train.py KIND ... --device cuda --batch 16 --judges 4

First against spectral distances alone, then against discriminators too, whose traces are what the zoo is for. Writes
OUT/config.json, OUT/log.jsonl, OUT/early.safetensors (before the discriminators) and OUT/model.safetensors; if killed,
it resumes from OUT/state.pt, which is written every half minute. Minutes are those of the processor, on a GPU those of
the clock: the faster it is, the better the copies, so that equal seeds do not give equal weights.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from discriminators import Discriminators, distance_of_features, fooling_loss, telling_loss
from fakespan.errors import FakespanError
from fakespan.files import replacing, write_text
from kinds import PRESETS, build, family_of, find_preset, parse_settings
from losses import SpectralLoss
from utterances import Segments, find_utterances

__all__ = ["Plan", "Trainer", "main", "train"]

_KEEP_EVERY_S = 30.0
_PENALTIES = {"commitment": 0.25, "flow": 4.0}


@dataclass(frozen=True, slots=True)
class Plan:
    """How one system is trained. `alone` is the share of the time without discriminators."""

    kind: str
    settings: dict[str, Any]
    minutes: float = 6.0
    seed: int = 1
    adversarial: bool = True
    alone: float = 0.4
    n_batch: int = 4
    n_samples: int = 10_240
    n_judged: int = 6_400
    rate: float = 1.5e-3
    judges: int = 1  # how many times wider than usual the discriminators are
    device: str = "cpu"
    bfloat16: bool = True
    n_steps: int = 1_000_000_000  # ends sooner than the minutes do, for tests


class Trainer:
    """The networks and optimisers of one plan, and how long they have been trained."""

    def __init__(self, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.net, self.judges = build(plan.kind, plan.settings), Discriminators(scale=plan.judges)
        self.loss = SpectralLoss()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), plan.rate, betas=(0.8, 0.99), weight_decay=1e-3)
        self.judging = torch.optim.AdamW(self.judges.parameters(), 5e-4, betas=(0.8, 0.99), weight_decay=1e-3)
        self.n_samples = plan.n_samples // self.net.hop * self.net.hop
        self.step, self.spent_s = 0, 0.0

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, max(self.spent_s / (60 * self.plan.minutes), self.step / self.plan.n_steps))

    @property
    def judged(self) -> bool:
        """Whether the discriminators are at work."""
        return self.plan.adversarial and self.progress >= self.plan.alone

    def learn(self, real: Tensor) -> dict[str, float]:
        """One step on (B, N)."""
        begun = self._now_s()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.bfloat16):
            copy = self.net(real)
        spectral = self.loss(copy.sound, real)
        total = spectral + sum(_PENALTIES[name] * value for name, value in copy.penalties.items())
        said = {"spectral": spectral.item()} | {name: value.item() for name, value in copy.penalties.items()}
        if self.judged:
            total = total + self._against_judges(copy.sound, real, said)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        self.spent_s += self._now_s() - begun
        return said

    def _now_s(self) -> float:
        return time.process_time() if self.plan.device == "cpu" else time.perf_counter()

    def _rate(self) -> float:
        """A short rise, a cosine's fall to a tenth, and half of it where the discriminators judge."""
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * self.progress)) / 2
        return self.plan.rate * min(1.0, (self.step + 1) / 50) * fall * (0.6 if self.judged else 1.0)

    def _against_judges(self, fake: Tensor, real: Tensor, said: dict[str, float]) -> Tensor:
        """A step of the discriminators; what they then cost the generator."""
        start = int(torch.randint(real.shape[1] - self.plan.n_judged + 1, ()))
        part = slice(start, start + self.plan.n_judged)
        fake, real = fake[:, part], real[:, part]
        asked = self.judges.draw()
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.bfloat16):
            both = self.judges(torch.cat([real, fake.detach()]), asked)
            on_real, on_fake = ([[f[half] for f in fs] for fs in both] for half in _halves(len(real)))
            telling = telling_loss(on_real, on_fake)
        self.judging.zero_grad(set_to_none=True)
        telling.backward()
        self.judging.step()
        self.judges.requires_grad_(False)
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.bfloat16):
            heard = self.judges(fake, asked)
        self.judges.requires_grad_(True)
        fooling = fooling_loss(heard)
        features = distance_of_features([[f.detach() for f in fs] for fs in on_real], heard)
        said |= {"telling": telling.item(), "fooling": fooling.item(), "features": features.item()}
        return 0.3 * fooling + 2.0 * features

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
        parts = (self.net, self.judges, self.optimizer, self.judging)
        return {"parts": [part.state_dict() for part in parts], "step": self.step, "spent_s": self.spent_s}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        parts = (self.net, self.judges, self.optimizer, self.judging)
        for part, held in zip(parts, state["parts"], strict=True):
            part.load_state_dict(held)
        self.step, self.spent_s = state["step"], state["spent_s"]


def train(plan: Plan, segments: Segments, out: Path, name: str, start: Path | None = None) -> Path:
    """Train by the plan, from the weights in `start` where given, or go on; gives the path of the trained weights."""
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(plan)
    _write_config(out, plan, trainer.net, name)
    state = out / "state.pt"
    if state.exists():
        trainer.restore(torch.load(state, map_location=plan.device, weights_only=True))
    elif start is not None:
        trainer.net.load_state_dict(load_file(start, device=plan.device), strict=False)
    kept_s, early = trainer.spent_s, out / "early.safetensors"
    while trainer.progress < 1:
        said = trainer.learn(segments.batch(plan.n_batch, trainer.n_samples).to(plan.device))
        if trainer.judged and not early.exists():
            _save(trainer.net, early)
        if trainer.spent_s - kept_s > _KEEP_EVERY_S or trainer.progress >= 1:
            kept_s = trainer.spent_s
            with replacing(state) as part:
                torch.save(trainer.state(), part)
            _log(out, {"step": trainer.step, "spent_s": round(trainer.spent_s, 1)} | said)
    _save(trainer.net, out / "model.safetensors")
    return out / "model.safetensors"


def _halves(n: int) -> tuple[slice, slice]:
    return slice(0, n), slice(n, 2 * n)


def _save(net: nn.Module, path: Path) -> None:
    with replacing(path) as part:
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, part)


def _write_config(out: Path, plan: Plan, net: nn.Module, name: str) -> None:
    config = {
        "name": name,
        "kind": plan.kind,
        "family": family_of(plan.kind, plan.settings),
        "settings": plan.settings,
        "n_parameters": sum(one.numel() for one in net.parameters()),
        "minutes": plan.minutes,
        "seed": plan.seed,
    }
    write_text(out / "config.json", json.dumps(config, indent=1) + "\n")


def _log(out: Path, entry: dict[str, float]) -> None:
    rounded = {name: round(value, 4) for name, value in entry.items()}
    print(json.dumps(rounded), flush=True)
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(rounded) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("kind", metavar="KIND", help=", ".join(PRESETS))
    parser.add_argument("--speech", type=Path, required=True, metavar="INDEX_OR_FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=6.0, help="of the processor; of the clock on a GPU")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool-minutes", type=float, default=60.0, help="of speech that are read")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the kind")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=4, help="stretches of 0.64 s a step")
    parser.add_argument("--judges", type=int, default=1, help="width of the discriminators, times that for a processor")
    given = parser.parse_args(arguments)
    torch.set_default_device(given.device)
    try:
        preset = find_preset(given.kind)
        settings = preset.settings | parse_settings(given.set)
        sizes = {"n_batch": given.batch, "judges": given.judges, "device": given.device}
        plan = Plan(preset.kind, settings, given.minutes, given.seed, preset.adversarial, **sizes)
        segments = Segments(find_utterances(given.speech, min_bw_hz=6500), given.pool_minutes, given.seed)
        train(plan, segments, given.out, given.kind)
    except FakespanError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
