"""What the corrected sampling is worth: two networks that differ in nothing but where a proposal looks.

    python benchmarks/boundary_sampling.py --out DIR [--data SET] [--seeds 0 1 2] [--steps N] [--write DOC] [--quick]

For every seed a small network of BA-TFD's family is trained twice on the same set, with the same first weights, clips,
order and steps, with `reference` and with `bmn` sampling (`fakespan.models.sampling`). Every network's maps are decoded
both ways (`boundary_map.decode`), and so are the targets themselves, as the maps of a network that makes no error.
Nothing is stopped early or chosen by a held-out clip; the clips rated are those of validation and test.

SET is a folder in LAV-DF's layout; without one `examples/make_set.py` makes it in DIR/set. DIR/SEED-SAMPLING holds the
state of each training, so that a killed run goes on where it was (what was made with other options is made anew), its
losses and its numbers; DIR/results.json holds all numbers. `--write` puts the tables between the two marks of a
document. One core; see docs/boundary-sampling.md for how long it takes and what came out.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fakespan.boundary_map import decode, to_seconds
from fakespan.config import FPS, ModelConfig, Sampling
from fakespan.data.batch import Batch, collate
from fakespan.data.clock import fit_clock
from fakespan.data.example import Example
from fakespan.data.sets import open_set
from fakespan.losses import LossWeights, Targets, localization_loss
from fakespan.metrics import average_precision, average_recall
from fakespan.models import build_model
from fakespan.segments import soft_nms

SAMPLINGS: tuple[Sampling, ...] = ("reference", "bmn")
DECODINGS = ("published", "aligned")
MAPS = ("fused", "visual", "audio")
METRICS = ("AP@0.5", "AP@0.75", "AP@0.95", "AR@10")
MARKS = ("<!-- results: begin -->", "<!-- results: end -->")
SAVE_EVERY = 40
Numbers = dict[str, dict[str, dict[str, float]]]  # map -> decoding -> metric, in percent


@dataclass(frozen=True)
class Recipe:
    """All that two trainings share."""

    steps: int = 320
    batch_size: int = 4
    learning_rate: float = 3e-3  # the highest: a tenth of the steps up to it, then along a cosine to 0
    n_frames: int = 150  # 6 s: what `reference` samples strays the further, the later a span begins
    max_duration: int = 25  # the longest forged word has 24.5 frames
    clips: int = 720  # of the set, when it is made here
    set_seed: int = 1
    threads: int = 1

    def model(self, sampling: Sampling) -> ModelConfig:
        """`small` at a third of its widths."""
        return ModelConfig(
            family="small",
            video_encoder="frames",
            audio_encoder="mel",
            n_frames=self.n_frames,
            max_duration=self.max_duration,
            sampling=sampling,
            n_features=64,
            video_widths=(8, 12, 16, 24),
            audio_widths=(12, 24, 32, 32),
            boundary_widths=(64, 32),
        )


QUICK = Recipe(steps=8, batch_size=4, n_frames=75, clips=24)


@dataclass(frozen=True)
class Clips:
    """The set in memory."""

    train: list[Example]
    held_out: list[Example]
    digest: str  # of its metadata: another set, another experiment


def load(folder: Path, recipe: Recipe) -> Clips:
    """Decode the set; clips longer than the network's are cut."""

    def read(split: str) -> list[Example]:
        clips = open_set(f"lavdf:{folder}", split)
        return [fit_clock(clips[k], "pad", recipe.n_frames) for k in range(len(clips))]

    metadata = next(path for name in ("metadata.min.json", "metadata.json") if (path := folder / name).exists())
    digest = hashlib.sha256(metadata.read_bytes()).hexdigest()[:16]
    return Clips(read("train"), read("validation") + read("test"), digest)


def make(folder: Path, recipe: Recipe) -> None:
    """Make the set, or what is missing of it."""
    program = Path(__file__).parents[1] / "examples" / "make_set.py"
    options = {"count": recipe.clips, "seed": recipe.set_seed, "seconds": recipe.n_frames / FPS, "size": 96}
    words = [word for name, value in options.items() for word in (f"--{name}", f"{value:g}")]
    order = [sys.executable, str(program), str(folder), *words, "--workers", str(recipe.threads)]
    subprocess.run(order, check=True, stdout=subprocess.DEVNULL)


