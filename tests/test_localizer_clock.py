"""Networks that see a clip as T frames whatever its length: their spans in the clip's own seconds, by every door."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import write_clip
from conftest import TINY
from fakespan.boundary_map import at_clock, decode, iou_map_target, to_seconds
from fakespan.checkpoint import Checkpoint
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig, PostConfig
from fakespan.errors import UsageError
from fakespan.localizer import Clip, Localizer
from fakespan.localizer.findings import find_segments
from fakespan.localizer.maps import longest_span, window_frames
from fakespan.localizer.stretch import Stretch, listen
from fakespan.models import build_model
from fakespan.models.outputs import Branch

T, D = 40, 16
STRETCH = ModelConfig(n_frames=T, max_duration=D, clock="stretch")
PAD = ModelConfig(n_frames=T, max_duration=D)
POST = PostConfig(threshold=0.5)


class Planted(torch.nn.Module):
    """A network that knows the truth: what is bright or loud is forged. It counts in its own frames alone."""

    def __init__(self) -> None:
        super().__init__()
        self.n_seen: list[int] = []

    def encode_video(self, video, n_frames):
        self.n_seen.append(n_frames)
        return branch(video.mean(dim=(1, 3, 4))[0].numpy() > 0.5)

    def encode_audio(self, audio, n_frames):
        self.n_seen.append(n_frames)
        return branch(audio.mean(dim=1)[0].unflatten(0, (-1, 4)).mean(1).numpy() > -2)

    def fuse(self, seen, heard):
        return SimpleNamespace(score_map=torch.maximum(seen.map, heard.map))


def branch(is_forged: np.ndarray) -> Branch:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_forged, [False]]).astype(int)))
    said = torch.from_numpy(iou_map_target(edges.reshape(-1, 2) / 25, len(is_forged), len(is_forged), D))[None]
    logits = torch.from_numpy(np.where(is_forged, 9.0, -9.0).astype(np.float32))[None, None]
    return Branch(logits, logits, logits, said)


def localizer(model: ModelConfig) -> Localizer:
    return Localizer(Checkpoint("planted", model, POST, Planted()), "cpu")


def faces_with(n_frames: int, *lit: tuple[int, int]) -> np.ndarray:
    faces = np.full((n_frames, 96, 96, 3), 40, np.uint8)
    for begin, end in lit:
        faces[begin:end] = 210
    return faces


def sound_with(n_frames: int, *loud: tuple[int, int]) -> np.ndarray:
    sound = np.zeros(n_frames * SAMPLES_PER_FRAME, np.float32)
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, len(sound)).astype(np.float32)
    for begin, end in loud:
        part = slice(begin * SAMPLES_PER_FRAME, end * SAMPLES_PER_FRAME)
        sound[part] = noise[part]
    return sound


# -- one clip ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "n", "fps"), [(PAD, 36, 25.0), (STRETCH, 100, 10.0), (STRETCH, 32, 31.25)])
@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_a_planted_span_is_told_in_the_clips_own_seconds(model, n, fps, modality):
    begin, end = n // 4, n // 2
    faces, sound = (
        faces_with(n, *[(begin, end)] * (modality == "visual")),
        sound_with(n, *[(begin, end)] * (modality == "audio")),
    )
    maps = localizer(model).judge_clip(faces, sound)
    assert maps.fps == pytest.approx(fps)
    assert maps.score.shape == maps.visual.shape == maps.audio.shape == (D, maps.n_steps)
    assert maps.visual_frames.shape == maps.audio_frames.shape == (maps.n_steps,)
    proposals = to_seconds(decode(maps.score, maps.n_steps), maps.fps)
    best = proposals[proposals[:, 0].argmax()]
    assert best[0] > 0.99
    np.testing.assert_allclose(best[1:] * 25, [begin, end], atol=25 / maps.fps / 2 + 1e-6)
    np.testing.assert_allclose(getattr(maps, modality), maps.score)


@pytest.mark.parametrize(("model", "n"), [(PAD, 36), (STRETCH, 100), (STRETCH, 32), (STRETCH, 40), (STRETCH, 3)])
def test_judge_counts_in_the_files_frames_with_both_clocks(model, n):
    begin, end = n // 3, max(n // 2, n // 3 + 1)
    maps = localizer(model).judge_clip(faces_with(n, (begin, end)), sound_with(n)).at_file_clock()
    rows = longest_span(model, n)
    assert (maps.fps, maps.n_steps) == (25.0, n)
    assert {part.shape for part in (maps.score, maps.visual, maps.audio)} == {(rows, n)}
    assert {part.shape for part in (maps.visual_frames, maps.audio_frames)} == {(n,)}
    found = decode(maps.score, n, min_score=0.99)
    assert np.abs(found[:, 1:] - [begin, end]).min(axis=0).max() <= max(1, n / T)
    lit = np.flatnonzero(maps.visual_frames > 0.5)
    assert lit.min() >= begin - n / T
    assert lit.max() < end + n / T


@pytest.mark.parametrize(("model", "n", "n_windows"), [(STRETCH, 300, 1), (PAD, 300, 14), (PAD, 30, 1)])
def test_the_network_gets_all_of_a_clip_whatever_its_length(model, n, n_windows):
    judge = localizer(model)
    begin = n - 12  # beyond the first window of a long clip
    maps = [judge.judge([Clip(n, faces_with(n, (begin, n - 4)), sound_with(n))], batch_size=1)[0] for _ in range(2)]
    assert maps[0].n_steps == (T if model is STRETCH else n)
    assert judge.network.n_seen == [min(maps[0].n_steps, T)] * 2 * n_windows * len(maps)
    assert maps[0].score.max() > 0.99


def test_sound_that_is_too_long_or_too_short_is_fitted_to_the_picture():
    for model in (PAD, STRETCH):
        maps = [
            localizer(model).judge_clip(faces_with(30), s)
            for s in (sound_with(30), sound_with(31), np.zeros(7, np.float32))
        ]
        np.testing.assert_array_equal(maps[0].score, maps[1].score)
        np.testing.assert_array_equal(maps[0].score, maps[2].score)


@pytest.mark.parametrize("given_", [(None, None), (faces_with(0), None), (None, np.zeros(639, np.float32))])
def test_nothing_to_judge_is_refused(given_):
    with pytest.raises(UsageError, match="at least one frame, got none"):
        localizer(STRETCH).judge_clip(*given_)


# -- the map at another clock -----------------------------------------------------------------------------------------


def slow_at_clock(score_map: np.ndarray, n: int) -> np.ndarray:
    """Span by span."""
    rows, steps = score_map.shape
    moved = np.zeros((int(np.ceil(rows * n / steps - 1e-9)), n), np.float32)
    for t in range(steps):
        for d in range(min(rows, steps - t)):
            begin, end = (int(np.floor(k * n / steps + 0.5 + 1e-9)) for k in (t, t + d + 1))
            begin = min(begin, n - 1)
            end = max(end, begin + 1)
            moved[end - begin - 1, begin] = max(moved[end - begin - 1, begin], score_map[d, t])
    return moved


@given(st.integers(1, 12), st.integers(0, 20), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_a_map_at_another_clock_is_that_of_the_readable_twin(rows, more, n, seed):
    score_map = np.random.default_rng(seed).random((rows, rows + more), dtype=np.float32)
    moved = at_clock(score_map, n)
    np.testing.assert_array_equal(moved, slow_at_clock(score_map, n))
    fits = np.arange(rows + more) + np.arange(rows)[:, None] < rows + more
    assert moved.max() == score_map[fits].max()
    beyond = np.arange(n) + np.arange(len(moved))[:, None] >= n
    assert not moved[beyond].any()


@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_a_map_at_its_own_clock_is_itself(rows, more, seed):
    score_map = np.random.default_rng(seed).random((rows, rows + more), dtype=np.float32)
    fits = np.arange(rows + more) + np.arange(rows)[:, None] < rows + more
    np.testing.assert_array_equal(at_clock(score_map, rows + more), score_map * fits)


# -- stretches of files -----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 30), st.integers(0, 250), st.integers(80, 200), st.booleans())
def test_wherever_it_lies_in_a_long_file_it_is_found_once(length, begin, n_after, is_heard):
    n = begin + length + n_after
    span = (begin, begin + length)
    judge = localizer(STRETCH)
    if is_heard:
        maps = listen(judge.judge_clip, STRETCH, sound_with(n, span), 0, n)
    else:
        stretch = Stretch(judge.judge_clip, STRETCH, 0, np.zeros(0, np.float32))
        for image in faces_with(n, span):
            stretch.push(image)
        maps = stretch.finish()
    assert maps.score.shape == (longest_span(STRETCH, min(n, window_frames(STRETCH))), n)
    step = max(1.0, min(n, window_frames(STRETCH)) / T)  # of the network, in frames
    found = find_segments(maps, None, dataclasses.replace(POST, threshold=0.35))
    assert len(found) == 1
    assert abs(found[0].start_s * 25 - begin) <= 1.5 * step + 0.5
    assert abs(found[0].end_s * 25 - begin - length) <= 1.5 * step + 0.5


def test_a_window_is_ten_seconds_of_the_published_baseline():
    published = ModelConfig(n_frames=100, max_duration=30, clock="stretch")
    assert (window_frames(published), longest_span(published, 250)) == (250, 75)
    assert (window_frames(ModelConfig()), longest_span(ModelConfig(), 99)) == (512, 40)


@pytest.mark.parametrize("n", [60, 330])
def test_a_file_is_scanned_end_to_end(tmp_path, n):
    lit, loud = (n // 4, n // 4 + 12), (n // 2, n // 2 + 10)
    pictures = np.full((n, 32, 32, 3), 40, np.uint8)
    pictures[slice(*lit)] = 210
    path = write_clip(
        tmp_path / "clip.mkv",
        pictures,
        np.arange(n) / 25,
        sound=sound_with(n, loud)[None],
        sound_rate=16_000,
        audio_codec="pcm_s16le",
        b_frames=False,
    )
    result = localizer(STRETCH).scan(path, faces="whole", sound="all")
    assert [s.modality for s in result.segments] == ["visual", "audio"]
    for segment, span in zip(result.segments, (lit, loud), strict=True):
        assert segment.start_s * 25 == pytest.approx(span[0], abs=2.5)
        assert segment.end_s * 25 == pytest.approx(span[1], abs=2.5)
    assert all(len(c.values) == n for c in result.curves)
    assert result.duration_s == pytest.approx(n / 25, abs=0.05)


@pytest.mark.parametrize("family", ["small", "batfd", "batfd_plus"])
def test_every_network_runs_with_the_stretch_clock(family):
    parts = {} if family == "small" else {"video_encoder": "c3d", "audio_encoder": "cnn", "audio_widths": (4, 4, 4)}
    config = dataclasses.replace(TINY, family=family, clock="stretch", n_frames=16, **parts)
    torch.manual_seed(0)
    judge = Localizer(Checkpoint("random", config, POST, build_model(config)), "cpu")
    for n in (1, 7, 16, 45):
        maps = judge.judge_clip(np.zeros((n, 96, 96, 3), np.uint8), np.zeros(n * SAMPLES_PER_FRAME, np.float32))
        maps = maps.at_file_clock()
        assert maps.score.shape == (longest_span(config, n), n)
        assert maps.audio_frames.shape == (n,)
        assert np.isfinite(maps.score).all()
