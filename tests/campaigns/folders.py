"""Prepared stores and stored maps for `readers`: one file of a folder is damaged, with old or with true checksums."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.types import Sample, Segment
from golden_cases import TINY

__all__ = ["Opened", "in_place", "map_kinds", "store_kinds"]

Opened = Callable[[Path], object]
PARTS = ("fused", "visual", "audio", "frames")


def in_place(name: str, read: Opened, mend: Opened | None = None) -> Opened:
    """Reads the folder of a file in which the file takes the place of `name`; `mend` makes checksums true before."""

    def opened(path: Path) -> None:
        named = path.with_name(name)
        if named != path:
            shutil.copyfile(path, named)
        if mend is not None:
            mend(path.parent)
        read(path.parent)

    return opened


def store_kinds(folder: Path) -> dict[str, tuple[Path, Opened]]:
    """The files of a store of two clips, and what opens them."""
    from datasets import make_lavdf
    from fakespan.data.prepare import prepare

    source = make_lavdf(folder / "lavdf", 2, 0, 0, seconds=0.4)
    prepare(f"lavdf:{source}", folder / "store")
    wanted = {
        "stores, description": ("store.json", None),
        "stores, index": ("shard-00000.jsonl", None),
        "stores, clips": ("shard-00000.tar", None),
        "stores, clips, true checksums": ("shard-00000.tar", store_checksums),
    }
    return {
        kind: (shutil.copytree(folder / "store", folder / kind) / name, in_place(name, store_read, mend))
        for kind, (name, mend) in wanted.items()
    }


def store_read(folder: Path) -> None:
    """Every clip of it, as training does, and all checksums."""
    from fakespan.data.store import Store, check_store

    check_store(folder)
    store = Store(folder)
    for sample in store.samples:
        store.read(sample)


def store_checksums(folder: Path) -> None:
    """An index whose checksums are those of the bytes that are there."""
    content, index = (folder / "shard-00000.tar").read_bytes(), folder / "shard-00000.jsonl"
    rows = [json.loads(line) for line in index.read_bytes().splitlines()]
    for row in rows:
        for name in ("faces", "sound"):
            offset, length, _ = row[name]
            row[name] = [offset, length, zlib.crc32(content[offset : offset + length])]
    index.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def map_kinds(folder: Path) -> dict[str, tuple[Path, Opened]]:
    """The files of the maps of four clips, and what opens them."""
    from fakespan.checkpoint import Checkpoint
    from fakespan.config import PostConfig
    from fakespan.data.example import Example
    from fakespan.data.sets import ClipSet
    from fakespan.localizer import Localizer
    from fakespan.models import build_model
    from fakespan.verdict.maps import make_maps

    forged = (Segment(0.0, 0.2, 1.0, "both"),)
    samples = [Sample(f"{k}.mp4", Path(f"{k}.mp4"), "train", 0.4, forged if k % 2 else ()) for k in range(4)]
    rng = np.random.default_rng(0)

    def noise(sample: Sample) -> Example:
        faces = rng.integers(0, 256, (10, 96, 96, 3), dtype=np.uint8)
        return Example(sample.name, faces, rng.normal(0, 0.1, 6400).astype(np.float32))

    localizer = Localizer(Checkpoint("tiny", TINY, PostConfig(), build_model(TINY)), "cpu")
    make_maps(ClipSet("dfdc:noise", tuple(samples), noise), localizer, folder / "maps")
    wanted = {
        "maps, description": ("maps.json", None),
        "maps, index": ("index.jsonl", None),
        "maps, index, true checksums": ("index.jsonl", line_checksums),
        "maps, scores": ("fused.f16", None),
        "maps, scores, true checksums": ("fused.f16", map_checksums),
    }
    return {
        kind: (shutil.copytree(folder / "maps", folder / kind) / name, in_place(name, maps_read, mend))
        for kind, (name, mend) in wanted.items()
    }


def maps_read(folder: Path) -> None:
    """All maps of it, and what a verdict makes of them."""
    from fakespan.models.verdict_head import HeadModel
    from fakespan.verdict.maps import open_maps
    from fakespan.verdict.ways import score_maps
    from heads import a_head

    model = HeadModel("tiny", "0" * 64, TINY.n_frames, TINY.max_duration, TINY.clock)
    maps = open_maps(folder)
    for k in range(len(maps)):
        for read in (maps.visual, maps.audio):
            read(k)
    score_maps(maps, a_head(model))


def line_checksums(folder: Path, change: Callable[[dict[str, Any]], object] = dict) -> None:
    """An index whose lines, as far as they are objects, have true checksums of their own."""
    lines = []
    for line in (folder / "index.jsonl").read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
            change(record)
            record.pop("line_crc32", None)
            check = zlib.crc32(json.dumps(record).encode())
            lines.append(json.dumps({**record, "line_crc32": check}).encode() + b"\n")
        except (ValueError, TypeError, AttributeError, RecursionError):
            lines.append(line)
    (folder / "index.jsonl").write_bytes(b"".join(lines))


def map_checksums(folder: Path) -> None:
    """An index with the checksums of the scores that are there; a file of another size is left to be found."""
    content = {part: (folder / f"{part}.f16").read_bytes() for part in PARTS}

    def change(record: dict[str, Any]) -> None:
        first, last = record["offset"], record["offset"] + record["n_frames"]
        width = {part: 2 * (2 if part == "frames" else TINY.max_duration) for part in PARTS}
        record["crc32"] = [zlib.crc32(content[part][first * width[part] : last * width[part]]) for part in PARTS]

    line_checksums(folder, change)
