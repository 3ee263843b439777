"""Windows cover everything, and a map cut into windows and stitched is the map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.windows import MapStitcher, WindowBuffer, windows


@given(st.integers(1, 300), st.integers(2, 60), st.integers(0, 59))
def test_windows_cover_every_frame_and_overlap(n_frames: int, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    plan = list(windows(n_frames, size, overlap))
    assert plan[0].begin == 0
    assert plan[-1].end == n_frames
    assert all(w.end - w.begin == min(size, n_frames) for w in plan)
    assert all(b.begin <= a.end - overlap for a, b in itertools.pairwise(plan))
    assert [w.is_last for w in plan] == [False] * (len(plan) - 1) + [True]


@given(st.integers(1, 200), st.integers(2, 40), st.integers(0, 39))
def test_frames_that_arrive_one_by_one_come_in_the_planned_windows(n_frames: int, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    buffer = WindowBuffer(size, overlap)
    given_out = [pair for k in range(n_frames) for pair in buffer.push(np.array([k], np.uint8))]
    given_out += list(buffer.finish())
    assert [w for w, _ in given_out] == list(windows(n_frames, size, overlap))
    for window, frames in given_out:
        assert frames[:, 0].tolist() == [k % 256 for k in range(window.begin, window.end)]


@settings(deadline=None)
@given(st.integers(1, 120), st.integers(12, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_map_cut_into_windows_and_stitched_is_the_map(n_frames: int, size: int, longest: int, seed: int) -> None:
    whole = np.random.default_rng(seed).random((longest, n_frames), dtype=np.float32)
    fits = np.arange(n_frames)[None, :] + np.arange(longest)[:, None] < n_frames
    stitcher = MapStitcher(longest)
    for window in windows(n_frames, size, longest + 2):
        stitcher.add(window, whole[:, window.begin : window.end])
    assert np.array_equal(stitcher.result()[fits], whole[fits])


def test_a_cell_comes_from_the_window_in_which_its_span_lies_deepest() -> None:
    stitcher = MapStitcher(2)
    for number, window in enumerate(windows(20, 12, 6)):
        stitcher.add(window, np.full((2, 12), number, np.float32))
    # windows [0, 12) and [6, 18) and [8, 20): frame 9 lies 3 from the first one's end and 4 from the second one's begin
    assert stitcher.result()[0].tolist() == [0] * 9 + [1] * 4 + [2] * 7


def test_an_overlap_as_long_as_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than the window"):
        WindowBuffer(4, 4)
    with pytest.raises(ValueError, match="shorter than the window"):
        list(windows(9, 4, 4))
