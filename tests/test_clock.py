"""The two clocks: what becomes of a clip's frames, sound and spans."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fakespan.config import SAMPLES_PER_FRAME
from fakespan.data.clock import fit_clock
from fakespan.data.example import Example


def clip(n: int, audio=(), visual=(), sound: np.ndarray | None = None) -> Example:
    """A clip whose frame k shows the number k, in base 256."""
    faces = np.zeros((n, 2, 2, 3), np.uint8)
    faces[:, 0, 0, 0], faces[:, 0, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    wave = np.zeros(n * SAMPLES_PER_FRAME, np.float32) if sound is None else sound
    return Example("a", faces, wave, tuple(audio), tuple(visual))


def shown(example: Example) -> np.ndarray:
    """The numbers of the frames that an example consists of."""
    return example.faces[:, 0, 0, 0].astype(int) + 256 * example.faces[:, 0, 0, 1].astype(int)


@given(st.integers(1, 700), st.integers(1, 200))
def test_stretching_takes_frames_evenly_from_the_whole_clip(n, n_wanted):
    taken = fit_clock(clip(n), "stretch", n_wanted)
    assert len(taken.faces) == n_wanted
    assert len(taken.sound) == n_wanted * SAMPLES_PER_FRAME
    frames, most = shown(taken), -(-n // n_wanted)
    assert set(np.diff(frames)) <= {n // n_wanted, most}  # in order, at even distances
    assert frames[0] == 0
    assert n - most <= frames[-1] < n
    assert max(np.bincount(frames)) <= -(-n_wanted // n)  # a short clip shows each frame about equally often


@given(st.integers(1, 700), st.integers(1, 200))
def test_stretching_takes_the_frames_that_nearest_interpolation_takes(n, n_wanted):
    # float64: at some lengths the float32 index of the twin lands one frame lower by rounding
    twin = F.interpolate(torch.arange(n, dtype=torch.float64)[None, None], size=n_wanted, mode="nearest-exact")
    taken = shown(fit_clock(clip(n), "stretch", n_wanted))
    assert np.abs(taken - twin[0, 0].numpy()).max() <= max(1, n / n_wanted)


def test_stretched_sound_is_that_of_linear_interpolation():
    wave = np.random.default_rng(0).normal(0, 0.1, 50 * SAMPLES_PER_FRAME).astype(np.float32)
    stretched = fit_clock(clip(50, sound=wave), "stretch", 20).sound
    twin = F.interpolate(torch.from_numpy(wave).double()[None, None], size=20 * SAMPLES_PER_FRAME, mode="linear")[0, 0]
    np.testing.assert_allclose(stretched, twin.numpy(), atol=1e-6)


def test_a_span_keeps_its_share_of_a_stretched_clip():
    stretched = fit_clock(clip(250, audio=[(2.0, 3.0)], visual=[(5.0, 10.0)]), "stretch", 100)
    np.testing.assert_allclose(stretched.audio_spans, [(0.8, 1.2)])
    np.testing.assert_allclose(stretched.visual_spans, [(2.0, 4.0)])


def test_a_short_clip_is_left_alone_by_padding():
    short = clip(30, audio=[(0.2, 0.6)])
    assert fit_clock(short, "pad", 512) is short


def test_what_lies_beyond_the_clock_is_cut():
    cut = fit_clock(clip(100, audio=[(1.0, 2.5), (3.0, 3.5)], visual=[(2.0, 2.2)]), "pad", 50)
    assert len(cut.faces) == 50
    assert len(cut.sound) == 50 * SAMPLES_PER_FRAME
    assert cut.audio_spans == ((1.0, 2.0),)
    assert cut.visual_spans == ()


@pytest.mark.parametrize("clock", ["pad", "stretch"])
def test_the_names_and_flags_stay(clock):
    fitted = fit_clock(Example("x/1.mp4", clip(9).faces, clip(9).sound, has_sound=False), clock, 5)
    assert (fitted.name, fitted.has_sound, fitted.has_picture) == ("x/1.mp4", False, True)
