"""Copy-synthesis: send speech through a system of the zoo, sample for sample where it was.

    python examples/zoo/copysyn.py --model runs/zoo/hifi --speech INDEX_OR_FOLDER --out FOLDER --minutes 12

writes OUT/00000.flac ... (16 kHz, level and length of the real utterance), OUT/index.jsonl (real, twin, system, kind,
family, speaker, seconds, lsd_db; `twin` is relative to OUT), OUT/summary.json, and OUT/DONE last. One trained network
gives several systems: `--checkpoint early` is the network before its discriminators, `--clock 22000` lets it hear the
speech at another sample rate than its own, which moves its traces, and `--set n_codebooks=2` (codecs) or
`--set n_steps=2` (flow) takes less than all of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import zlib
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from fakespan.errors import CheckpointError, FakespanError
from fakespan.files import write_text
from kinds import build, parse_settings, read_config
from spectra import SAMPLE_RATE, log_spectral_distance_db
from utterances import Sound, Utterance, find_utterances, mixed, read_level, resampled, write_flac

__all__ = ["System", "Twin", "copy_of", "copy_speech", "load_system", "main"]

_SHORTEST_S, _LONGEST_S = 0.6, 15.0


@dataclass(frozen=True, slots=True)
class Twin:
    """A line of index.jsonl: the same utterance, genuine and copied."""

    real: str
    twin: str
    system: str
    kind: str
    family: str
    speaker: str
    seconds: float
    lsd_db: float


@dataclass(frozen=True, slots=True)
class System:
    """A trained network and the way it is used. `options` go to its call, `clock_hz` is what it hears 16 kHz as."""

    name: str
    kind: str
    family: str
    net: nn.Module
    options: dict[str, Any] = field(default_factory=dict)
    clock_hz: int = SAMPLE_RATE


def load_system(
    folder: Path,
    name: str | None = None,
    checkpoint: str = "model",
    options: dict[str, Any] | None = None,
    clock_hz: int = SAMPLE_RATE,
) -> System:
    """A system that `train.py` trained. Raises CheckpointError where there is none."""
    config = read_config(folder)
    net = build(config["kind"], config["settings"]).eval()
    weights = folder / f"{checkpoint}.safetensors"
    if not weights.is_file():
        raise CheckpointError(weights, expected="trained weights", got="no file", remedy="train it to its end")
    net.load_state_dict(load_file(weights, device=str(torch.get_default_device())))
    return System(name or config["name"], config["kind"], config["family"], net, options or {}, clock_hz)


def copy_of(system: System, sound: Sound) -> Sound:
    """The copy of a sound at LEVEL, of the same length, float32 (n,)."""
    ratio = Fraction(system.clock_hz, SAMPLE_RATE)
    played = resampled(sound, ratio)
    hop = int(system.net.hop)
    before = 4 * hop
    padded = np.pad(played, (before, before + -len(played) % hop))
    with torch.inference_mode():
        heard = torch.from_numpy(padded).to(torch.get_default_device())
        copy = system.net(heard[None], **system.options).sound[0].float().cpu().numpy()
    return resampled(copy[before : before + len(played)], 1 / ratio)[: len(sound)]


def copy_speech(
    system: System, utterances: list[Utterance], out: Path, minutes: float, seed: int | None = None
) -> Path:
    """Copy utterances of all speakers in turn until there are `minutes` of them; gives the path of the index.

    Which ones is drawn by `seed`, of its own for each system's name unless given. What is complete stays as it is.
    """
    index = out / "index.jsonl"
    if (out / "DONE").exists():
        return index
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(zlib.crc32(system.name.encode()) if seed is None else seed)
    twins: list[Twin] = []
    for one in mixed(utterances, torch.initial_seed()):
        if sum(twin.seconds for twin in twins) >= 60 * minutes:
            break
        twin = _twin(system, one, out, f"{len(twins):05}.flac")
        twins += [twin] if twin else []
    write_text(index, "".join(json.dumps(asdict(twin)) + "\n" for twin in twins))
    write_text(out / "summary.json", json.dumps(summary(system, twins), indent=1) + "\n")
    write_text(out / "DONE", "")
    return index


def summary(system: System, twins: list[Twin]) -> dict[str, Any]:
    """What was made, and how far from its originals."""
    distances = [twin.lsd_db for twin in twins] or [0.0]
    return {
        "system": system.name,
        "kind": system.kind,
        "family": system.family,
        "n_utterances": len(twins),
        "n_speakers": len({twin.speaker for twin in twins}),
        "minutes": round(sum(twin.seconds for twin in twins) / 60, 2),
        "lsd_db_mean": round(statistics.fmean(distances), 2),
        "lsd_db_median": round(statistics.median(distances), 2),
    }


def _twin(system: System, one: Utterance, out: Path, name: str) -> Twin | None:
    """Copy one utterance; None where it is silent or of an unfit length."""
    sound, gain = read_level(one.path)
    seconds = len(sound) / SAMPLE_RATE
    if not gain or not _SHORTEST_S <= seconds <= _LONGEST_S:
        return None
    copy = copy_of(system, sound)
    copy *= np.sqrt(np.mean(sound**2) / max(float(np.mean(copy**2)), 1e-9))
    distance = log_spectral_distance_db(torch.tensor(sound), torch.tensor(copy))
    write_flac(out / name, copy / np.float32(gain))
    about = (system.name, system.kind, system.family, one.speaker)
    return Twin(str(one.path.resolve()), name, *about, round(seconds, 3), round(distance, 2))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="what train.py wrote")
    parser.add_argument("--speech", type=Path, required=True, metavar="INDEX_OR_FOLDER")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--name", help="of the system; the trained network's unless given")
    parser.add_argument("--seed", type=int, help="which utterances are copied; of the name unless given")
    parser.add_argument("--checkpoint", choices=("model", "early"), default="model")
    parser.add_argument("--clock", type=int, default=SAMPLE_RATE, metavar="HZ")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="n_codebooks or n_steps")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    torch.set_default_device(given.device)
    try:
        system = load_system(given.model, given.name, given.checkpoint, parse_settings(given.set), given.clock)
        utterances = find_utterances(given.speech, min_bw_hz=3800)
        index = copy_speech(system, utterances, given.out, given.minutes, given.seed)
    except FakespanError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print((index.parent / "summary.json").read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
