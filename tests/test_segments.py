"""Overlap, soft-NMS and merging: published numbers, slow readable twins, and what must hold for any input."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.boundary_map import decode
from fakespan.errors import UsageError
from fakespan.segments import heard_once, iou, merge, soft_nms, strongest
from fakespan.types import Segment

GOLDEN = Path(__file__).parent / "golden"
SOFT_NMS_CASES = json.loads((GOLDEN / "soft_nms.json").read_text())


def slow_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if union > 0 else 0.0


def slow_soft_nms(proposals, alpha=0.7234, t1=0.1968, t2=0.4123, *, fps=25.0, max_proposals=101):
    """The published loop, one candidate at a time."""
    left = sorted((tuple(p) for p in np.asarray(proposals, dtype=float).tolist()), key=lambda p: p[1])
    taken = []
    while len(left) > 1 and len(taken) < max_proposals:
        index = max(range(len(left)), key=lambda k: left[k][0])
        best = left.pop(index)
        taken.append(best)
        threshold = t1 + (t2 - t1) * (best[2] - best[1]) / fps
        for k, (score, begin, end) in enumerate(left):
            share = slow_iou((begin, end), best[1:])
            if share > threshold:
                left[k] = (score * math.exp(-(share**2) / alpha), begin, end)
    return np.array(taken).reshape(-1, 3)


def random_proposals(seed: int, n: int, clip_frames: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    begins = generator.integers(0, clip_frames, n)
    ends = begins + generator.integers(1, 41, n)
    return np.stack([generator.random(n), begins, ends], axis=1)


spans = st.tuples(st.integers(-50, 50), st.integers(0, 40)).map(lambda pair: (pair[0] / 4, (pair[0] + pair[1]) / 4))


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6))
def test_iou_is_the_slow_one(a, b):
    expected = np.array([[slow_iou(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-12)


@given(st.lists(spans, min_size=1, max_size=6))
def test_iou_is_symmetric_and_at_most_one(a):
    shares = iou(a, a)
    np.testing.assert_array_equal(shares, shares.T)
    assert shares.min() >= 0
    assert shares.max() <= 1
    lasting = [k for k, (start, end) in enumerate(a) if end > start]
    assert np.all(np.diag(shares)[lasting] == 1)


def test_iou_says_what_it_wants():
    with pytest.raises(UsageError, match=r"expected an array \(n, 2\), got \(1, 3\)"):
        iou([[1, 2, 3]], [[1, 2]])


@pytest.mark.parametrize("case", range(len(SOFT_NMS_CASES)))
def test_soft_nms_gives_the_published_proposals(case):
    options = dict(SOFT_NMS_CASES[case])
    with np.load(GOLDEN / "soft_nms.npz") as arrays:
        map_, expected = arrays[f"map_{case}"], arrays[f"out_{case}"]
    candidates = decode(map_, options.pop("n_frames"), "published")
    np.testing.assert_allclose(soft_nms(candidates, **options), expected, atol=1e-6)


@pytest.mark.parametrize(("n", "clip_frames"), [(1, 10), (2, 10), (60, 30), (1500, 300)])
def test_soft_nms_is_the_slow_loop(n, clip_frames):
    proposals = random_proposals(n, n, clip_frames)
    np.testing.assert_allclose(soft_nms(proposals), slow_soft_nms(proposals), atol=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30), st.integers(0, 20)), max_size=25),
    st.floats(0.05, 2),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_soft_nms_is_the_slow_loop_for_ties_and_empty_spans_too(cells, alpha, t1, t2):
    proposals = np.array([(score / 8, begin, begin + length) for score, begin, length in cells]).reshape(-1, 3)
    ours = soft_nms(proposals, alpha, t1, t2, max_proposals=10)
    slow = slow_soft_nms(proposals, alpha, t1, t2, max_proposals=10)
    np.testing.assert_allclose(ours, slow, atol=1e-12)


def test_soft_nms_takes_from_all_of_a_long_map():
    planted = {50: 0.9, 5_000: 0.8, 19_000: 0.7}
    map_ = np.full((12, 20_000), 0.01)
    for begin, score in planted.items():
        map_[7, begin] = score
    taken = soft_nms(decode(map_, 20_000), max_proposals=3)
    np.testing.assert_allclose(taken, [[score, begin, begin + 8] for begin, score in planted.items()])


def test_soft_nms_passes_over_what_lies_or_falls_below_the_floor():
    same_span_twice = [[0.9, 0, 10], [0.8, 0, 10], [0.3, 50, 60], [0.7, 90, 99]]
    assert soft_nms(same_span_twice, floor=0.4).round(3).tolist() == [[0.9, 0, 10], [0.7, 90, 99]]


def test_soft_nms_loses_the_last_candidate_as_published_unless_told_to_keep_it():
    assert len(soft_nms([[0.9, 0, 10]])) == 0
    assert soft_nms([[0.9, 0, 10]], keep_last=True).tolist() == [[0.9, 0, 10]]


def test_soft_nms_of_nothing_is_nothing():
    assert soft_nms(np.zeros((0, 3))).shape == (0, 3)
    assert soft_nms([[0.1, 0, 1], [0.2, 0, 1]], floor=0.5).shape == (0, 3)


def test_soft_nms_refuses_nan():
    with pytest.raises(UsageError, match="got NaN"):
        soft_nms([[np.nan, 0, 1], [0.5, 0, 1]])


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30), st.integers(1, 20)), max_size=25))
def test_the_strongest_share_no_time_and_every_other_shares_some_with_a_stronger_one(cells):
    proposals = np.array([(score / 8, begin, begin + length) for score, begin, length in cells]).reshape(-1, 3)
    kept = strongest(proposals)
    shares = iou(kept[:, 1:], kept[:, 1:])
    assert not (shares[~np.eye(len(kept), dtype=bool)] > 0).any()
    rows = kept.tolist()
    for row in proposals.tolist():
        assert row in rows or any(slow_iou(row[1:], k[1:]) > 0 and k[0] >= row[0] for k in rows)


# times on a grid of 1/64 s are exact in binary, so that equality can be asked for
times = st.integers(0, 640).map(lambda k: k / 64)
segments = st.lists(
    st.builds(
        lambda start, length, score, modality, track: Segment(start, start + length, score, modality, track),
        times,
        st.integers(0, 128).map(lambda k: k / 64),
        st.integers(0, 10).map(lambda k: k / 10),
        st.sampled_from(["audio", "visual", "both"]),
        st.sampled_from([None, 0, 1]),
    ),
    max_size=12,
)
gaps = st.sampled_from([0.0, 0.04, 0.5])


def kinds(found):
    return {(s.modality, s.track) for s in found}


def of_kind(found, kind):
    return [s for s in found if (s.modality, s.track) == kind]


def covers(found, time_s: float) -> bool:
    return any(s.start_s <= time_s <= s.end_s for s in found)


@given(segments, gaps)
def test_merging_again_changes_nothing(found, gap_s):
    once = merge(found, gap_s)
    assert merge(once, gap_s) == once


@given(segments, gaps, st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order(found, gap_s, random):
    shuffled = list(found)
    random.shuffle(shuffled)
    assert merge(shuffled, gap_s) == merge(found, gap_s)


@given(segments)
def test_merging_covers_the_same_time_with_the_same_best_score(found):
    merged = merge(found, gap_s=0)
    assert kinds(merged) == kinds(found)
    for kind in kinds(found):
        before, after = of_kind(found, kind), of_kind(merged, kind)
        for half_step in range(2 * 64 * 12):
            assert covers(before, half_step / 128) == covers(after, half_step / 128)
        assert max(s.score for s in after) == max(s.score for s in before)


@given(segments, gaps)
def test_merged_segments_lie_apart(found, gap_s):
    merged = merge(found, gap_s)
    for kind in kinds(merged):
        for a, b in pairwise(of_kind(merged, kind)):
            assert b.start_s - a.end_s > 0
            assert b.start_s - a.end_s >= gap_s - 1e-9


def test_merging_closes_gaps_shorter_than_a_frame_and_takes_the_higher_score():
    found = [Segment(2.03, 2.5, 0.9, "visual", 0), Segment(1.0, 2.0, 0.6, "visual", 0)]
    assert merge(found) == [Segment(1.0, 2.5, 0.9, "visual", 0)]


def test_merging_leaves_a_gap_of_one_frame():
    found = [Segment(k / 25, (k + 1) / 25, 0.9, "audio") for k in range(0, 200, 2)]
    assert merge(found) == found


def test_merging_keeps_modalities_and_tracks_apart():
    found = [Segment(1, 2, 0.5, "audio"), Segment(1, 2, 0.5, "visual", 0), Segment(1, 2, 0.5, "visual", 1)]
    assert merge(found) == found


# -- one event that is heard beside two faces --------------------------------------------------------------------------


def test_two_faces_that_hear_one_event_give_one_segment():
    first, second = Segment(1.0, 1.6, 0.7, "audio"), Segment(1.0, 1.5, 0.8, "both", 1)
    for order in ([first, second], [second, first]):
        assert heard_once(order) == [second]
    assert heard_once([Segment(1.0, 1.6, 0.9, "both", 0), second]) == [Segment(1.0, 1.6, 0.9, "both", 0)]


def test_an_event_that_is_heard_and_seen_is_in_sound_and_picture():
    heard, seen = Segment(1.0, 1.6, 0.9, "audio"), Segment(1.1, 1.6, 0.8, "visual", 2)
    assert heard_once([heard, seen]) == [Segment(1.0, 1.6, 0.9, "both", 2)]


def test_two_mouths_and_events_one_after_the_other_stay_two():
    for pair in (
        [Segment(1.0, 1.6, 0.9, "visual", 0), Segment(1.0, 1.6, 0.8, "visual", 1)],
        [Segment(1.0, 1.6, 0.9, "audio"), Segment(1.4, 2.2, 0.8, "both", 0)],
    ):
        assert heard_once(pair) == pair
