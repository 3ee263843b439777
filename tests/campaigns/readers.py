"""Damages files that fakespan reads, other than media, and opens each: only a result or one typed line may come out.

`python tests/campaigns/readers.py --files 2000 --seed 1` prints a line for each kind, and each file that did otherwise.
Every file gets two seconds of CPU time and 1.5 GB. Damage: bits flipped, cut, blocks doubled, removed or swapped, and
numbers of text replaced by extreme ones.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the makers of the tests

from fakespan.errors import FakespanError
from golden_cases import TINY

MOST_BYTES, MOST_CPU_S = 1_500_000_000, 2.0
EXTREMES = (
    b"0",
    b"-1",
    b"1e999",
    b"1e-300",
    b"9" * 400,
    b"NaN",
    b"true",
    b"null",
    b'""',
    b"[]",
    b"{}",
    b"-0.0",
    b"1.5",
)

Reader = Callable[[Path], object]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one to four faults."""
    for _ in range(rng.randint(1, 4)):
        content = rng.choice((flipped, cut, doubled, removed, swapped, extreme, extreme))(content, rng)
    return content


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.3 else content


def doubled(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    return content[:last] + content[first:]


def removed(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    return content[:first] + content[last:]


def swapped(content: bytes, rng: random.Random) -> bytes:
    first, last = block(content, rng)
    middle = (first + last) // 2
    return content[:first] + content[middle:last] + content[first:middle] + content[last:]


def extreme(content: bytes, rng: random.Random) -> bytes:
    """A number or a word of JSON replaced; binary content is left as it is."""
    places = list(
        re.finditer(rb"(?<=[\[:, ])(-?\d[\d.eE+-]*|true|false|null|\"[^\"]{0,40}\")(?=[\],} ])", content[:200_000])
    )
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(EXTREMES) + content[place.end() :]


def block(content: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + rng.randint(1, 64))


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
            path.write_bytes(damaged(content, random.Random(f"{seed} {name} {k}")))
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
        "folders of LAV-DF": (write_json(folder / "set" / "metadata.json", lavdf), loaded),
        "proposals, JSON": (
            write_json(folder / "proposals.json", found),
            lambda path: scored(path, folder / "lavdf.json"),
        ),
        "proposals, Parquet": (folder / "proposals.parquet", read_proposals),
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


def loaded(path: Path) -> None:
    """The set in a folder of its own, in which this is the metadata."""
    from fakespan.data.manifest import load_manifest

    named = path.with_name("metadata.json")
    if named != path:
        named.write_bytes(path.read_bytes())
    load_manifest(f"lavdf:{path.parent}")


def main() -> int:
    """Run the campaign; 1 if anything else than a result or a typed line came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds = kinds_of(Path(folder))
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
