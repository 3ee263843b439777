"""What makes the metrics fast does not change them: flat arrays, ranks without a sort, ActivityNet's way, weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.errors import DataError
from fakespan.metrics import (
    Labels,
    Pairs,
    Proposals,
    activitynet_average_precision,
    average_precision,
    average_recall,
    match_proposals,
)
from fakespan.metrics.hit_counts import HitCounts
from fakespan.metrics.places import Tally, best_first
from test_metrics import as_set, slow_iou, videos


def slow_activitynet(proposals, labels, threshold):
    """One proposal after the other, as the benchmark's toolkit describes it."""
    pooled = [(float(np.float32(row[0])), name, tuple(row[1:])) for name in labels for row in proposals[name]]
    pooled.sort(key=lambda p: -p[0])
    taken, hits = set(), []
    for _, name, span in pooled:
        shares = [(-slow_iou(span, label), k) for k, label in enumerate(labels[name]) if (name, k) not in taken]
        best = min(shares, default=None)
        hits.append(best is not None and -best[0] >= np.float32(threshold))
        if hits[-1]:
            taken.add((name, best[1]))
    n_labels = sum(map(len, labels.values()))
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    return sum(precision[k:].max() for k in np.flatnonzero(hits)) / n_labels


@settings(deadline=None)
@given(videos, st.sampled_from([0.3, 0.5, 0.75, 0.95]))
def test_the_activitynet_way_is_the_slow_one(found, threshold):
    proposals, labels = as_set(found)
    got = activitynet_average_precision(proposals, labels, [threshold])[threshold]
    assert got == pytest.approx(slow_activitynet(proposals, labels, threshold), abs=1e-9)


def test_the_two_ways_differ_where_they_should():
    labels = {"a": [[0.0, 1.0]], "b": [[0.0, 1.0]]}
    perfect = {"a": [[0.9, 0.0, 1.0]], "b": [[0.8, 0.0, 1.0]]}
    assert average_precision(perfect, labels, [0.5]) == {0.5: 0.5}
    assert activitynet_average_precision(perfect, labels, [0.5]) == {0.5: 1.0}
    at_the_threshold = {"a": [[0.9, 0.0, 0.5]], "b": [[0.8, 0.0, 0.5]]}
    assert average_precision(at_the_threshold, labels, [0.5]) == {0.5: 0.0}
    assert activitynet_average_precision(at_the_threshold, labels, [0.5]) == {0.5: 1.0}
    # the better proposal stands second: published labels claim by the list, ActivityNet's proposals by their score
    unsorted = {"a": [[0.1, 0.0, 1.0], [0.9, 0.0, 1.0]], "b": []}
    assert activitynet_average_precision(unsorted, labels, [0.5]) == {0.5: 0.5}
    assert match_proposals(unsorted, labels, [0.5]).hits(0.5).tolist() == [False, True]


scores = st.lists(st.floats(-1, 2, width=32) | st.sampled_from([0.0, -0.0, 0.5, 1e-30, 3e38, -3e38]), min_size=1)


@settings(deadline=None)
@given(scores, st.data())
def test_ranks_are_those_of_a_stable_sort(values, data):
    array = np.array(values, dtype=np.float32)
    order = np.argsort(-array, kind="stable")
    assert best_first(array).tolist() == order.tolist()
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, len(array) - 1)))), dtype=np.int64)
    assert Tally(array).places(chosen).tolist() == np.argsort(order)[chosen].tolist()


def test_ranks_of_many_scores_are_those_of_a_stable_sort():
    generator = np.random.default_rng(0)
    array = generator.beta(0.5, 3, 100_000).astype(np.float32).round(5)
    chosen = np.sort(generator.choice(len(array), 2000, replace=False))
    assert np.array_equal(Tally(array).places(chosen), np.argsort(np.argsort(-array, kind="stable"))[chosen])


@settings(deadline=None)
@given(videos, st.randoms(use_true_random=False))
def test_flat_arrays_in_any_order_give_the_same(found, random):
    proposals, labels = as_set(found)
    shuffled = list(proposals.items())
    random.shuffle(shuffled)
    flat = Proposals.of({**dict(shuffled), "unknown.mp4": [[0.9, 1, 2]]})
    assert average_precision(flat, Labels.of(labels)) == average_precision(proposals, labels)
    assert average_recall(flat, Labels.of(labels)) == average_recall(proposals, labels)


@settings(deadline=None)
@given(videos)
def test_pairs_are_all_that_overlap_enough(found):
    proposals, labels = as_set(found)
    pairs = Pairs.of(proposals, labels, 0.3)
    names = list(labels)
    starts = np.cumsum([0, *(len(labels[n]) for n in names)])
    got = {(v, int(label - starts[v]), int(rank)) for v, label, rank in zip(pairs.video, pairs.label, pairs.rank)}  # noqa: B905
    expected = {
        (v, j, k)
        for v, name in enumerate(names)
        for j, label in enumerate(labels[name])
        for k, row in enumerate(proposals[name])
        if slow_iou(row[1:], label) >= np.float32(0.3)
    }
    assert got == expected


def test_flat_arrays_are_mappings():
    flat = Proposals.of({"a": [[0.9, 1, 2]], "b": []})
    assert list(flat) == ["a", "b"]
    assert "a" in flat
    assert "c" not in flat
    assert dict(flat)["a"].tolist() == [[np.float32(0.9), 1, 2]]
    assert Proposals.of(flat) is flat
    assert repr(flat) == "Proposals(2 videos, 1 rows)"
    with pytest.raises(KeyError):
        flat["c"]


@pytest.mark.parametrize("rows", [[[1, 2]], [1, 2, 3], [["x", 1, 2]], [[1, 2, 3], [1]], [[[1, 2, 3]]]])
def test_another_shape_is_told(rows):
    with pytest.raises(DataError, match=r"proposals of a: expected numbers \(n, 3\)"):
        Proposals.of({"a": rows})


def test_infinite_scores_are_ranked_all_the_same():
    labels = {"a": [[0.0, 1.0], [2.0, 3.0]]}
    proposals = {"a": [[np.inf, 0.0, 1.0], [-np.inf, 5, 6], [0.5, 2.0, 3.0]]}
    assert match_proposals(proposals, labels, [0.5]).hits(0.5).tolist() == [True, True, False]


@settings(deadline=None)
@given(videos, st.data())
def test_cuts_sum_up_what_a_draw_sums_over_all_proposals(found, data):
    proposals, labels = as_set(found)
    matches = match_proposals(proposals, labels, [0.3, 0.5])
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    for _, threshold, right, seen in HitCounts([matches]).steps(counts):
        expected_right, expected_seen = matches.drawn(counts)[threshold]
        assert right.tolist() == expected_right.tolist()
        assert seen.tolist() == expected_seen.tolist()
