"""Ratings against numbers counted by hand, with stand-ins for the network."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fakespan.boundary_map import iou_map_target
from fakespan.config import PostConfig
from fakespan.data.example import Example
from fakespan.errors import DataError
from fakespan.evaluate import evaluate_split, false_alarms, propose, rate, rate_by_kind
from fakespan.localizer import ClipMaps

N, D = 50, 20


def example(name: str, audio=(), visual=()) -> Example:
    return Example(name, np.zeros((N, 1, 1, 3), np.uint8), np.zeros(640 * N, np.float32), audio, visual)


class Oracle:
    """Says of every clip, in turn, what it was told to say; of every file, what lies in it."""

    def __init__(self, maps=(), segments=()):
        self.maps, self.post = iter(maps), PostConfig(threshold=0.5)
        self.segments, self.thresholds = dict(segments), []

    def judge_clip(self, faces, sound):
        assert len(sound) == 640 * len(faces)
        return ClipMaps(25.0, next(self.maps))

    def scan(self, path, *, threshold=None):
        self.thresholds.append(threshold)
        return SimpleNamespace(file=str(path), duration_s=30.0, segments=self.segments.get(Path(path).name, ()))


def truth_map(e: Example, top: float = 1.0) -> np.ndarray:
    return top * iou_map_target(e.spans, N, N, D)


def flat_map(score: float) -> np.ndarray:
    return np.full((D, N), score, np.float32)


def test_the_best_proposal_of_a_perfect_map_is_the_truth():
    e = example("a", audio=((0.4, 0.92),))
    proposals = propose(Oracle([truth_map(e)]), e)
    np.testing.assert_allclose(proposals[0], (1, 0.4, 0.92), atol=1e-6)
    assert (np.diff(proposals[:, 0]) <= 0).all()
    assert len(propose(Oracle([truth_map(e)]), e, PostConfig(max_proposals=3))) == 3


def test_a_rating_is_what_one_counts_by_hand():
    examples = [example("a", audio=((1.0, 2.0),)), example("b", visual=((0.0, 1.0),)), example("c"), example("d")]
    proposals = [
        np.array([[0.9, 1.0, 1.9]]),  # IoU 0.9
        np.array([[0.6, 0.0, 0.6], [0.3, 0.0, 1.0]]),  # IoU 0.6, then 1
        np.array([[0.7, 0.0, 1.0]]),  # a false one, between the right ones
        np.zeros((0, 3)),
    ]
    rating = rate(proposals, examples)
    assert (rating.n_clips, rating.n_spans) == (4, 2)
    # at 0.5 hits are ranks 1 and 3 of 4: recalls 1/2 and 1, precisions 1 and 2/3; the first adds no area of its own
    assert rating.ap[0.5] == pytest.approx(0.5 * 2 / 3)
    assert rating.ap[0.75] == pytest.approx(0.5 * 2 / 4)  # ranks 1 and 4
    assert rating.ap[0.95] == pytest.approx(0.5 * 1 / 4)  # rank 4 alone
    assert rating.ar10 == pytest.approx((8 + 10) / 20)  # IoU 0.9 passes 0.5 ... 0.85; IoU 1 all ten
    assert rating.auc == pytest.approx(3 / 4)  # 0.9 and 0.6 against 0.7 and 0
    low, high = rating.ap50_interval
    assert 0 <= low <= rating.ap[0.5] <= high <= 1
    assert rating.to_dict()["AP@0.5"] == 0.3333


def test_without_real_clips_there_is_no_auc_and_without_forged_ones_no_rating():
    forged = example("a", audio=((1.0, 2.0),))
    assert math.isnan(rate([np.array([[0.9, 1.0, 2.0]])], [forged]).auc)
    with pytest.raises(DataError, match="forged span"):
        rate([np.zeros((0, 3))], [example("c")])


def test_each_kind_is_rated_with_the_real_clips():
    audio, real = example("a", audio=((0.4, 0.92),)), example("r")
    both = example("b", audio=((1.0, 1.4),), visual=((1.0, 1.4),))
    oracle = Oracle([truth_map(audio), flat_map(0.0), 0.5 * truth_map(both)])
    ratings = rate_by_kind(oracle, [audio, real, both])
    assert list(ratings) == ["all", "audio", "both"]
    assert [r.n_clips for r in ratings.values()] == [3, 2, 2]
    assert [r.n_spans for r in ratings.values()] == [2, 1, 1]
    assert ratings["all"].auc == ratings["audio"].auc == 1
    assert ratings["all"].ar10 == pytest.approx(1)


def test_false_alarms_are_counted_by_the_minute():
    oracle = Oracle(segments={"b.mp4": ("one", "two")})
    alarms = false_alarms(oracle, [Path("x/a.mp4"), Path("x/b.mp4"), Path("y/c.mp4")], threshold=0.3)
    assert (alarms.n_files, alarms.minutes, alarms.n_segments, alarms.files) == (3, 1.5, 2, {"b.mp4": 2})
    assert alarms.per_minute == pytest.approx(2 / 1.5)
    assert oracle.thresholds == [0.3] * 3
    assert false_alarms(oracle, []).per_minute == 0


def test_the_numbers_of_a_split():
    audio, real = example("a", audio=((0.4, 0.92),)), example("r")
    oracle = Oracle([truth_map(audio), flat_map(0.0)], {"b.mp4": ("one",)})
    numbers = evaluate_split(oracle, [audio, real], [Path("a.mp4"), Path("b.mp4")])
    assert set(numbers["practice"]) == {"all", "audio"}
    assert numbers["threshold"] == 0.5
    assert numbers["false alarms"] == {"files": 2, "minutes": 1.0, "segments": 1, "per minute": 1.0, "in": {"b.mp4": 1}}
