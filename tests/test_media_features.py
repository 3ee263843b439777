"""The networks' inputs agree with the published ones, and mean what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.media.crop import MOUTH_BOX, prepare_crop
from fakespan.media.features import log_mel, mel_filters, sound_input, spectrum, spectrum_of_mel

GOLDEN = np.load(Path(__file__).parent / "golden" / "features.npz")


def test_log_mel_equals_the_published_one():
    wave = np.zeros(int(512 / 25 * 16_000), np.float32)
    wave[:32_000] = GOLDEN["waveform"]
    mel = log_mel(wave).numpy()
    assert mel.shape == (64, 2048)
    np.testing.assert_allclose(mel[:, :240], GOLDEN["log_mel"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mel[:, -2:], GOLDEN["log_mel_silence"], rtol=1e-3)


def test_log_mel_against_its_slow_twin():
    wave = np.random.default_rng(0).normal(size=1600) * 0.1
    padded = np.pad(wave, 160, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(321) / 321)
    columns = []
    for column in range(10):
        spectrum = np.fft.rfft(padded[column * 160 : column * 160 + 321] * window)
        columns.append(np.log(mel_filters() @ np.abs(spectrum) ** 2 + 0.01))
    np.testing.assert_allclose(log_mel(wave).numpy(), np.stack(columns, axis=1), atol=1e-4)


@pytest.mark.parametrize("hz", [200, 440, 1000, 3000, 7000])
def test_a_tone_lights_the_band_of_its_pitch(hz):
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)
    band = int(log_mel(wave).mean(dim=1).argmax())
    bins_hz = np.linspace(0, 8000, 161)
    low, high = bins_hz[mel_filters()[band] > 0][[0, -1]]
    assert low - 60 <= hz <= high + 60


@given(st.integers(0, 2000))
@settings(max_examples=30, deadline=None)
def test_any_length_gives_a_column_every_ten_milliseconds(n):
    mel = log_mel(np.zeros(n, np.float32))
    assert mel.shape == (64, n // 160)
    assert torch.allclose(mel, torch.full_like(mel, np.log(0.01)))


def test_batches_equal_their_rows():
    waves = torch.randn(2, 3, 3200, generator=torch.Generator().manual_seed(0))
    batch = log_mel(waves)
    assert batch.shape == (2, 3, 64, 20)
    torch.testing.assert_close(batch[1, 2], log_mel(waves[1, 2]))


@pytest.mark.parametrize("size", [(96, 96), (30, 40), (224, 224), (500, 480), (1, 1)])
def test_a_crop_of_any_size_becomes_a_face(size):
    crop = np.zeros((*size, 3), np.uint8)
    crop[: size[0] // 2] = 200
    face = prepare_crop(crop)
    assert face.shape == (96, 96, 3)
    assert face.dtype == np.uint8
    if size[0] > 1:
        assert face[:40].mean() > 190
        assert face[56:].mean() < 10


@pytest.mark.parametrize("size", [(224, 224), (500, 480), (96, 96), (30, 40), (2, 2), (1, 1)])
def test_a_mouth_is_the_fixed_box_of_its_crop(size):
    crop = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    mouth = prepare_crop(crop, framing="mouth")
    assert mouth.shape == (96, 96, 3)
    marked = np.zeros((*size, 3), np.uint8)
    x0, y0, x1, y1 = (round(part * side) for part, side in zip(MOUTH_BOX, (size[1], size[0]) * 2, strict=True))
    marked[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = 255
    if min(size) > 50:
        assert prepare_crop(marked, framing="mouth")[6:-6, 6:-6].min() > 200
    outside = np.full((*size, 3), 255, np.uint8)
    outside[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = 0
    assert prepare_crop(outside, framing="mouth").max() == 0


def test_a_224_crop_is_resized_as_published():
    frames = GOLDEN["frames"].transpose(0, 2, 3, 1)
    prepared = prepare_crop(np.ascontiguousarray(frames[0])).astype(float)
    published = GOLDEN["resized"][0].transpose(1, 2, 0).clip(0, 1) * 255
    assert np.abs(prepared - published).max() <= 1.01


def test_spectrum_against_its_slow_twin():
    wave = np.random.default_rng(0).normal(size=1600) * 0.1
    padded = np.pad(wave, 256, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    bins = np.stack([np.fft.rfft(padded[160 * m : 160 * m + 512] * window) for m in range(10)], axis=1)
    views = spectrum(wave).numpy()
    assert views.shape == (5, 256, 10)
    np.testing.assert_allclose(views[0], np.log(np.abs(bins[1:]) ** 2 + 1e-4), atol=1e-3)
    for k, m in ((3, 1), (100, 4), (255, 9)):
        turned = np.angle(bins[k + 1, m]) - np.angle(bins[k + 1, m - 1]) - 2 * np.pi * (k + 1) * 160 / 512
        np.testing.assert_allclose(views[1:3, k, m], [np.cos(turned), np.sin(turned)], atol=1e-3)
        across = np.angle(bins[k + 1, m]) - np.angle(bins[k, m]) + np.pi
        np.testing.assert_allclose(views[3:, k, m], [np.cos(across), np.sin(across)], atol=1e-3)


@pytest.mark.parametrize("hz", [500.0, 1000.0, 3906.25])
def test_a_steady_tone_stands_in_its_band_and_turns_as_its_frequency_says(hz):
    views = spectrum(np.sin(2 * np.pi * hz * np.arange(16_000) / 16_000)).numpy()[:, :, 5:-5]
    band = int(views[0].mean(axis=1).argmax())
    assert abs((band + 1) * 31.25 - hz) <= 16
    turn = 2 * np.pi * (hz - (band + 1) * 31.25) * 160 / 16_000
    np.testing.assert_allclose(views[1, band], np.cos(turn), atol=1e-3)
    np.testing.assert_allclose(views[2, band], np.sin(turn), atol=1e-3)


def test_a_click_in_the_middle_of_a_window_has_phase_zero_over_frequency():
    wave = np.zeros(3200, np.float32)
    wave[1600] = 1.0  # column 10 is centred on it, column 11 is 160 samples late
    views = spectrum(wave).numpy()
    np.testing.assert_allclose(views[3, :, 10], 1.0, atol=1e-4)
    late = 2 * np.pi * 160 / 512
    np.testing.assert_allclose(views[3, :, 11], np.cos(late), atol=1e-3)
    np.testing.assert_allclose(views[4, :, 11], np.sin(late), atol=1e-3)


@given(st.integers(0, 2000), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_spectrum_has_the_columns_of_the_mel_and_no_nan_in_silence(n, batch):
    views = spectrum(np.zeros((batch, n), np.float32))
    assert views.shape == (batch, 5, 256, n // 160)
    assert torch.isfinite(views).all()


def test_a_log_mel_gives_back_the_levels_of_a_spectrum_but_no_phases():
    rng = np.random.default_rng(0)
    tilt = np.fft.irfft(np.fft.rfft(rng.normal(0, 0.3, 32_000)) / np.linspace(1, 8, 16_001)).astype(np.float32)
    whole, left = spectrum(tilt), spectrum_of_mel(log_mel(tilt))
    assert left.shape == whole.shape
    assert not left[1:].any()
    levels = whole[0].exp().mean(1).log()[8:-8]  # of noise single bins say little: their means over time
    found = left[0].exp().mean(1).log()[8:-8]
    assert (found - levels).abs().max() < 0.6
    assert (found - levels).mean().abs() < 0.1


def test_every_encoder_but_spectrum_hears_mel():
    wave = np.random.default_rng(0).normal(size=1600)
    assert torch.equal(sound_input("spectrum", wave), spectrum(wave))
    assert all(torch.equal(sound_input(name, wave), log_mel(wave)) for name in ("cnn", "mel", "vit_t"))
