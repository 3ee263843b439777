"""Validation of a proposals file: a clear message per problem, with the count and the names of videos.

Contract: problems that make the metrics meaningless raise DataError; others become notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from fakespan.arrays import BoolArray
from fakespan.config import FPS
from fakespan.errors import DataError
from fakespan.metrics import Labels, Proposals
from fakespan.scoring.truth import Truth

__all__ = ["check"]

Missing = Literal["error", "zero"]
SLACK_S = 0.5
"""Tolerance for spans beyond the end of the video: windows and stretched clips round outwards."""


def check(proposals: Proposals, truth: Truth, missing: Missing = "error") -> tuple[Proposals, list[str]]:
    r"""The proposals of the videos in the truth, in its order, and notes.

    Raises:
        DataError: a video is missing (unless `missing` is "zero": it then has no proposals), no video is in the
            metadata, a video is there twice (with / and with \), a score or time is NaN or infinite, or a span ends
            before it begins.
    """
    names = tuple(name.replace("\\", "/") for name in proposals.names)
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        got = f"{twice} more than once, with / and with \\"
        raise DataError("proposals", expected="each video once", got=got, remedy="merge its lists")
    named = Proposals(names, proposals.offsets, proposals.score, proposals.start_s, proposals.end_s)
    notes = [*_unknown(named, truth), *_missing(named, truth, missing)]
    rated = named.ordered(truth.names)
    _refuse(rated, ~np.isfinite(rated.score), "finite scores", "NaN or infinity", "clamp or drop them")
    times = np.isfinite(rated.start_s) & np.isfinite(rated.end_s)
    _refuse(rated, ~times, "finite times", "NaN or infinity", "drop them")
    _refuse(rated, rated.end_s < rated.start_s, "spans that end after they begin", "the opposite", "swap the two")
    labelled = _odd_times(truth.labels, truth, "labelled span")
    return rated, [*notes, *_oddities(rated, truth, set(names)), *labelled]


def _unknown(proposals: Proposals, truth: Truth) -> Iterator[str]:
    known = set(truth.names)
    unknown = [name for name in proposals.names if name not in known]
    if len(unknown) == len(proposals.names):
        got = f"none of them ({_some(unknown)})" if unknown else "an empty file"
        remedy = "use the names of the metadata, and the right split"
        raise DataError("proposals", expected="videos of the metadata", got=got, remedy=remedy)
    if unknown:
        yield f"{_count(unknown)} not among the scored videos and ignored: {_some(unknown)}"


def _missing(proposals: Proposals, truth: Truth, missing: Missing) -> Iterator[str]:
    absent = [name for name in truth.names if name not in proposals]
    if absent and missing == "error":
        got = f"none of {_count(absent)}: {_some(absent)}"
        remedy = "add them with an empty list, or use --missing zero"
        raise DataError("proposals", expected="a list for each video", got=got, remedy=remedy)
    if absent:
        yield f"{_count(absent)} missing and counted as an empty list: {_some(absent)}"


def _refuse(rated: Proposals, bad: BoolArray, expected: str, got: str, remedy: str) -> None:
    if bad.any():
        n, names = _where(rated, bad)
        got = f"{got} in {_many(n, 'proposal')} of {_count(names)}: {_some(names)}"
        raise DataError("proposals", expected=expected, got=got, remedy=remedy)


def _oddities(rated: Proposals, truth: Truth, listed: set[str]) -> Iterator[str]:
    lengths = np.diff(rated.offsets)
    empty = [rated.names[k] for k in np.flatnonzero(lengths == 0) if rated.names[k] in listed]
    if empty:
        yield f"{_count(empty)} with an empty list: {_some(empty)}"
    grows = np.zeros(rated.n_proposals, dtype=bool)
    grows[1:] = rated.score[1:] > rated.score[:-1]
    grows[rated.offsets[:-1][lengths > 0]] = False  # the first of a list has no predecessor
    if grows.any():
        _, names = _where(rated, grows)
        yield (
            f"{_count(names)} with a list that is not sorted by score; AR and matching follow the order of the list, "
            f"as in the published evaluators: {_some(names)}"
        )
    outside = (rated.score < 0) | (rated.score > 1)
    if outside.any():
        n, names = _where(rated, outside)
        yield f"{_many(n, 'score')} outside 0..1, in {_count(names)}: {_some(names)}"
    yield from _odd_times(rated, truth, "proposal", " (is --fps right?)")
    if _looks_like_seconds(rated, truth):
        yield "all proposals lie in the first 25th of their videos: if begin and end are in seconds, use --fps 1"


def _odd_times(spans: Proposals | Labels, truth: Truth, what: str, hint: str = "") -> Iterator[str]:
    """Spans that cannot be right, each kind with its number and videos."""
    ends_s = np.repeat(truth.durations_s, np.diff(spans.offsets))  # NaN if unknown: nothing is past it
    kinds = (
        (spans.end_s == spans.start_s, "of length 0", ""),
        (spans.start_s < 0, "beginning before 0 s", ""),
        (spans.end_s > ends_s + SLACK_S, "past the end of the video", hint),
    )
    for flags, kind, question in kinds:
        if flags.any():
            n, names = _where(spans, flags)
            yield f"{_many(n, what)} {kind}, in {_count(names)}{question}: {_some(names)}"


def _looks_like_seconds(rated: Proposals, truth: Truth) -> bool:
    """Whether every proposal would fit into its video 25 times over, although forged spans lie further back."""
    ends_s = np.repeat(truth.durations_s, np.diff(rated.offsets))
    label_ends_s = np.repeat(truth.durations_s, np.diff(truth.labels.offsets))
    is_early = bool(rated.n_proposals) and bool((rated.end_s * FPS <= ends_s + SLACK_S).all())
    return is_early and bool((truth.labels.end_s * FPS > label_ends_s + SLACK_S).any())


def _where(rated: Proposals | Labels, flags: BoolArray) -> tuple[int, list[str]]:
    """The number of spans, and the videos they are in."""
    rows = np.flatnonzero(flags)
    videos = np.unique(np.searchsorted(rated.offsets, rows, side="right") - 1)
    return len(rows), [rated.names[k] for k in videos]


def _count(names: Sequence[str]) -> str:
    return _many(len(names), "video")


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _some(names: Sequence[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (" ..." if len(names) > n else "")
