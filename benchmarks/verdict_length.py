"""What the length of a map's spans is worth for one label a video: the same network, steps and clips with three maps.

    python benchmarks/verdict_length.py --out RESULTS.json [--work DIR] [--data dfdc:SET | store:STORE] [--steps 240]
        [--seeds 1 2 3] [--device auto|cpu|cuda] [--precision 32|bf16] [--workers 1] [--variants pad40 ...]

For every seed `small` (configs/small_dfdc.toml) is trained with the pad clock and D = 40 (pad40), with the pad clock
and D = 256 (pad256), and with the stretch clock and T = D = 100 (stretch100); nothing else differs. The losses are
those of the maps and the frames: loss.video is off, since it asks the top of a map for 1 whatever D; the variant
pad40+video has it. Each localizer gives the maps of the three splits, a head is fitted on train and validation, and
rated on the test.

Without --data `examples/make_dfdc.py` makes a set of --count clips in WORK/set; a set is decoded once, into WORK/store.
What is finished in WORK is not done twice, and numbers are written after every variant, so a killed run loses little.
The table goes to the terminal, all numbers to --out. Intervals are 95 %, from 1,000 resamples of the test videos.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.boundary_map import iou_map_target, peak
from fakespan.checkpoint import save_head
from fakespan.data.prepare import prepare
from fakespan.files import write_text
from fakespan.localizer import load_model
from fakespan.metrics.binary import balanced_accuracy
from fakespan.train import load_run_config, train
from fakespan.train.data import set_data
from fakespan.verdict.fit import fit_head
from fakespan.verdict.maps import MapOptions, make_split_maps, open_maps
from fakespan.verdict.rate import rate_maps

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "small_dfdc.toml"
SPLITS = ("train", "validation", "test")
PAD = ("model.clock=pad", "model.n_frames=512")
VARIANTS = {
    "pad40": (*PAD, "model.max_duration=40"),
    "pad256": (*PAD, "model.max_duration=256"),
    "stretch100": (),
    "pad40+video": (*PAD, "model.max_duration=40", "loss.video=0.3"),
}
THREE = ("pad40", "pad256", "stretch100")
WAYS = ("maximum", "mlp")


def main() -> None:
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    source = store_of(options)
    print(f"{source}; {options.steps} steps, device {options.device}, precision {options.precision}", flush=True)
    found: list[dict[str, Any]] = []
    for seed in options.seeds:
        for name in options.variants:
            found.append(measured(name, seed, source, options))
            write_text(options.out, json.dumps({"settings": settings(options), "results": found}, indent=1) + "\n")
            print(line(found[-1]), flush=True)
    print("\n" + table(found))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True, help="JSON file of all numbers")
    parser.add_argument("--work", type=Path, default=Path("runs/verdict-length"), help="folder of everything else")
    parser.add_argument("--data", help="dfdc:SET or store:STORE; made unless given")
    parser.add_argument("--count", type=int, default=96, help="clips of the set that is made")
    parser.add_argument("--size", type=int, default=112, help="pixels of its pictures")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=THREE)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    parser.add_argument("--workers", type=int, default=1, help="processes that read clips")
    return parser.parse_args()


def settings(options: argparse.Namespace) -> dict[str, Any]:
    kept = ("data", "count", "size", "steps", "seeds", "device", "precision")
    return {name: getattr(options, name) for name in kept}


def store_of(options: argparse.Namespace) -> str:
    """The prepared store of the set that is named, or made."""
    source = options.data
    if source is None:
        program, folder = ROOT / "examples" / "make_dfdc.py", options.work / "set"
        command = [sys.executable, program, folder, "--count", options.count, "--size", options.size]
        subprocess.run([*map(str, command), "--workers", str(max(1, options.workers))], check=True)
        source = f"dfdc:{folder}"
    if source.startswith("store:"):
        return source
    prepare(source, options.work / "store", workers=max(1, options.workers))
    return f"store:{options.work / 'store'}"


def measured(name: str, seed: int, source: str, options: argparse.Namespace) -> dict[str, Any]:
    """All numbers of one variant; read where they are there already."""
    folder = options.work / f"{name}-{seed}-{options.steps}-{options.precision}"
    if (folder / "numbers.json").is_file():
        known = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
        if known["data"] != source:
            raise SystemExit(f"{folder} holds numbers of {known['data']}, not of {source}: give another --work")
        return known
    begin = time.monotonic()
    model = trained(name, seed, source, folder, options)
    training_s = time.monotonic() - begin
    localizer = load_model(str(model), options.device)
    for split in SPLITS:
        make_split_maps(localizer, source, split, folder / split, MapOptions(n_workers=options.workers))
    maps_s = time.monotonic() - begin - training_s
    head = fit_head(open_maps(folder / "train"), open_maps(folder / "validation"))
    save_head(folder / "head.safetensors", head)
    test = open_maps(folder / "test")
    rating = rate_maps(test, head, n_bootstrap=1000)
    ways = {way["way"]: way for way in rating.to_dict()["ways"]}
    numbers = {"variant": name, "data": source, "seed": seed, "clips": rating.n_clips, "fake": rating.n_fake}
    seconds = {"training": training_s, "maps": maps_s, "all": time.monotonic() - begin}
    numbers |= {"ways": ways, "seconds": {k: round(s, 1) for k, s in seconds.items()}, **scores_of(test)}
    write_text(folder / "numbers.json", json.dumps(numbers, indent=1) + "\n")
    return numbers


def trained(name: str, seed: int, source: str, folder: Path, options: argparse.Namespace) -> Path:
    """The localizer; a training that was killed goes on."""
    changes = ["loss.video=0", *VARIANTS[name], f"train.seed={seed}", f"train.n_steps={options.steps}"]
    changes += [f"train.warmup_steps={max(1, options.steps // 8)}", f'train.precision="{options.precision}"']
    run = load_run_config(CONFIG, [*changes, f"train.n_workers={options.workers}"])
    return train(run, set_data(source, run), folder / "run", device=options.device, resume=True)


def scores_of(test: Any) -> dict[str, Any]:
    """What the maps reach, of fakes and of real clips; what they could reach; and a threshold that nobody fitted."""
    scores = np.array([peak(test.fused(k)) for k in range(len(test))])
    forged, model = test.labels == 1, test.header.model
    n = test.entries[0].n_frames
    target = iou_map_target([(0, n / 25)], n, max(n, model.n_frames), model.max_duration)
    return {
        "largest_target": round(float(target.max()), 3),
        "median_peak_fake": round(float(np.median(scores[forged])), 3),
        "median_peak_real": round(float(np.median(scores[~forged])), 3),
        "balanced_accuracy_at_half": balanced_accuracy(scores, forged, 0.5),
    }


def line(found: dict[str, Any]) -> str:
    aucs = ", ".join(f"{way} AUC {interval(found['ways'][way], 'AUC')}" for way in WAYS)
    return f"{found['variant']} seed {found['seed']}: {aucs}; {found['seconds']['all']:.0f} s"


def table(found: list[dict[str, Any]]) -> str:
    """Markdown, percent: a row for each variant and seed."""
    rated = (f"{way}: {what}" for way in WAYS for what in ("AUC", "balanced accuracy"))
    columns = ("map", "seed", "target", "fakes", "real", "at 0.5", *rated, "seconds")
    rows = [" | ".join(columns), " | ".join(["---"] * len(columns))]
    for f in found:
        cells = [f["variant"], str(f["seed"])]
        cells += [f"{f[key]:.2f}" for key in ("largest_target", "median_peak_fake", "median_peak_real")]
        cells.append(f"{100 * f['balanced_accuracy_at_half']:.0f}")
        cells += [interval(f["ways"][way], name) for way in WAYS for name in ("AUC", "balanced accuracy")]
        rows.append(" | ".join([*cells, f"{f['seconds']['all']:.0f}"]))
    return "\n".join(f"| {row} |" for row in rows)


def interval(way: dict[str, Any], name: str) -> str:
    low, high = (100 * end for end in way["intervals"][name])
    return f"{100 * way['values'][name]:.0f} ({low:.0f}-{high:.0f})"


if __name__ == "__main__":
    main()
