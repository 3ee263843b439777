"""Forged sound: only the span changes, at its loudness, and each treatment does what its name says."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import tone
from fakespan.config import SAMPLE_RATE
from fakespan.forge.voice import Treatment, forge_sound, match_level, replace_span, stretch, through_mel

pytestmark = pytest.mark.usefixtures("one_thread")

TREATMENTS = get_args(Treatment)


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzz of 130 Hz under two formants, with syllables and breath noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / (1 + abs(130 * k - 700) / 300) for k in range(1, 40))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t + seed)
    return (0.05 * buzz * syllables + 0.003 * rng.standard_normal(len(t))).astype(np.float32)


def pitch_hz(sound: np.ndarray) -> float:
    """The strongest frequency, to a fraction of a hertz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 16 * SAMPLE_RATE))
    return float(np.argmax(spectrum)) / 16


def level_db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(sound.astype(np.float64) ** 2) + 1e-12))


def band_levels_db(sound: np.ndarray) -> np.ndarray:
    """Mean level in bands of 250 Hz up to 4 kHz: the spectral envelope."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return 10 * np.log10([band.mean() + 1e-9 for band in np.array_split(power[: len(power) // 2], 16)])


@pytest.mark.parametrize("span_s", [(1.0, 1.6), (0.0, 0.2), (2.8, 3.0)])
@pytest.mark.parametrize("has_donor", [True, False])
@pytest.mark.parametrize("treatment", TREATMENTS)
def test_the_span_changes_and_nothing_else(treatment, has_donor, span_s):
    if treatment == "none" and not has_donor:
        with pytest.raises(ValueError, match="no forgery"):
            forge_sound(speech_like(3.0), (0, 3200), None, "none", np.random.default_rng(0))
        return
    sound = speech_like(3.0)
    sound.flags.writeable = False
    start, end = (round(s * SAMPLE_RATE) for s in span_s)
    donor = speech_like(1.5 * (end - start) / SAMPLE_RATE + 0.1, seed=1) if has_donor else None
    if donor is not None:
        donor.flags.writeable = False
    forged = forge_sound(sound, (start, end), donor, treatment, np.random.default_rng(3))
    assert (forged.shape, forged.dtype) == (sound.shape, np.float32)
    assert np.isfinite(forged).all()
    np.testing.assert_array_equal(forged[:start], sound[:start])
    np.testing.assert_array_equal(forged[end:], sound[end:])
    gap = forged[start:end] - sound[start:end]
    assert level_db(gap) > level_db(sound[start:end]) - 40
    assert np.flatnonzero(gap)[0] < 8  # the change begins where the span begins, and lasts to its end
    assert np.flatnonzero(gap)[-1] >= end - start - 8
    assert abs(level_db(forged[start:end]) - level_db(sound[start:end])) < 3


def test_the_same_seed_forges_the_same_sound_and_another_seed_another():
    def forge(seed: int) -> np.ndarray:
        return forge_sound(speech_like(2.0), (8000, 16000), None, "mel", np.random.default_rng(seed))

    np.testing.assert_array_equal(forge(1), forge(1))
    assert not np.array_equal(forge(1), forge(2))


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_silence_stays_finite(treatment):
    silence = np.zeros(16000, np.float32)
    for sound, donor in ((silence, speech_like(1.0)), (speech_like(1.0), silence)):
        forged = forge_sound(sound, (4800, 9600), donor, treatment, np.random.default_rng(0))
        assert np.isfinite(forged).all()
        assert np.abs(forged).max() <= np.abs(sound).max() + 0.1


@pytest.mark.parametrize("span", [(0, 8000), (20000, 28000), (40000, 48000)])
def test_treated_words_stay_in_their_place(span):
    start, end = span
    sound = np.convolve(np.random.default_rng(0).standard_normal(48000), np.ones(8) / 80, "same").astype(np.float32)
    forged = forge_sound(sound, span, None, "band", np.random.default_rng(0))[start:end]
    lags = np.correlate(forged[400:-400], sound[start:end], "valid")
    assert abs(int(np.argmax(lags)) - 400) <= 2


def test_words_lent_are_the_donors():
    donor = tone(1.0, SAMPLE_RATE, 900.0)[0]
    forged = forge_sound(tone(2.0, SAMPLE_RATE, 300.0)[0], (8000, 16000), donor, "none", np.random.default_rng(0))
    assert pitch_hz(forged[8000:16000]) == pytest.approx(900, rel=0.01)
    assert pitch_hz(forged[16000:]) == pytest.approx(300, rel=0.01)


def test_stretching_keeps_the_pitch_and_changes_the_length():
    for rate in (0.72, 0.9, 1.0, 1.25, 1.4):
        slow_or_fast = stretch(tone(1.0, SAMPLE_RATE, 440.0)[0], rate)
        assert len(slow_or_fast) == int(SAMPLE_RATE / rate)
        assert pitch_hz(slow_or_fast) == pytest.approx(440, rel=0.02)
        assert level_db(slow_or_fast) == pytest.approx(
            level_db(tone(1.0, SAMPLE_RATE)[0]), abs=6
        )  # bins lose step: phasiness


def test_stretching_keeps_the_order_of_events():
    sound = np.concatenate([tone(0.5, SAMPLE_RATE, 300.0)[0], tone(0.5, SAMPLE_RATE, 900.0)[0]])
    slow = stretch(sound, 0.5)
    assert pitch_hz(slow[2000:14000]) == pytest.approx(300, rel=0.02)
    assert pitch_hz(slow[18000:30000]) == pytest.approx(900, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_the_pitch_treatment_moves_a_tone_by_one_to_four_semitones(seed):
    forged = forge_sound(tone(2.0, SAMPLE_RATE)[0], (8000, 20000), None, "pitch", np.random.default_rng(seed))
    semitones = abs(12 * np.log2(pitch_hz(forged[9000:19000]) / 440))
    assert 0.9 < semitones < 4.1


@pytest.mark.parametrize("seed", range(3))
def test_the_speed_treatment_keeps_a_tone(seed):
    forged = forge_sound(tone(2.0, SAMPLE_RATE)[0], (8000, 20000), None, "speed", np.random.default_rng(seed))
    assert pitch_hz(forged[9000:19000]) == pytest.approx(440, rel=0.02)


def test_the_band_treatment_takes_the_upper_band_away():
    noise = (0.1 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    forged = forge_sound(noise, (8000, 24000), None, "band", np.random.default_rng(1))
    high = (
        np.abs(np.fft.rfft(forged[8400:23600]))[-2000:].mean() / np.abs(np.fft.rfft(noise[8400:23600]))[-2000:].mean()
    )
    assert high < 0.2


def test_the_mel_round_trip_keeps_the_envelope_and_loses_the_phases():
    sound = speech_like(1.0)
    back = through_mel(sound, 80, 16, np.random.default_rng(0))
    assert back.shape == sound.shape
    assert np.abs(band_levels_db(back) - band_levels_db(sound)).mean() < 5
    assert np.corrcoef(back, sound)[0, 1] < 0.9


@given(gain=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_levels_are_matched_within_12_db(gain, seed):
    like = speech_like(0.1, seed)
    span = np.float32(gain) * speech_like(0.1, seed + 1)
    matched = match_level(span, like)
    change = level_db(matched) - level_db(span)
    assert -12.1 <= change <= 12.1
    if abs(level_db(like) - level_db(span)) < 11.5:
        assert level_db(matched) == pytest.approx(level_db(like), abs=0.6)


@given(n=st.integers(1, 60), start=st.integers(0, 40), length=st.integers(1, 60), fade=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_the_seams_fade_from_the_old_sound_to_the_new(n, start, length, fade):
    sound = np.full(start + length + n, -1.0, np.float32)
    out = replace_span(sound, start, np.ones(length, np.float32), fade)
    middle = out[start : start + length]
    assert (out[:start] == -1).all()
    assert (out[start + length :] == -1).all()
    assert (np.abs(middle) <= 1).all()
    np.testing.assert_allclose(middle, middle[::-1], atol=1e-6)
    assert (np.diff(middle[: length // 2]) >= 0).all()
    assert middle[length // 2] == 1
