"""Manifests of the published data sets: `load_manifest("lavdf:ROOT")` returns the clips and their labels.

Contract: only metadata is read. No media file is opened or checked (`data.inspect` does that), and nothing is written
to the folder of the set. Names are unique and use forward slashes; splits are train, validation and test; times are in
seconds. Invalid entries are reported in `problems`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakespan.data.entries import SPLITS, Problem, Reading, Unusable, split_of
from fakespan.data.loaders import LOADERS
from fakespan.errors import DataError, UsageError
from fakespan.types import SUBSETS, Sample, Subset

__all__ = ["Manifest", "Problem", "is_labelled", "load_manifest"]


@dataclass(frozen=True)
class Manifest:
    """The clips of a data set, in the order of its metadata, and the problems found in it."""

    source: str  # as given, for instance "lavdf:/data/LAV-DF"
    kind: str
    root: Path
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...] = ()

    def choose(self, split: str | None = None, subset: Subset = "full", limit: int | None = None) -> tuple[Sample, ...]:
        """The samples of a split and subset, in the order of the set.

        Args:
            split: train, validation (or dev, val) or test; None for all.
            subset: "visual" excludes audio-only fakes, "audio" excludes visual-only fakes; real clips are in both.
            limit: only the first so many.

        Raises:
            UsageError: an unknown split or subset, or a limit below 1.
        """
        wanted = _split_name(split)
        if subset not in SUBSETS:
            expected = "full, visual or audio"
            raise UsageError("subset", expected=expected, got=repr(subset), remedy="choose one of them")
        if limit is not None and limit < 1:
            raise UsageError("limit", expected="at least 1", got=str(limit), remedy="omit it to get all clips")
        chosen = [s for s in self.samples if wanted in {None, s.split} and s.kind != SUBSETS[subset]]
        return tuple(chosen[:limit])


def is_labelled(sample: Sample) -> bool:
    """Whether the clip has labels; clips of a test set may have none, and then count as neither real nor fake."""
    return sample.facts.get("labelled") is not False


def load_manifest(source: str) -> Manifest:
    """Load the metadata of a data set.

    Args:
        source: KIND:ROOT, with one of `loaders.LOADERS` and the folder of the set.

    Raises:
        UsageError: the source does not have that form.
        DataError: the folder does not exist, a metadata file is invalid, or there is no usable clip.
    """
    kind, _, place = source.partition(":")
    if kind not in LOADERS or not place:
        forms = ", ".join(f"{k}:ROOT" for k in LOADERS)
        raise UsageError(source, expected=f"one of {forms}", got="another form", remedy="name the set and its folder")
    root = Path(place)
    if not root.is_dir():
        got = "a file" if root.exists() else "no such folder"
        raise DataError(root, expected=f"the folder of a {kind} set", got=got, remedy="check the path after the colon")
    with _without_search_for_cycles():
        reading = LOADERS[kind].read(root)
        samples = _unique(reading)
    if not samples:
        got, remedy = "no entries", "check that it is complete"
        if reading.problems:
            first, n_problems = reading.problems[0], len(reading.problems)
            got = f"no clip and {n_problems} problem{'s' * (n_problems > 1)}"
            remedy = f"the first: {first.subject}: {first.message}"
        raise DataError(root, expected="at least one usable clip", got=got, remedy=remedy)
    return Manifest(source, kind, root, samples, tuple(reading.problems))


@contextmanager
def _without_search_for_cycles() -> Iterator[None]:
    """Disable garbage collection while a million small objects are created; it would double the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _unique(reading: Reading) -> tuple[Sample, ...]:
    """Keep the first sample of each name; duplicates become problems."""
    first: dict[str, Sample] = {}
    for sample in reading.samples:
        if first.setdefault(sample.name, sample) is not sample:
            same = "the same" if sample == first[sample.name] else "another"
            reading.note("duplicate", sample.name, f"duplicate entry with {same} content; the first is used")
    return tuple(first.values())


def _split_name(word: str | None) -> str | None:
    try:
        return None if word is None else split_of(word)
    except Unusable:
        expected = f"{_enumerate(SPLITS)} (or dev, val)"
        raise UsageError("split", expected=expected, got=repr(word), remedy="choose one of them") from None


def _enumerate(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"
