"""Statistics and validation of a data set.

Contract: all problems are collected in one run. The metadata is checked for consistency; with `probe`, the header and
end of every file are read, in parallel processes, and compared with the metadata. Video and audio are not decoded, so
damage in the middle of a file is not detected. Nothing is written.
"""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.data.entries import SPLITS, Problem
from fakespan.data.file_check import FileCheck, check_file
from fakespan.data.loaders import LOADERS
from fakespan.data.manifest import Manifest, is_labelled
from fakespan.types import Progress, Sample, Segment, no_progress

__all__ = ["COLUMNS", "Report", "Summary", "inspect"]

COLUMNS = ("real", "audio", "visual", "both", "unlabelled")
"""Categories of clips."""

_SPAN_SLACK_S = 1e-3  # tolerance for a span that ends after its clip
_LENGTH_SLACK_S = 0.1  # tolerance for a stated length
_FRAMES_SLACK = 1
_CHUNK = 64  # files per task of a process


@dataclass(frozen=True, slots=True)
class Summary:
    """Distribution of values, in their own unit."""

    minimum: float
    p05: float
    median: float
    mean: float
    p95: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary | None:
        """Summarise values; None if there are none."""
        if not values:
            return None
        low, p05, median, p95, high = (float(v) for v in np.percentile(values, [0, 5, 50, 95, 100]))
        return cls(low, p05, median, float(np.mean(values)), p95, high)


@dataclass(frozen=True)
class Report:
    """The result of `inspect`."""

    source: str
    counts: dict[str, dict[str, int]]  # clips by split and forged modality (`COLUMNS`)
    duration_s: Summary | None  # of clips, according to the metadata
    span_s: Summary | None  # lengths of forged spans
    spans_per_clip: dict[int, int]  # number of spans -> number of labelled clips
    forged_share: float  # of the duration of labelled clips, 0..1
    n_opened: int  # files that were checked
    problems: tuple[Problem, ...]  # those of the metadata first

    @property
    def n_clips(self) -> int:
        """Number of clips."""
        return sum(sum(row.values()) for row in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"n_clips": self.n_clips, **dataclasses.asdict(self)}


