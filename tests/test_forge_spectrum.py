"""Spectra of speech: the way there and back, another speed, and what a mel bottleneck loses."""

from __future__ import annotations

import numpy as np
import pytest

from clips import tone
from fakespan.config import SAMPLE_RATE
from fakespan.forge.spectrum import from_spectrum, stretch, through_mel, to_spectrum

pytestmark = pytest.mark.usefixtures("one_thread")


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


@pytest.mark.parametrize("n", [1, 300, 512, 16000, 16128])
def test_the_way_to_the_spectrum_and_back_changes_nothing(n):
    sound = speech_like(2.0)[:n]
    sound.flags.writeable = False  # as clips from a store are
    np.testing.assert_allclose(from_spectrum(to_spectrum(sound), n), sound, atol=1e-5)


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


def test_the_mel_round_trip_keeps_the_envelope_and_loses_the_phases():
    sound = speech_like(1.0)
    back = through_mel(sound, 80, 16, np.random.default_rng(0))
    assert back.shape == sound.shape
    assert np.abs(band_levels_db(back) - band_levels_db(sound)).mean() < 5
    assert np.corrcoef(back, sound)[0, 1] < 0.9


def test_silence_stays_finite():
    silence = np.zeros(4000, np.float32)
    for result in (stretch(silence, 1.3), through_mel(silence, 64, 8, np.random.default_rng(0))):
        assert np.isfinite(result).all()
        assert np.abs(result).max() < 1e-3