def run(folder: Path, clips: Clips, recipe: Recipe, seed: int, sampling: Sampling) -> dict[str, Any]:
    """Train and rate one network, or read what came out before."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {**dataclasses.asdict(recipe), "set": clips.digest, "seed": seed, "sampling": sampling}
    result = folder / "result.json"
    if result.exists() and (known := json.loads(result.read_text(encoding="utf-8")))["about"] == about:
        return dict(known)
    torch.manual_seed(seed)
    network = build_model(recipe.model(sampling))  # sampling has no weights: both begin with the same
    losses, seconds = train(network, clips.train, recipe, folder / "state.pt", about)
    answer = {"about": about, "numbers": rate_network(network, clips.held_out, recipe)}
    answer |= {"parameters": sum(p.numel() for p in network.parameters()), "train_cpu_s": seconds, "losses": losses}
    write_json(result, answer)
    return answer


def train(
    network: nn.Module, clips: list[Example], recipe: Recipe, state: Path, about: dict[str, Any]
) -> tuple[list[float], float]:
    """Losses of all steps and the processor's seconds; goes on from `state` if it belongs to this training."""
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    losses, spent_s = resume(network, optimizer, state, about)
    seed = about["seed"]
    network.train()
    begin = time.process_time() - spent_s
    for step in range(len(losses), recipe.steps):
        torch.manual_seed(1_000_003 * (seed + 1) + step)  # dropout: the same for both samplings, and after a restart
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * warm_cosine(step, recipe.steps)
        chosen = [clips[k] for k in drawn(step, len(clips), recipe.batch_size, seed)]
        losses.append(train_step(network, optimizer, collate(chosen, recipe.n_frames, recipe.max_duration)))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            spent_s = time.process_time() - begin
            known = {"about": json.dumps(about), "losses": losses, "spent_s": spent_s}
            save(state, {**known, "network": network.state_dict(), "optimizer": optimizer.state_dict()})
            left_s = spent_s / len(losses) * (recipe.steps - len(losses))
            print(
                f"{state.parent.name}: step {step + 1}, loss {np.mean(losses[-SAVE_EVERY:]):.3f}, {left_s:.0f} s left"
            )
    return losses, spent_s


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    targets = Targets(**{field.name: getattr(batch, field.name) for field in dataclasses.fields(Targets)})
    loss = localization_loss(network(batch.video, batch.audio), targets, LossWeights(map_error="bce")).total
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def warm_cosine(step: int, n_steps: int) -> float:
    """Share of the highest learning rate."""
    n_warm = max(1, n_steps // 10)
    if step < n_warm:
        return (step + 1) / n_warm
    return 0.5 + 0.5 * math.cos(math.pi * (step - n_warm) / max(1, n_steps - n_warm))


def drawn(step: int, n_clips: int, batch_size: int, seed: int) -> list[int]:
    """Clips of a step: every epoch goes once through all, in an order of its own, short of an incomplete batch."""
    size = min(batch_size, n_clips)
    epoch, place = divmod(step, n_clips // size)
    order = np.random.default_rng([seed, epoch]).permutation(n_clips)
    return [int(k) for k in order[place * size : (place + 1) * size]]


def resume(
    network: nn.Module, optimizer: torch.optim.Optimizer, path: Path, about: dict[str, Any]
) -> tuple[list[float], float]:
    """Losses and seconds of the steps already done."""
    if not path.exists():
        return [], 0.0
    state = torch.load(path, weights_only=True)
    if state["about"] != json.dumps(about):
        return [], 0.0
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["losses"]), float(state["spent_s"])


def save(path: Path, state: dict[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    torch.save(state, beside)
    os.replace(beside, path)


@torch.no_grad()
def rate_network(network: nn.Module, clips: list[Example], recipe: Recipe) -> Numbers:
    """All numbers of one network."""
    network.eval()
    maps: dict[str, list[np.ndarray]] = {name: [] for name in MAPS}
    for clip in clips:
        batch = collate([clip], recipe.n_frames, recipe.max_duration)
        output = network(batch.video, batch.audio)
        for name in MAPS:
            maps[name].append(getattr(output, name)[0].numpy())
    return {name: rate(maps[name], clips, name) for name in MAPS}


def rate_targets(clips: list[Example], recipe: Recipe) -> Numbers:
    """What maps without any error get."""
    batches = [collate([clip], recipe.n_frames, recipe.max_duration) for clip in clips]
    return {name: rate([getattr(b, f"{name}_map")[0].numpy() for b in batches], clips, name) for name in MAPS}


def rate(maps: list[np.ndarray], clips: list[Example], which: str) -> dict[str, dict[str, float]]:
    """Decoding -> metrics in percent: of the fused map over all spans, of the others over their modality's own."""
    truth = {}
    for k, clip in enumerate(clips):
        spans = {"fused": clip.spans, "visual": clip.visual_spans, "audio": clip.audio_spans}[which]
        truth[str(k)] = np.array(spans).reshape(-1, 2)
    numbers = {}
    for decoding in DECODINGS:
        found = {
            str(k): to_seconds(soft_nms(decode(map_, len(clip.faces), decoding)), FPS)
            for k, (map_, clip) in enumerate(zip(maps, clips, strict=True))
        }
        precision = average_precision(found, truth, (0.5, 0.75, 0.95))
        values = [*precision.values(), average_recall(found, truth, [10])[10]]
        numbers[decoding] = {name: round(100 * value, 2) for name, value in zip(METRICS, values, strict=True)}
    return numbers


def tables(runs: list[dict[str, Any]], perfect: Numbers) -> str:
    """The results as Markdown."""
    about = runs[0]["about"]
    seeds = sorted({r["about"]["seed"] for r in runs})
    minutes = sum(r["train_cpu_s"] for r in runs) / 60
    lines = [
        f"{len(runs)} trainings ({runs[0]['parameters']:,} parameters, {about['steps']} steps of {about['batch_size']} "
        f"clips of {about['n_frames']} frames; seeds {', '.join(map(str, seeds))}), {minutes:.0f} minutes of one core. "
        "Percent; mean ± standard deviation over the seeds."
    ]
    for name in MAPS:
        lines += ["", f"**{name.capitalize()} map**", "", *_head("sampling", "decoding")]
        for sampling in SAMPLINGS:
            of = [r["numbers"][name] for r in runs if r["about"]["sampling"] == sampling]
            for decoding in DECODINGS:
                cells = [_spread([numbers[decoding][metric] for numbers in of]) for metric in METRICS]
                lines.append(f"| {sampling} | {decoding} | {' | '.join(cells)} |")
        for decoding in DECODINGS:
            cells = [f"{perfect[name][decoding][metric]:.1f}" for metric in METRICS]
            lines.append(f"| the targets | {decoding} | {' | '.join(cells)} |")
    lines += ["", "**Fused map, seed by seed**", "", *_head("seed", "sampling", "decoding")]
    for r in sorted(runs, key=lambda r: r["about"]["seed"]):
        for decoding, numbers in r["numbers"]["fused"].items():
            cells = [f"{numbers[metric]:.1f}" for metric in METRICS]
            lines.append(f"| {r['about']['seed']} | {r['about']['sampling']} | {decoding} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _head(*first: str) -> list[str]:
    columns = [*first, *METRICS]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _spread(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def insert(document: str, block: str) -> str:
    """The document with the block between its two marks. Raises ValueError when it has none."""
    begin, end = MARKS
    if begin not in document or end not in document:
        raise ValueError(f"the document lacks the lines {begin} and {end}")
    before, after = document.split(begin, maxsplit=1)[0], document.split(end, maxsplit=1)[1]
    return f"{before}{begin}\n{block}\n{end}{after}"


def write_json(path: Path, content: object) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)


def main(arguments: list[str] | None = None, recipe: Recipe | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="a set in LAV-DF's layout; made in OUT/set unless given")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help=f"of each training, {Recipe().steps} unless given")
    parser.add_argument("--frames", type=int, help=f"of a clip, {Recipe().n_frames} unless given; as many a step")
    parser.add_argument("--write", type=Path, help="a Markdown document with the two marks")
    parser.add_argument("--quick", action="store_true", help="a try of a minute: tiny set, few steps, the first seed")
    given = parser.parse_args(arguments)
    recipe = recipe or (QUICK if given.quick else Recipe())
    seeds = given.seeds[:1] if given.quick else given.seeds
    recipe = dataclasses.replace(recipe, steps=given.steps or recipe.steps)
    if given.frames:
        batch_size = max(1, round(recipe.batch_size * recipe.n_frames / given.frames))
        recipe = dataclasses.replace(recipe, n_frames=given.frames, batch_size=batch_size)
    torch.set_num_threads(recipe.threads)
    folder = given.data or given.out / "set"
    if not given.data:
        make(folder, recipe)
    clips = load(folder, recipe)
    print(f"{len(clips.train)} clips to train on, {len(clips.held_out)} held out")
    runs = [run(given.out / f"{s}-{kind}", clips, recipe, s, kind) for s in seeds for kind in SAMPLINGS]
    perfect = rate_targets(clips.held_out, recipe)
    write_json(given.out / "results.json", {"runs": runs, "targets": perfect})
    block = tables(runs, perfect)
    print(block)
    if given.write:
        given.write.write_text(insert(given.write.read_text(encoding="utf-8"), block), encoding="utf-8")


if __name__ == "__main__":
    main()
