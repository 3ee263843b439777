"""What is done to training clips changes how they look and sound, never what is true of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.config import from_mapping
from fakespan.data.augment import MIN_SPAN_FRAMES, AugmentConfig, augment, cut
from fakespan.data.example import Example
from fakespan.errors import ConfigError
from fakespan.train import RunConfig, TrainConfig
from fakespan.train.data import AugmentedClips
from fakespan.train.order import Order


def numbered(n: int, **spans) -> Example:
    """Every frame's colour and every sample's value is the number of its frame."""
    faces = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 96, 96, 3)).copy()
    return Example("clip", faces, np.repeat(np.arange(n), 640).astype(np.float32) / 256, **spans)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 50), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_a_stretch_keeps_picture_sound_and_truth_together(n, n_wanted, begin, length, seed):
    span = (min(begin, n - 1) / 25, min(begin + length, n) / 25)
    shown = cut(numbered(n, audio_spans=(span,)), n_wanted, np.random.default_rng(seed))
    first = int(shown.faces[0, 0, 0, 0])
    assert len(shown.faces) == min(n, n_wanted)
    assert shown.start_s == pytest.approx(first / 25)
    np.testing.assert_array_equal(shown.sound, np.repeat(np.arange(first, first + len(shown.faces)), 640) / 256)
    own = {k for k in range(first, first + len(shown.faces)) if span[0] * 25 <= k + 0.5 < span[1] * 25}
    told = {k for a, b in shown.audio_spans for k in range(n) if a * 25 <= k - first + 0.5 < b * 25}
    assert own == told


def test_spans_are_shown_well_or_not_at_all_where_there_is_room():
    clip = numbered(100, visual_spans=((2.0, 2.4),))
    for seed in range(50):
        lengths = [25 * (b - a) for a, b in cut(clip, 50, np.random.default_rng(seed)).spans]
        assert all(length >= MIN_SPAN_FRAMES - 1e-6 for length in lengths)


def test_all_of_a_clip_is_taken_where_no_length_is_asked_for():
    clip = numbered(40)
    assert cut(clip, 0, np.random.default_rng(0)) is clip


def test_nothing_asked_for_changes_nothing():
    clip = numbered(30, audio_spans=((0.2, 0.6),))
    same = augment(clip, AugmentConfig(), np.random.default_rng(0))
    np.testing.assert_array_equal(same.faces, clip.faces)
    np.testing.assert_array_equal(same.sound, clip.sound)
    assert same.spans == clip.spans


@pytest.mark.parametrize("seed", range(6))
def test_a_disturbed_clip_keeps_its_shape_and_truth(seed):
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 256, (20, 96, 96, 3), np.uint8)
    clip = Example(
        "clip", faces, (0.1 * rng.standard_normal(640 * 20)).astype(np.float32), ((0.2, 0.6),), ((0.2, 0.6),)
    )
    other = augment(clip, AugmentConfig(disturb=1.0, codec=1.0), np.random.default_rng(seed))
    assert other.faces.shape == clip.faces.shape
    assert other.faces.dtype == np.uint8
    assert other.sound.shape == clip.sound.shape
    assert other.sound.dtype == np.float32
    assert (other.audio_spans, other.visual_spans) == (clip.audio_spans, clip.visual_spans)
    assert not np.array_equal(other.faces, clip.faces)


def test_sound_is_moved_by_whole_frames_and_what_is_missing_is_silence():
    clip, config, offsets = numbered(30), AugmentConfig(shift_frames=2), set()
    for seed in range(40):
        moved = augment(clip, config, np.random.default_rng(seed)).sound.reshape(30, 640)[:, 0] * 256
        k = int(10 - moved[10])
        offsets.add(k)
        np.testing.assert_array_equal(moved, [n - k if 0 <= n - k < 30 else 0 for n in range(30)])
    assert offsets == {-2, -1, 0, 1, 2}


def test_a_clip_that_is_shorter_than_the_shift_is_silent():
    config = AugmentConfig(shift_frames=9)
    moved = [augment(numbered(3), config, np.random.default_rng(seed)).sound for seed in range(20)]
    assert all(len(sound) == 3 * 640 for sound in moved)
    assert any(not sound.any() for sound in moved)


@pytest.mark.parametrize("missing", ["has_picture", "has_sound"])
def test_what_stands_for_a_missing_picture_or_sound_is_left_alone(missing):
    clip = Example("clip", np.zeros((8, 96, 96, 3), np.uint8), np.zeros(8 * 640, np.float32), **{missing: False})
    other = augment(clip, AugmentConfig(disturb=1.0), np.random.default_rng(1))
    kept, changed = (other.faces, other.sound) if missing == "has_picture" else (other.sound, other.faces)
    assert not kept.any()
    assert changed.any() == (missing == "has_sound")  # silence stays silent, whatever the level


@pytest.mark.parametrize("seed", range(8))
def test_picture_sound_and_truth_play_at_one_speed(seed):
    clip = numbered(100, audio_spans=((1.0, 2.0),))
    fast = augment(clip, AugmentConfig(n_frames=50, speed=0.3), np.random.default_rng(seed))
    n = len(fast.faces)
    assert abs(n - 50) <= 1
    assert len(fast.sound) == 640 * n
    shown = fast.faces[:, 0, 0, 0].astype(float)
    heard = 256 * fast.sound.reshape(n, 640)[:, 320]
    assert np.abs(shown - heard).max() <= 1.01
    for begin, end in fast.audio_spans:
        inside = shown[round(begin * 25) : round(end * 25)]
        assert inside.min() >= 24
        assert inside.max() <= 50
    rate = (shown[-1] - shown[0]) / (n - 1)
    assert 1 / 1.34 <= rate <= 1.34


def test_an_equalised_voice_is_the_same_but_for_its_colour():
    rng = np.random.default_rng(0)
    clip = dataclasses.replace(numbered(25), sound=(0.05 * rng.standard_normal(16_000)).astype(np.float32))
    other = augment(clip, AugmentConfig(equalise_db=6.0), np.random.default_rng(1)).sound
    gains_db = 20 * np.log10(np.abs(np.fft.rfft(other)) / np.abs(np.fft.rfft(clip.sound)))
    assert np.abs(np.diff(gains_db[10:-10])).max() < 0.1  # smooth
    assert 2 < np.std(gains_db) < 12


class Clips:
    """A set of five."""

    def __len__(self) -> int:
        return 5

    def name(self, k: int) -> str:
        return f"clip {k}"

    def __getitem__(self, k: int) -> Example:
        return dataclasses.replace(numbered(40), name=self.name(k))


def test_training_sees_all_clips_each_turn_otherwise_and_the_same_again_when_resumed():
    config = AugmentConfig(n_frames=10, disturb=0.5)
    first, second = (AugmentedClips(Clips(), config, Order(5, 3, "epoch")) for _ in range(2))
    for turn in range(3):
        assert {first[5 * turn + k].name for k in range(5)} == {f"clip {k}" for k in range(5)}
    assert [first.name(k) for k in range(15)] == [first[k].name for k in range(15)]
    np.testing.assert_array_equal(first[13].faces, second[13].faces)
    starts = {first[k].start_s for k in range(40) if first[k].name == "clip 0"}
    assert len(starts) > 4


@pytest.mark.parametrize(
    "values",
    [
        {"n_frames": -1},
        {"disturb": 1.5},
        {"codec": -0.1},
        {"shift_frames": -1},
        {"speed": 0.6},
        {"equalise_db": -1.0},
        {"blur": 1.0},
    ],
)
def test_values_that_cannot_be_are_refused(values):
    with pytest.raises(ConfigError, match=r"augment|known"):
        from_mapping(RunConfig, {"augment": values})


def test_a_run_without_the_table_leaves_clips_alone():
    assert RunConfig(train=TrainConfig()).augment == AugmentConfig()