def inspect(
    manifest: Manifest,
    *,
    samples: Sequence[Sample] | None = None,
    probe: bool = True,
    n_workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Counts, statistics and problems of a data set, or of some of its samples.

    Args:
        manifest: the set.
        samples: the samples to inspect; None: all.
        probe: whether files are opened.
        n_workers: processes that open files; 1 opens them in this one.
        progress: called with the number of finished files and of all files.
    """
    chosen = manifest.samples if samples is None else tuple(samples)
    labelled = [s for s in chosen if is_labelled(s)]
    problems = list(manifest.problems)
    problems += itertools.chain.from_iterable(_span_problems(s) for s in chosen)
    problems += _original_problems(chosen, manifest.samples)
    if probe:
        looks = _check_all([s.path for s in chosen], n_workers, progress or no_progress)
        for sample, check in zip(chosen, looks, strict=True):
            problems += _file_problems(sample, check, needs_sound=LOADERS[manifest.kind].has_audio)
    return Report(
        source=manifest.source,
        counts=_counts(chosen),
        duration_s=Summary.of([s.duration_s for s in labelled]),
        span_s=Summary.of([span.length_s for s in labelled for span in s.segments]),
        spans_per_clip=dict(sorted(Counter(len(s.segments) for s in labelled).items())),
        forged_share=_forged_share(labelled),
        n_opened=len(chosen) if probe else 0,
        problems=tuple(problems),
    )


def _counts(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    found: Counter[tuple[str, str]] = Counter((s.split, s.kind if is_labelled(s) else "unlabelled") for s in samples)
    return {split: {column: found[split, column] for column in COLUMNS} for split in SPLITS}


def _forged_share(samples: Sequence[Sample]) -> float:
    total_s = sum(s.duration_s for s in samples)
    return sum(_covered_s(s) for s in samples) / total_s if total_s else 0.0


def _covered_s(sample: Sample) -> float:
    """Duration in seconds of the union of the forged spans of a clip."""
    covered_s, reached_s = 0.0, 0.0
    for start_s, end_s in sorted(sample.spans):
        inside_s = min(end_s, sample.duration_s)
        covered_s += max(0.0, inside_s - max(start_s, reached_s))
        reached_s = max(reached_s, inside_s)
    return covered_s


def _span_problems(sample: Sample) -> Iterator[Problem]:
    for span in sample.segments:
        if span.start_s < 0 or span.end_s > sample.duration_s + _SPAN_SLACK_S:
            message = f"{_words(span)} is not within the clip's {sample.duration_s:.3f} s"
            yield Problem("span outside", sample.name, message)
        if span.end_s == span.start_s:
            yield Problem("empty span", sample.name, f"{_words(span)} has no length")
    for one, other in itertools.combinations(sample.segments, 2):
        shared = "both" in {one.modality, other.modality} or one.modality == other.modality
        if shared and max(one.start_s, other.start_s) < min(one.end_s, other.end_s):
            yield Problem("overlap", sample.name, f"{_words(one)} and {_words(other)} overlap")


def _original_problems(samples: Iterable[Sample], every: Iterable[Sample]) -> Iterator[Problem]:
    splits = {s.name: s.split for s in every}
    for sample in samples:
        if sample.original is None:
            continue
        split = splits.get(sample.original)
        if split is None:
            yield Problem("original", sample.name, f"its original {sample.original} is not in the set")
        elif split != sample.split:
            message = f"it is in {sample.split}, its original {sample.original} in {split}"
            yield Problem("leak", sample.name, message)


def _file_problems(sample: Sample, check: FileCheck, *, needs_sound: bool) -> Iterator[Problem]:
    """Inconsistencies between a file and the metadata."""
    if check.error:
        yield Problem(check.error_kind, sample.name, check.error)
        return
    if not check.has_picture:
        yield Problem("no picture", sample.name, "there is no picture in the file")
    if needs_sound and not check.has_sound:
        yield Problem("no sound", sample.name, "there is no sound in the file")
    if check.missing_s:
        yield Problem("cut short", sample.name, f"the file ends {check.missing_s:.2f} s before its stated length")
    if sample.n_frames is not None and check.has_picture and abs(check.n_frames - sample.n_frames) > _FRAMES_SLACK:
        yield Problem("frames", sample.name, f"{check.n_frames} frames, the metadata says {sample.n_frames}")
    if sample.facts.get("clock") == "frames":
        yield from _stretch_problems(sample, check)
    elif sample.n_frames is None and sample.duration_s and abs(check.duration_s - sample.duration_s) > _LENGTH_SLACK_S:
        says = "clips of this set count as" if sample.facts.get("length") == "nominal" else "the metadata says"
        yield Problem("length", sample.name, f"{check.duration_s:.2f} s, {says} {sample.duration_s:g} s")


def _stretch_problems(sample: Sample, check: FileCheck) -> Iterator[Problem]:
    first, end = sample.facts.get("annotated_frames", (0, 0))
    if end > check.n_frames + _FRAMES_SLACK:
        yield Problem("frames", sample.name, f"{check.n_frames} frames, the list describes {first} to {end}")


def _check_all(paths: Sequence[Path], n_workers: int, progress: Progress) -> list[FileCheck]:
    """Check each file, in order."""
    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    if n_workers <= 1 or len(chunks) == 1:
        done: list[FileCheck] = []
        for path in paths:
            done.append(check_file(path))
            progress(len(done), len(paths))
        return done
    found: dict[int, list[FileCheck]] = {}
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(n_workers, len(chunks)), mp_context=context) as pool:
            for k, looks in enumerate(pool.map(_check_some, chunks)):
                found[k] = looks
                progress(sum(map(len, found.values())), len(paths))
    except BrokenProcessPool:  # a file crashed its process: check the others in one process each
        for k in range(len(found), len(chunks)):
            found[k] = [_check_alone(path) for path in chunks[k]]
            progress(sum(map(len, found.values())), len(paths))
    return list(itertools.chain.from_iterable(found[k] for k in range(len(chunks))))


def _check_some(paths: Sequence[Path]) -> list[FileCheck]:
    return [check_file(path) for path in paths]


def _check_alone(path: Path) -> FileCheck:
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(check_file, path).result()
    except BrokenProcessPool:
        return FileCheck("unreadable", "the process that opened it died")


def _words(span: Segment) -> str:
    return f"the span {span.start_s:g} to {span.end_s:g} s ({span.modality})"
