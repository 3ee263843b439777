"""The whole zoo: train every system one after the other, and copy speech with each and with its variants.

    python examples/zoo/make_zoo.py --speech runs/speech --out runs/zoo [--minutes 6] [--copy 12] [--only hifi codec]
    python examples/zoo/make_zoo.py ... --device cuda --batch 16 --judges 4

OUT/KIND holds the trained networks, OUT/twins/SYSTEM what each copied, OUT/table.md what is there. Killed, it goes on
where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from copysyn import copy_speech, load_system
from fakespan.errors import FakespanError
from fakespan.files import write_text
from kinds import PRESETS, find_preset
from spectra import SAMPLE_RATE
from train import Plan, train
from utterances import Segments, find_utterances

__all__ = ["Variant", "main", "table", "variants"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to use a trained network that makes it another system."""

    suffix: str
    checkpoint: str = "model"
    options: dict[str, Any] = field(default_factory=dict)
    clock_hz: int = SAMPLE_RATE


def variants(name: str) -> list[Variant]:
    """All ways to use the network of a preset; the plain one first."""
    preset = PRESETS[name]
    ways = [Variant(""), Variant("-22k", clock_hz=22_000), Variant("-19k", clock_hz=19_000)]
    if preset.adversarial:
        ways.append(Variant("-early", "early"))
    if preset.kind == "codec" or preset.settings.get("n_codebooks"):
        ways += [Variant("-1cb", options={"n_codebooks": 1}), Variant("-3cb", options={"n_codebooks": 3})]
    if preset.kind == "flow":
        ways += [Variant("-2st", options={"n_steps": 2}), Variant("-12st", options={"n_steps": 12})]
    return ways


def make(  # noqa: PLR0917 - one system, from speech to copies
    name: str, out: Path, speech: Path, minutes: float, copy_minutes: float, sizes: Mapping[str, Any] | None = None
) -> None:
    """Train one preset and copy speech with it and its variants; `sizes` are fields of `train.Plan`."""
    preset, folder = find_preset(name), out / name
    heard, copied = (find_utterances(speech, bw_hz) for bw_hz in (6500, 3800))
    number = 1 + list(PRESETS).index(name)
    if not (folder / "model.safetensors").is_file():
        plan = Plan(preset.kind, preset.settings, minutes, number, preset.adversarial, **(sizes or {}))
        train(plan, Segments(heard, 60.0, number), folder, name)
    for way in variants(name):
        system = load_system(folder, name + way.suffix, way.checkpoint, way.options, way.clock_hz)
        share = 2 / 3 if way.suffix else 1.0
        index = copy_speech(system, copied, out / "twins" / system.name, share * copy_minutes)
        print(index, flush=True)


def table(out: Path) -> str:
    """The trained networks that lie in OUT, and how far the copies of each of their systems are from the originals."""
    lines = ["| network | kind | M parameters | minutes | log-spectral distance of each system, dB |", "|" + "---|" * 5]
    for config in (json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*/config.json"))):
        name = config["name"]
        ways = variants(name) if name in PRESETS else [Variant("")]
        said = [_distance(out / "twins" / (name + way.suffix), way.suffix) for way in ways]
        size = f"{config['n_parameters'] / 1e6:.2f}"
        facts = (name, config["kind"], size, str(config["minutes"]), ", ".join(filter(None, said)))
        lines.append("| " + " | ".join(facts) + " |")
    return "\n".join(lines) + "\n"


def _distance(folder: Path, suffix: str) -> str:
    path = folder / "summary.json"
    return f"{suffix} {json.loads(path.read_text(encoding='utf-8'))['lsd_db_mean']}".strip() if path.is_file() else ""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--speech", type=Path, required=True, metavar="INDEX_OR_FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training, a system; see train.py")
    parser.add_argument("--copy", type=float, default=12.0, help="minutes of speech that a system copies")
    parser.add_argument("--only", nargs="+", default=list(PRESETS), metavar="KIND")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=4, help="stretches of 0.64 s a step of training")
    parser.add_argument("--judges", type=int, default=1, help="width of the discriminators, times that for a processor")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the networks are too small for more
    torch.set_default_device(given.device)
    sizes = {"n_batch": given.batch, "judges": given.judges, "device": given.device}
    try:
        for name in given.only:
            make(name, given.out, given.speech, given.minutes, given.copy, sizes)
            write_text(given.out / "table.md", table(given.out))
    except FakespanError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
