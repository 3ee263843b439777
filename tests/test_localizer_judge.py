"""Clips in batches: what is said of one must not depend on the others, nor on how many go at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from conftest import TINY
from fakespan.checkpoint import Checkpoint
from fakespan.config import ModelConfig, PostConfig
from fakespan.localizer import Clip, Localizer
from fakespan.localizer.judge import Judge
from fakespan.models import build_model

BATFD = ModelConfig(
    n_frames=24,
    max_duration=8,
    n_samples=4,
    n_features=8,
    video_widths=(2, 2, 2, 2),
    audio_widths=(4, 4, 2),
    boundary_widths=(8, 8),
    sampling="reference",
)
PLUS = ModelConfig(**{**vars(BATFD), "family": "batfd_plus", "boundary_generator": True})
PARTS = ("score", "visual", "audio", "visual_frames", "audio_frames")
FAMILIES = {"small": TINY, "batfd": BATFD, "batfd_plus": PLUS}


def localizer_of(model: ModelConfig) -> Localizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_model(model)
    return Localizer(Checkpoint("random", model, PostConfig(), network), "cpu")


def clip(n_frames: int, seed: int, *, seen: bool = True, heard: bool = True) -> Clip:
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 256, (n_frames, 96, 96, 3), dtype=np.uint8)
    sound = rng.normal(0, 0.1, 640 * n_frames).astype(np.float32)
    return Clip(n_frames, faces if seen else None, sound if heard else None)


CLIPS = [
    clip(20, 0),
    clip(13, 1),
    clip(20, 2, heard=False),
    clip(13, 3),
    clip(9, 4, seen=False),
    clip(40, 5),  # of BA-TFD in windows
    clip(10, 7, seen=False, heard=False),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_company_of_a_clip_does_not_matter(family):
    localizer = localizer_of(FAMILIES[family])
    alone = [localizer.judge([c], 1)[0] for c in CLIPS]
    for one, together in zip(alone, localizer.judge(CLIPS, 3), strict=True):
        if one is None:
            assert together is None
            continue
        for name in PARTS:
            a, b = getattr(one, name), getattr(together, name)
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("family", ["small", "batfd"])
def test_a_batch_says_what_is_said_of_each_clip_alone(family):
    localizer = localizer_of(FAMILIES[family])
    for c, maps in zip(CLIPS, localizer.judge(CLIPS), strict=True):
        if maps is None or c.n_frames > localizer.model.n_frames:
            continue
        said = localizer.judge_clip(c.faces, c.sound)
        for name in PARTS:
            a, b = getattr(maps, name), getattr(said, name)
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_stretched_network_sees_each_clip_whole():
    localizer = localizer_of(dataclasses.replace(TINY, clock="stretch", n_frames=24))
    for c, maps in zip(CLIPS, localizer.judge(CLIPS), strict=True):
        if maps is not None:
            said = localizer.judge_clip(c.faces, c.sound)
            assert maps.fps == said.fps == pytest.approx(25 * 24 / c.n_frames)
            for name in PARTS:
                a, b = getattr(maps, name), getattr(said, name)
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_boundary_generator_has_its_say_in_each_map():
    localizer, c = localizer_of(PLUS), clip(24, 0)
    (maps,) = localizer.judge([c])
    faces = torch.from_numpy(c.faces).permute(3, 0, 1, 2)[None].float() / 255
    from fakespan.media.features import log_mel

    output = localizer.predict(faces, log_mel(c.sound[None]))
    for found, map_, start, end in (
        (maps.score, output.fused, output.start, output.end),
        (maps.visual, output.visual, output.visual_start, output.visual_end),
        (maps.audio, output.audio, output.audio_start, output.audio_end),
    ):
        for d, t in ((0, 0), (5, 10), (7, 16), (3, 23)):
            wanted = map_[0, d, t] * start[0, t] * end[0, min(t + d, 23)]  # 2305.01979, section 3.5
            assert found[d, t] == pytest.approx(float(wanted), abs=1e-5)


class Echo:
    """A network of one number a frame: the map at [d, t] says which frame it looked at, and how loud it was."""

    def __init__(self):
        self.judge = Judge(self, ModelConfig(n_frames=64, max_duration=8))
        self.n_parts = []

    def __call__(self, faces, sound, n_frames):
        assert sound is None
        self.n_parts.append(len(faces))
        number = faces[:, :, 0, 0, 0].astype(np.float32)
        maps = np.repeat(number[:, None], 8, axis=1)
        return {"score": maps, "visual": maps, "visual_frames": number / 256}


def test_a_long_clip_is_judged_whole_from_its_windows():
    faces = np.zeros((200, 96, 96, 3), np.uint8)
    faces[:, 0, 0, 0] = np.arange(200)
    echo = Echo()
    (maps,) = echo.judge([Clip(200, faces, None)], batch_size=3)
    assert sum(echo.n_parts) == 4
    assert max(echo.n_parts) == 3
    assert maps.score.shape == (8, 200)
    for d in range(8):  # every span that fits is there, and comes from its own frame
        np.testing.assert_allclose(maps.score[d, : 200 - d], np.arange(200 - d), atol=1e-3)
    np.testing.assert_allclose(maps.visual_frames, np.arange(200) / 256, atol=1e-4)
    assert maps.audio is None
    assert maps.audio_frames is None


@pytest.mark.parametrize("seen", [True, False])
def test_a_long_clip_says_what_its_windows_say_deep_inside(seen):
    localizer, c = localizer_of(BATFD), clip(60, 8, seen=seen)  # T = 24, D = 8: windows that share 12 frames
    (maps,) = localizer.judge([c])
    assert maps.score.shape == (8, 60)
    for begin, first, last in ((0, 0, 12), (12, 18, 24), (36, 54, 60)):  # frames that lie deepest in this window
        part = c.part(begin, begin + 24)
        said = localizer.judge_clip(part.faces, part.sound)
        for name in PARTS:
            whole, own = getattr(maps, name), getattr(said, name)
            assert (whole is None) == (own is None) == (not seen and name.startswith("visual"))
            if whole is not None:  # of a map, spans of one frame
                whole, own = np.atleast_2d(whole)[0], np.atleast_2d(own)[0]
                np.testing.assert_allclose(whole[first:last], own[first - begin : last - begin], atol=1e-5)


def test_no_clips_and_clips_of_no_frames_are_no_trouble():
    localizer = localizer_of(TINY)
    assert localizer.judge([]) == []
    assert localizer.judge([clip(0, 0)]) == [None]
    (maps,) = localizer.judge([Clip(30, None, np.zeros(100, np.float32))])  # sound that ends early
    assert maps.score.shape == (10, 30)
