"""Targets and decoding: published numbers, slow readable twins, and that one undoes the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.boundary_map import (
    boundary_targets,
    cover,
    decode,
    frame_target,
    iou_map_target,
    peak,
    peak_near,
    to_frames,
    to_seconds,
)
from fakespan.errors import UsageError

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "labels.json").read_text())


def golden(name: str) -> np.ndarray:
    with np.load(GOLDEN / "labels.npz") as arrays:
        return arrays[name]


def slow_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if union > 0 else 0.0


def slow_map(periods_s, n_frames, n_padded, max_duration, duration_s):
    target = np.zeros((max_duration, n_padded))
    shares = [tuple(min(max(time / duration_s, 0), 1) for time in period) for period in periods_s]
    for d in range(max_duration):
        for t in range(n_padded):
            if t + d <= n_frames:
                span = (t / n_frames, (t + d + 1) / n_frames)
                target[d, t] = max((slow_iou(span, share) for share in shares), default=0)
    return target


def slow_decode(map_, n_frames, decoding):
    found = []
    for t in range(map_.shape[1]):
        for d in range(map_.shape[0]):
            if decoding == "aligned" and t + d + 1 <= n_frames:
                found.append((map_[d, t], t, t + d + 1))
            if decoding == "published" and d > 0 and t + d <= n_frames:
                found.append((map_[d, t], t, t + d))
    return np.array(found).reshape(-1, 3)


def arguments(case: dict) -> tuple:
    return case["fake_periods"], case["video_frames"], case["frame_padding"], case["max_duration"]


@pytest.mark.parametrize("k", range(len(CASES)))
def test_targets_are_the_published_ones(k):
    start, end = boundary_targets(*arguments(CASES[k]))
    np.testing.assert_allclose(iou_map_target(*arguments(CASES[k])), golden(f"map_{k}"), atol=1e-6, rtol=0)
    np.testing.assert_allclose(start, golden(f"start_{k}"), atol=1e-6, rtol=0)
    np.testing.assert_allclose(end, golden(f"end_{k}"), atol=1e-6, rtol=0)
    np.testing.assert_array_equal(frame_target(CASES[k]["fake_periods"], 512), golden(f"frames_{k}"))


hundredths = st.tuples(st.integers(0, 300), st.integers(1, 150)).map(lambda p: (p[0] / 100, (p[0] + p[1]) / 100))


@given(st.lists(hundredths, max_size=3), st.integers(1, 70), st.integers(1, 60), st.integers(1, 20))
def test_map_target_is_the_slow_one(periods_s, n_frames, n_padded, max_duration):
    duration_s = n_frames / 25
    target = iou_map_target(periods_s, n_frames, n_padded, max_duration, duration_s)
    assert target.shape == (max_duration, n_padded)
    assert target.dtype == np.float32
    assert target.max() <= 1
    expected = slow_map(periods_s, n_frames, n_padded, max_duration, duration_s)
    np.testing.assert_allclose(target, expected, atol=3e-5)


@given(st.integers(0, 40), st.integers(1, 20))
def test_the_map_is_highest_at_the_forged_span(begin, length):
    target = iou_map_target([[begin / 25, (begin + length) / 25]], 60, 64, 20)
    d, t = np.unravel_index(target.argmax(), target.shape)
    assert (t, t + d + 1) == (begin, begin + length)
    assert target.max() == pytest.approx(1, abs=1e-5)


@given(st.integers(0, 40), st.integers(1, 20))
def test_aligned_decoding_undoes_the_target(begin, length):
    period_s = [begin / 25, (begin + length) / 25]
    proposals = decode(iou_map_target([period_s], 60, 64, 20), 60)
    best = proposals[proposals[:, 0].argmax()]
    np.testing.assert_allclose(to_seconds([best])[0, 1:], period_s, atol=1e-9)


def test_published_decoding_ends_one_frame_early():
    proposals = decode(iou_map_target([[1.0, 1.64]], 60, 64, 20), 60, "published")
    assert proposals[proposals[:, 0].argmax(), 1:].tolist() == [25, 40]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 14), st.sampled_from(["aligned", "published"]))
def test_decoding_is_the_slow_one(n_rows, n_columns, n_frames, decoding):
    map_ = np.random.default_rng(n_rows).random((n_rows, n_columns))
    np.testing.assert_array_equal(decode(map_, n_frames, decoding), slow_decode(map_, n_frames, decoding))


def test_decoding_leaves_out_low_scores():
    map_ = np.array([[0.1, 0.6, 0.5]])
    assert decode(map_, 3, min_score=0.5).tolist() == [[0.6, 1, 2], [0.5, 2, 3]]


def test_a_clip_without_frames_has_no_proposals():
    assert decode(np.ones((4, 8)), 0).shape == (0, 3)


def test_decoding_says_what_it_wants():
    with pytest.raises(UsageError, match=r"an array \(D, T\)"):
        decode(np.zeros((1, 4, 8)), 8)
    with pytest.raises(UsageError, match="aligned or published"):
        decode(np.zeros((4, 8)), 8, "nearest")  # type: ignore[arg-type]


def test_an_untouched_clip_has_targets_of_zeros():
    assert not iou_map_target([], 50, 64, 8).any()
    assert not frame_target([], 64).any()
    assert not np.any(boundary_targets([], 50, 64, 8))


def test_a_span_beyond_the_clip_is_no_target():
    assert not iou_map_target([[3.0, 4.0]], 50, 64, 8).any()


def test_periods_of_another_shape_are_refused():
    with pytest.raises(UsageError, match=r"an array \(m, 2\)"):
        frame_target([1.0, 2.0], 64)


def test_boundary_targets_are_high_around_the_boundaries():
    start, end = boundary_targets([[0.8, 1.6]], n_frames=50, n_padded=50, max_duration=50)
    assert np.flatnonzero(start > 0.9).tolist() == [19, 20, 21]
    assert np.flatnonzero(end > 0.9).tolist() == [39, 40, 41]
    assert start.sum() == pytest.approx(3, abs=1e-4)


def test_frames_and_seconds():
    assert to_frames([0.0, 0.039, 0.04]).tolist() == [0, 0, 1]
    assert to_seconds([[0.5, 0, 25]], fps=50, start_s=2.0).tolist() == [[0.5, 2.0, 2.5]]
    assert to_seconds(np.zeros((0, 3))).shape == (0, 3)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_curve_is_as_high_as_the_best_span_that_covers_a_frame(n_rows, n_frames, seed):
    map_ = np.random.default_rng(seed).random((n_rows, n_frames)).astype(np.float32)
    spans = [(map_[d, t], t, t + d + 1) for d in range(n_rows) for t in range(n_frames) if t + d + 1 <= n_frames]
    best = [max((score for score, begin, end in spans if begin <= k < end)) for k in range(n_frames)]
    assert cover(map_).tolist() == best
    assert peak(map_) == max(best)


def test_the_best_score_near_a_span_is_looked_for_a_little_around_it():
    map_ = np.zeros((20, 60), np.float32)
    map_[11, 22] = 0.8  # the span [22, 34)
    assert peak_near(map_, 20, 30) == peak_near(map_, 25, 35) == np.float32(0.8)
    assert peak_near(map_, 10, 20) == peak_near(map_, 40, 52) == 0
