"""AP, AR and AUC: the published evaluator's numbers, slow readable twins, and what a metric must do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.errors import DataError
from fakespan.metrics import auc, average_precision, average_recall, bootstrap_interval, match_proposals

GOLDEN = Path(__file__).parent / "golden"


def read(name: str):
    return json.loads((GOLDEN / f"metrics_{name}.json").read_text())


@pytest.fixture(scope="module")
def published():
    """Proposals in seconds, labels, and what the published evaluator says of them."""
    proposals = {file: np.array(rows) / [1, 25, 25] for file, rows in read("proposals").items()}
    labels = {entry["file"]: entry["fake_periods"] for entry in read("metadata")}
    return proposals, labels, read("expected")


def slow_iou(a, b) -> np.float32:
    """In float32, which decides where an IoU equals a threshold."""
    (a_begin, a_end), (b_begin, b_end) = np.asarray(a, np.float32), np.asarray(b, np.float32)
    shared = max(np.float32(0), min(a_end, b_end) - max(a_begin, b_begin))
    union = max(a_end, b_end) - min(a_begin, b_begin)
    return shared / union if union > 0 else np.float32(0)


def slow_average_precision(proposals, labels, threshold):
    pooled, n_labels = [], 0
    for name, spans in labels.items():
        rows = [(score, (begin, end)) for score, begin, end in np.asarray(proposals.get(name, ())).reshape(-1, 3)]
        used = [False] * len(rows)
        for label in spans:
            n_labels += 1
            for k, (_, span) in enumerate(rows):
                if not used[k] and slow_iou(span, label) > np.float32(threshold):
                    used[k] = True
                    break
        pooled += [(row[0], hit) for row, hit in zip(rows, used, strict=True)]
    pooled.sort(key=lambda pair: -pair[0])
    curve, found = [], 0
    for rank, (_, hit) in enumerate(pooled, 1):
        found += hit
        curve.append((found / n_labels, found / rank))
    area = 0.0
    for k in range(1, len(curve)):
        area += (curve[k][0] - curve[k - 1][0]) * max(precision for _, precision in curve[k:])
    return area


def slow_average_recall(proposals, labels, n_proposals):
    best = []
    for name, spans in labels.items():
        rows = np.asarray(proposals.get(name, ())).reshape(-1, 3)[:n_proposals]
        best += [max((slow_iou(row[1:], label) for row in rows), default=0) for label in spans]
    recalls = [np.mean([share > np.float32(k / 100) for share in best]) for k in range(50, 100, 5)]
    return np.mean(recalls)


def slow_auc(scores, truth):
    forged = [s for s, is_forged in zip(scores, truth, strict=True) if is_forged]
    real = [s for s, is_forged in zip(scores, truth, strict=True) if not is_forged]
    wins = sum((f > r) + 0.5 * (f == r) for f in forged for r in real)
    return wins / (len(forged) * len(real))


def test_average_precision_is_the_published_one(published):
    proposals, labels, expected = published
    found = average_precision(proposals, labels, [0.5, 0.75, 0.9, 0.95])
    for oracle in (expected["ap"], expected["avdeepfake1m"]["ap"]):
        assert found == pytest.approx({float(k): value for k, value in oracle.items()}, abs=1e-6)


def test_average_recall_is_the_published_one(published):
    proposals, labels, expected = published
    found = average_recall(proposals, labels, [100, 50, 20, 10, 5])
    for oracle in (expected["ar"], expected["avdeepfake1m"]["ar"]):
        assert found == pytest.approx({int(float(k)): value for k, value in oracle.items()}, abs=1e-6)


spans = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda p: (p[0] / 25, (p[0] + p[1]) / 25))
rows = st.tuples(st.integers(0, 10), spans).map(lambda p: (p[0] / 10, *p[1]))
videos = st.lists(st.tuples(st.lists(rows, max_size=8), st.lists(spans, max_size=3)), min_size=1, max_size=6)


def as_set(found):
    """Proposals and labels by name, with one video that has both, so that the set can be rated."""
    found = [*found, ([(0.5, 1.0, 1.4), (0.4, 0.2, 0.5)], [(1.0, 1.4)])]
    names = [f"{k}.mp4" for k in range(len(found))]
    return {n: p for n, (p, _) in zip(names, found, strict=True)}, {
        n: s for n, (_, s) in zip(names, found, strict=True)
    }


@settings(deadline=None)
@given(videos, st.sampled_from([0.3, 0.5, 0.75, 0.95]))
def test_average_precision_is_the_slow_one(found, threshold):
    proposals, labels = as_set(found)
    expected = slow_average_precision(proposals, labels, threshold)
    assert average_precision(proposals, labels, [threshold])[threshold] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(videos, st.integers(1, 9))
def test_average_recall_is_the_slow_one(found, n_proposals):
    proposals, labels = as_set(found)
    expected = slow_average_recall(proposals, labels, n_proposals)
    assert average_recall(proposals, labels, [n_proposals])[n_proposals] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20))
def test_auc_is_the_slow_one(pairs):
    pairs = [*pairs, (2, True), (3, False)]
    scores, truth = [score for score, _ in pairs], [is_forged for _, is_forged in pairs]
    assert auc(scores, truth) == pytest.approx(slow_auc(scores, truth))


def test_a_claimed_proposal_is_not_claimed_again():
    labels = {"a": [[1.0, 2.0], [1.0, 2.0], [5.0, 6.0]]}
    proposals = {"a": [[0.9, 1.0, 2.0], [0.8, 5.0, 6.0]]}
    matches = match_proposals(proposals, labels, [0.5])
    assert matches.hits(0.5).tolist() == [True, True]
    assert matches.average_precision(0.5) == pytest.approx(1 / 3)


def test_labels_claim_in_the_order_of_the_list_not_of_the_score():
    labels = {"a": [[1.0, 2.0]], "b": [[0.0, 1.0]]}
    proposals = {"a": [[0.1, 1.0, 2.0], [0.9, 1.0, 2.0]], "b": []}
    assert match_proposals(proposals, labels, [0.5]).hits(0.5).tolist() == [False, True]


def test_an_iou_that_equals_the_threshold_does_not_count():
    labels = {"a": [[0.0, 2.0]]}
    assert average_recall({"a": [[0.9, 0.0, 1.0]]}, labels, [1]) == {1: 0.0}


def test_a_video_without_proposals_is_one_in_which_nothing_was_found():
    labels = {"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}
    assert average_recall({"a": [[0.9, 1.0, 2.0]]}, labels, [1]) == {1: 0.5}


def test_the_labels_choose_the_videos():
    labels = {"a": [[1.0, 2.0], [3.0, 4.0]]}
    proposals = {"a": [[0.5, 1.0, 2.0], [0.4, 3.0, 4.0]]}
    more = {**proposals, "other": [[0.9, 7.0, 8.0]]}
    assert average_precision(more, labels) == average_precision(proposals, labels)


def test_what_cannot_be_rated_is_an_error():
    with pytest.raises(DataError, match="at least one forged span"):
        average_precision({"a": [[0.9, 1, 2]]}, {"a": []})
    with pytest.raises(DataError, match="proposals of the labelled videos"):
        average_recall({"clips/a.mp4": [[0.9, 1, 2]]}, {"a.mp4": [[1, 2]]})
    with pytest.raises(DataError, match=r"proposals of a: expected numbers \(n, 3\)"):
        average_precision({"a": [[0.9, 1]]}, {"a": [[1, 2]]})
    with pytest.raises(DataError, match="forged and real"):
        auc([0.1, 0.2], [True, True])
    with pytest.raises(DataError, match="one score per video"):
        auc([0.1], [True, False])


def test_auc_of_order_and_chance():
    assert auc([0.1, 0.4, 0.8, 0.9], [False, False, True, True]) == 1
    assert auc([0.9, 0.8, 0.4, 0.1], [False, False, True, True]) == 0
    assert auc([0.5] * 4, [False, True, False, True]) == 0.5


def test_the_bootstrap_holds_the_mean_and_narrows_with_more_videos():
    generator = np.random.default_rng(0)

    def interval(n):
        values = generator.random(n)
        return values.mean(), *bootstrap_interval(lambda counts: float(counts @ values / n), n, n_resamples=200)

    mean, low, high = interval(20)
    many_mean, many_low, many_high = interval(2000)
    assert low < mean < high
    assert many_low < many_mean < many_high
    assert many_high - many_low < (high - low) / 3


def test_the_bootstrap_of_average_precision_draws_videos(published):
    proposals, labels, _ = published
    matches = match_proposals(proposals, labels, [0.5])
    once = np.ones(len(labels), dtype=np.int64)
    assert matches.average_precision(0.5, once) == matches.average_precision(0.5)
    low, high = bootstrap_interval(lambda n: matches.average_precision(0.5, n), len(labels), n_resamples=100)
    assert 0 < low < matches.average_precision(0.5) < high < 0.3


def test_drawing_a_video_twice_is_having_it_twice():
    labels = {"a": [[1.0, 2.0]], "b": [[3.0, 4.0]], "c": []}
    proposals = {"a": [[0.9, 1, 2], [0.2, 5, 6]], "b": [[0.7, 3, 4]], "c": [[0.8, 0, 1]]}
    twice = {**{f"{n}1": proposals[n] for n in "ac"}, **{f"{n}2": proposals[n] for n in "ac"}}
    twice_labels = {**{f"{n}1": labels[n] for n in "ac"}, **{f"{n}2": labels[n] for n in "ac"}}
    drawn = match_proposals(proposals, labels, [0.5]).average_precision(0.5, np.array([2, 0, 2]))
    assert drawn == pytest.approx(average_precision(twice, twice_labels, [0.5])[0.5])


def test_a_draw_without_labels_has_no_average_precision():
    matches = match_proposals({"a": [[0.9, 1, 2]]}, {"a": [[1, 2]], "b": []}, [0.5])
    assert np.isnan(matches.average_precision(0.5, np.array([0, 2])))
