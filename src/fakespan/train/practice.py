"""Real clips of a folder, split by patterns, and the practice forgeries made of them on the fly."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from fakespan.config import Framing
from fakespan.data.example import Example
from fakespan.errors import DataError
from fakespan.forge.bank import Clip, load_bank
from fakespan.forge.practice import PracticeConfig, make_example
from fakespan.train.config import ClipsConfig, RunConfig
from fakespan.types import Progress

__all__ = ["PracticeSet", "find_clips", "load_clips"]


LABEL_SUFFIXES = (".txt", ".align")  # of files that lie beside clips


class PracticeSet(Dataset[Example]):
    """Practice example number k, always the same; folders are drawn with equal chance, then a clip of the folder."""

    def __init__(
        self, clips: Sequence[Clip], practice: PracticeConfig, seed: int, n_examples: int, framing: Framing = "face"
    ) -> None:
        self.framing = framing
        self.clips, self.practice, self.seed, self.n_examples = clips, practice, seed, n_examples
        folders = [clip.name.split("/", maxsplit=1)[0] for clip in clips]
        self.groups = [np.flatnonzero([f == folder for f in folders]) for folder in sorted(set(folders))]

    def __len__(self) -> int:
        return self.n_examples

    def __getitem__(self, k: int) -> Example:
        rng = np.random.default_rng([self.seed, k])
        group = self.groups[rng.integers(len(self.groups))]
        return make_example(self.clips, int(rng.choice(group)), self.practice, rng, self.framing)


def find_clips(root: Path, clips: ClipsConfig) -> dict[str, list[Path]]:
    """The files of each split; what validation and test name is taken out of train.

    Raises:
        DataError: a pattern fits no file, or validation and test share one.
    """
    found: dict[str, list[Path]] = {}
    for split in ("train", "validation", "test"):
        paths: set[Path] = set()
        for pattern in getattr(clips, split):
            fits = {p for p in root.glob(pattern) if p.is_file() and p.suffix not in LABEL_SUFFIXES}
            if not fits:
                raise DataError(
                    root,
                    expected=f"files that fit {pattern!r} ({split})",
                    got="none",
                    remedy="give the folder of real clips, or change [clips] in the config",
                )
            paths |= fits
        found[split] = sorted(paths)
    shared = set(found["validation"]) & set(found["test"])
    if shared:
        raise DataError(
            min(shared), expected="a clip in one split only", got="it in two", remedy="change [clips] in the config"
        )
    held_out = {*found["validation"], *found["test"]}
    found["train"] = [p for p in found["train"] if p not in held_out]
    return found


def load_clips(
    run: RunConfig, root: Path, cache: Path, splits: Sequence[str], progress: Progress | None = None
) -> dict[str, list[Clip]]:
    """The decoded clips of these splits, from the cache folder where they have been decoded before.

    Raises:
        DataError: as `find_clips`; or a split has no file, or no file with a face and sound.
    """
    files = find_clips(root, run.clips)
    for split in splits:
        if not files[split]:
            raise DataError(
                root, expected=f"clips for {split}", got="none", remedy=f"name some under [clips] {split} in the config"
            )
    total, done = sum(len(files[split]) for split in splits), itertools.count(1)

    def with_progress(paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            yield path
            if progress:
                progress(next(done), total)

    return {split: load_bank(files[split], cache, with_progress) for split in splits}
