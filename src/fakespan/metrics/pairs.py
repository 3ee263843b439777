"""Overlapping pairs of proposals and labels, computed once for all metrics.

Contract: `Pairs.of` gives each (label, proposal) of one video whose IoU reaches a floor, in the order of the labels and
within a label in the order of its video's list. Everything is float32: if an IoU equals a threshold, rounding decides
on which side it falls, and only float32 rounds as in the published evaluators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fakespan.arrays import Float32Array, Int32Array, Int64Array
from fakespan.errors import DataError
from fakespan.metrics.flat import Labels, Proposals
from fakespan.metrics.places import BLOCK, best_first

__all__ = ["Pairs", "claim"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Labels of V videos, their proposals, and the M pairs of the two that overlap enough."""

    proposals: Proposals  # of the labels' videos, in their order
    labels: Labels
    video: Int64Array  # (M,) index of its video, ascending
    label: Int64Array  # (M,) index into the labels, ascending
    proposal: Int64Array  # (M,) index into the proposals, ascending for equal labels
    share: Float32Array  # (M,) IoU

    @classmethod
    def of(cls, proposals: Mapping[str, ArrayLike], labels: Mapping[str, ArrayLike], floor: float = 0.5) -> Pairs:
        """Find the pairs whose IoU is at least `floor`.

        Args:
            proposals: name -> (n, 3) score, begin, end in seconds; preferably `Proposals`. Videos that are not in
                `labels` are ignored; missing videos have no proposals.
            labels: name -> (m, 2) start and end in seconds; preferably `Labels`.
            floor: above 0.

        Raises:
            DataError: a wrong shape or NaN, no labels, or no video of `labels` has proposals.
        """
        truth = Labels.of(labels)
        if truth.names and not any(name in proposals for name in truth.names):
            remedy = "use the names that the labels use"
            raise DataError("proposals", expected="proposals of the labelled videos", got="none of them", remedy=remedy)
        found = Proposals.of(proposals).ordered(truth.names)
        for what, values in (("proposals", found.columns), ("labels", truth.columns)):
            if any(np.isnan(column).any() for column in values):
                raise DataError(what, expected="numbers", got="NaN", remedy="remove proposals without a score or time")
        if truth.n_labels == 0:
            raise DataError("labels", expected="at least one forged span", got="none", remedy="include fakes")
        video = np.repeat(np.arange(len(truth.names)), np.diff(truth.offsets))
        blocks = [_overlaps(found, truth, video, part, max(floor, 1e-9)) for part in _blocks(found, video)]
        label, proposal, share = (np.concatenate(column) for column in zip(*blocks, strict=True))
        return cls(found, truth, video[label], label, proposal, share)

    @property
    def rank(self) -> Int64Array:
        """(M,) index of the proposal in its video's list."""
        return self.proposal - self.proposals.offsets[self.video]

    @cached_property
    def order(self) -> Int64Array:
        """(P,) proposals, best score first; ties in input order."""
        return best_first(self.proposals.score)

    @cached_property
    def video_by_score(self) -> Int32Array:
        """(P,) index of the video of each proposal, best score first."""
        lengths = np.diff(self.proposals.offsets)
        return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[self.order]


def _blocks(found: Proposals, video: Int64Array) -> Iterator[slice]:
    """Blocks of labels with about BLOCK pairs of labels and proposals each."""
    ends = np.cumsum(np.diff(found.offsets)[video])
    first = 0
    while first < len(ends):
        target = (ends[first - 1] if first else 0) + BLOCK
        last = max(int(np.searchsorted(ends, target, side="right")), first + 1)
        yield slice(first, last)
        first = last


def _overlaps(
    found: Proposals, truth: Labels, video: Int64Array, part: slice, floor: float
) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Label, proposal and IoU of the pairs of some labels that reach the floor."""
    begins = found.offsets[video[part]]
    lengths = found.offsets[video[part] + 1] - begins
    ends = np.cumsum(lengths)
    proposal = np.arange(ends[-1]) + np.repeat(begins - (ends - lengths), lengths)
    start_s, end_s = np.repeat(truth.start_s[part], lengths), np.repeat(truth.end_s[part], lengths)
    share = _shares(found.start_s[proposal], found.end_s[proposal], start_s, end_s)
    near = np.flatnonzero(share >= np.float32(floor))
    return part.start + np.searchsorted(ends, near, side="right"), proposal[near], share[near]


def _shares(start_a: Float32Array, end_a: Float32Array, start_b: Float32Array, end_b: Float32Array) -> Float32Array:
    """IoU of overlapping spans, 0 for others. The union is taken from end to end, which rounds as published."""
    shared = np.maximum(np.minimum(end_a, end_b) - np.maximum(start_a, start_b), 0)
    union = np.maximum(end_a, end_b) - np.minimum(start_a, start_b)
    shares: Float32Array = shared / np.maximum(union, np.finfo(np.float32).tiny)
    return shares


def claim(pairs: Pairs, chosen: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Greedy matching: in each video take the first pair, then the next whose label and proposal are both free ...

    Args:
        pairs: the candidate pairs.
        chosen: (n,) their indices in order of preference, grouped by video.

    Returns:
        Labels and proposals of the matched pairs, (k,) each.
    """
    is_free_label = np.ones(pairs.labels.n_labels, dtype=bool)
    is_free_proposal = np.ones(pairs.proposals.n_proposals, dtype=bool)
    video, label, proposal = pairs.video[chosen], pairs.label[chosen], pairs.proposal[chosen]
    labels, proposals = [label[:0]], [proposal[:0]]
    while len(video):
        first = np.flatnonzero(np.diff(video, prepend=-1))
        labels.append(label[first])
        proposals.append(proposal[first])
        is_free_label[label[first]] = is_free_proposal[proposal[first]] = False
        left = is_free_label[label] & is_free_proposal[proposal]
        video, label, proposal = video[left], label[left], proposal[left]
    return np.concatenate(labels), np.concatenate(proposals)
