"""A data set of nobody's: what a contributor writes to add one ("How to add" in ARCHITECTURE.md), loader and tiny set.

clips.tsv holds a line for each clip, name, split, seconds, and begin and end of the forged span in the picture if any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from datasets import write_forged
from fakespan.data.entries import Reading, Unusable, collect, read_text, segment, split_of, tidy_name
from fakespan.data.loaders import Loader
from fakespan.errors import DataError
from fakespan.types import Sample


def read(root: Path) -> Reading:
    """The clips of the set. Raises DataError when there is no clips.tsv."""
    path, reading = root / "clips.tsv", Reading()
    if not path.is_file():
        raise DataError(root, expected="clips.tsv", got="none", remedy="give the folder that holds it")
    lines = [line.split("\t") for line in read_text(path).splitlines()]
    collect(reading, lines, partial(_sample, root), path.name, itemgetter(0))
    return reading


def _sample(root: Path, cells: list[str], _: Reading) -> Sample:
    raw, split, duration_s, *span_s = cells
    name = tidy_name(raw)
    try:
        segments = (segment(float(span_s[0]), float(span_s[1]), "visual"),) if span_s[:1] not in ([], [""]) else ()
    except ValueError as error:
        raise Unusable("span", str(error)) from None
    return Sample(name, root / name, split_of(split), float(duration_s), segments)


LOADER = Loader(read, faces="whole", has_audio=False)
COUNTS = {("train", "real"): 1, ("train", "visual"): 1, ("test", "visual"): 1}


def make(root: Path) -> Path:
    """A tiny set: three clips of a second."""
    rows = [("a/real.mp4", "train", []), ("a/fake.mp4", "train", [(0.2, 0.6)]), ("fake.mp4", "test", [(0.4, 0.8)])]
    lines = []
    for k, (name, split, spans) in enumerate(rows):
        write_forged(root / name, spans, "visual" if spans else "real", 1.0, seed=k)
        begin, end = spans[0] if spans else ("", "")
        lines.append(f"{name}\t{split}\t1.0\t{begin}\t{end}\n")
    (root / "clips.tsv").write_text("".join(lines), encoding="utf-8")
    return root


def edit(root: Path, rename: Callable[[str], str], extra: Mapping[str, Any]) -> None:
    """Other names, and more cells in each line."""
    lines = [line.split("\t") for line in (root / "clips.tsv").read_text(encoding="utf-8").splitlines()]
    lines = [[rename(name), *cells, *map(str, extra.values())] for name, *cells in lines]
    (root / "clips.tsv").write_text("".join("\t".join(cells) + "\n" for cells in lines), encoding="utf-8")
