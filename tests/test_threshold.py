"""The fitted threshold keeps the share of real clips that it promises."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fakespan.config import PostConfig
from fakespan.errors import DataError
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.threshold import pick_threshold, top_score


@pytest.mark.parametrize("n_clips", [2, 10, 30, 50, 90])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.98])
def test_the_threshold_keeps_the_share_of_real_clips_below(share, n_clips):
    scores = np.random.default_rng(0).uniform(0, 0.8, n_clips)
    threshold = pick_threshold(list(scores), share)
    assert share <= (scores < threshold).mean() < share + 0.05 + 1 / n_clips
    assert threshold == round(threshold, 3)


def test_a_threshold_is_never_zero_and_never_above_one():
    assert pick_threshold([0.0]) == 0.001
    assert pick_threshold([1.0]) == 1.0
    with pytest.raises(DataError, match="real clips"):
        pick_threshold([])


def test_the_top_score_is_that_of_a_span_that_fits_into_the_clip():
    score_map = np.zeros((4, 10), np.float32)
    score_map[0, 3], score_map[3, 8] = 0.4, 0.9  # the second would end after the clip
    maps = ClipMaps(25.0, score_map)
    localizer = SimpleNamespace(judge_clip=lambda faces, sound: maps, post=PostConfig(decoding="aligned"))
    assert top_score(localizer, None, np.zeros(6400, np.float32)) == pytest.approx(0.4)
