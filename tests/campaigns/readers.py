"""Damages files that fakespan reads, other than media, and opens each: only a result or one typed line may come out.

`python tests/campaigns/readers.py --files 2000 --seed 1` prints a line for each kind, and each file that did otherwise.
Every file gets two seconds of CPU time and 1.5 GB. Damage: bits flipped, cut, blocks doubled, removed or swapped, and
numbers of text replaced by extreme ones.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from campaigns.damage import cut, damaged, doubled, extreme, flipped, removed, swapped
from campaigns.folders import in_place, map_kinds, store_kinds
from fakespan.errors import FakespanError
from golden_cases import TINY

MOST_BYTES, MOST_CPU_S = 1_500_000_000, 2.0
DAMAGES = (flipped, cut, doubled, removed, swapped, extreme, extreme)

Reader = Callable[[Path], object]


def too_long(signal_number: int, frame: object) -> NoReturn:
    raise TimeoutError(f"more than {MOST_CPU_S} s of CPU time")


def outcome(read: Reader, path: Path) -> str:
    """ "read", "refused", or what else happened."""
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    try:
        read(path)
    except FakespanError as error:
        return "refused" if "\n" not in str(error) and len(str(error)) < 1500 else f"a long message: {str(error)[:200]}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read"


def campaign(kinds: Mapping[str, tuple[Path, Reader]], n_files: int, seed: int) -> dict[str, Counter[str]]:
    """For each kind of file, how often each outcome came; a kind is a good file and its reader."""
    signal.signal(signal.SIGPROF, too_long)
    found: dict[str, Counter[str]] = {}
    for name, (good, read) in kinds.items():
        content, path = good.read_bytes(), good.with_stem(good.stem + "_damaged")
        assert outcome(read, good) == "read", f"{name}: {outcome(read, good)}"
        found[name] = Counter()
        for k in range(n_files):
            path.write_bytes(damaged(content, random.Random(f"{seed} {name} {k}"), DAMAGES))
            found[name][outcome(read, path)] += 1
    return found


def kinds_of(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """A good file of each kind, made on the spot, and what opens it."""
    from datasets import avdeepfake1m_entry, lavdf_entry, write_json
    from fakespan.checkpoint import load_checkpoint, load_head, save_checkpoint, save_head
    from fakespan.models import build_model
    from fakespan.report import export
    from fakespan.scoring.proposals import Proposals, read_proposals
    from fakespan.scoring.proposals_parquet import write_parquet
    from fakespan.scoring.truth import read_truth
    from golden_cases import GOLDEN
    from heads import a_head
    from scans import forged

    lavdf = [
        lavdf_entry(f"dev/{k}.mp4", "dev", kind, None, 2.0, seed=k) for k, kind in enumerate(("real", "audio", "both"))
    ]
    avdf = [avdeepfake1m_entry("val", "both", f"id{k}", 2.0, seed=k) for k in range(3)]
    found = {entry["file"]: [[0.9, 10.0, 20.0], [0.5, 1.0, 30.0]] for entry in lavdf}
    save_checkpoint(folder / "ours.safetensors", build_model(TINY), name="tiny", model=TINY)
    save_head(folder / "head.safetensors", a_head())
    (folder / "published.ckpt").write_bytes((GOLDEN / "lightning_batfd_tiny.ckpt").read_bytes())
    export.write_json(forged(), folder / "result.json")
    write_parquet(folder / "proposals.parquet", Proposals.of(found))
    return {
        "model files": (folder / "ours.safetensors", load_checkpoint),
        "published checkpoints": (folder / "published.ckpt", load_checkpoint),
        "verdict heads": (folder / "head.safetensors", load_head),
        "results": (folder / "result.json", rendered),
        "metadata of LAV-DF": (write_json(folder / "lavdf.json", lavdf), read_truth),
        "metadata of AV-Deepfake1M": (write_json(folder / "avdf.json", avdf), read_truth),
        "folders of LAV-DF": (write_json(folder / "set" / "metadata.json", lavdf), in_place("metadata.json", loaded)),
        "proposals, JSON": (
            write_json(folder / "proposals.json", found),
            lambda path: scored(path, folder / "lavdf.json"),
        ),
        "proposals, Parquet": (folder / "proposals.parquet", read_proposals),
        **store_kinds(folder),
        **map_kinds(folder),
    }


def rendered(path: Path) -> None:
    """A saved result in every format that needs no further library."""
    from fakespan.report import export, html, timeline

    scan = export.read_json(path)
    for render in (export.json_text, export.csv_text, export.vtt_text, html.render_html, timeline.svg):
        render(scan)


def scored(path: Path, metadata: Path) -> None:
    from fakespan.scoring.score import read_both, score

    found, truth = read_both(path, metadata)
    score(found, truth)


def loaded(folder: Path) -> None:
    """The set in a folder."""
    from fakespan.data.manifest import load_manifest

    load_manifest(f"lavdf:{folder}")


def main() -> int:
    """Run the campaign; 1 if anything else than a result or a typed line came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="", help="only kinds whose name contains this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = {name: kind for name, kind in kinds_of(Path(folder)).items() if options.kind in name}
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))
        found = campaign(kinds, options.files, options.seed)
    for name, outcomes in found.items():
        print(f"{name}: {outcomes.pop('read', 0)} read, {outcomes.pop('refused', 0)} refused, {outcomes.total()} else")
        for what, n in outcomes.most_common():
            print(f"  {n} x {what}")
    return 1 if any(outcomes.total() for outcomes in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
