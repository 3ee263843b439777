"""Acoustic properties of a recording (level, timbre, bandwidth, room), and matching words to another recording.

Mono float32 at 16 kHz. Levels are those of active speech (frames within 20 dB of the loud ones), without pauses.
Spectra are powers of 512-sample frames, (257,) or (257, t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fakespan.arrays import Float32Array, Float64Array
from fakespan.config import SAMPLE_RATE
from fakespan.forge.pitch import PitchTrack, track_pitch
from fakespan.forge.spectrum import from_spectrum, to_spectrum

__all__ = ["Recording", "active_level_db", "limit_band", "match_timbre", "settle"]

N_BINS = 257
FRAME_HOP = 128  # of to_spectrum
MAX_EQ_DB = 12.0
EMPTY_DB = 62.0  # below the loudest third-octave: only codec residue
SILENT = 1e-7  # power of a frame; digital silence is not room noise


@dataclass(frozen=True)
class Recording:
    """Properties of a recording for `settle`."""

    timbre_db: Float64Array  # (257,) mean spectrum of active speech, smoothed over a third of an octave
    room: Float64Array  # (257,) mean power of its quiet frames
    edge_hz: float  # upper band limit; 8000: full band

    @classmethod
    def of(cls, sound: Float32Array) -> Recording:
        """Measure a whole clip (or at least a second of it)."""
        power = _power(sound)
        timbre_db = _timbre_db(power)
        audible = np.flatnonzero(timbre_db > timbre_db.max() - EMPTY_DB)
        top = int(audible[-1]) if len(audible) else N_BINS - 1
        edge_hz = 8000.0 if top >= N_BINS - 12 else max(1500.0, top * SAMPLE_RATE / 512)
        return cls(timbre_db, _room(power, track_pitch(sound)), edge_hz)


def active_level_db(sound: Float32Array) -> float:
    """A-weighted loudness of active speech in dB of full scale (IEC 61672); -100 for silence.

    Without weighting a voice with a strong fundamental would count as loud, and another voice would be set too loud.

    >>> t = np.arange(16000) / 16000
    >>> round(active_level_db((0.1 * 2**0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)))
    -20
    """
    n = max(320, len(sound)) + 512
    weighted = np.fft.irfft(np.fft.rfft(sound, n) * _a_weight(np.fft.rfftfreq(n, 1 / SAMPLE_RATE)), n)[
        : max(320, len(sound))
    ]
    power = np.mean(np.lib.stride_tricks.sliding_window_view(weighted, 320)[::160] ** 2, axis=1)
    active = power[power >= 0.01 * np.quantile(power, 0.95)]
    return float(10 * np.log10(active.mean() + 1e-10))


def _a_weight(hz: NDArray[np.floating[Any]]) -> Float64Array:
    """The A-weighting amplitude, 1 at 1 kHz."""
    f2 = hz**2
    curve = 12194**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194**2))
    return np.asarray(curve * 1.2589)


def settle(
    words: Float32Array, own: Recording | None, other: Recording, level_db: float, rng: np.random.Generator
) -> Float32Array:
    """Match words from one recording to another: bandwidth, timbre, level, room.

    Args:
        words: (n,) the words.
        own: properties of their own recording; None: timbre and noise are not matched.
        other: properties of the target recording.
        level_db: target level of their active speech.
        rng: random room noise.

    Returns:
        (n,) a new array.
    """
    out = limit_band(words, other.edge_hz)
    if own is not None:
        out = match_timbre(out, own.timbre_db, other.timbre_db)
    gain = 10 ** ((level_db - active_level_db(out)) / 20)
    out = np.asarray(out * np.clip(gain, 0.05, 20.0), np.float32)
    if own is not None:
        out = _quieten(out, own, other, gain)
    return _fill_room(out, other.room, rng)


def limit_band(words: Float32Array, edge_hz: float) -> Float32Array:
    """Low-pass at the band limit."""
    if edge_hz >= 0.95 * SAMPLE_RATE / 2:
        return words
    hz = np.fft.rfftfreq(len(words), 1 / SAMPLE_RATE)
    return np.fft.irfft(np.fft.rfft(words) / (1 + (hz / edge_hz) ** 40), len(words)).astype(np.float32)


def match_timbre(words: Float32Array, own_db: Float64Array, wanted_db: Float64Array) -> Float32Array:
    """Equalise from one mean spectrum to another by at most 12 dB; the level is set in the next step."""
    n = len(words) + 512
    curve = np.interp(
        np.fft.rfftfreq(n, 1 / SAMPLE_RATE), np.linspace(0, SAMPLE_RATE / 2, N_BINS), _eq_db(own_db, wanted_db)
    )
    return np.fft.irfft(np.fft.rfft(words, n) * 10 ** (curve / 20), n)[: len(words)].astype(np.float32)


def _eq_db(own_db: Float64Array, wanted_db: Float64Array) -> Float64Array:
    """(257,) gains of the equaliser, 0 dB on average over the speech band; below 80 Hz there is only hum."""
    gap = wanted_db - own_db
    gap[: int(80 / SAMPLE_RATE * 512) + 1] = gap[int(80 / SAMPLE_RATE * 512) + 1]
    speech = slice(int(150 / SAMPLE_RATE * 512), int(4000 / SAMPLE_RATE * 512))
    return np.asarray(np.clip(gap - gap[speech].mean(), -MAX_EQ_DB, MAX_EQ_DB))


def _quieten(words: Float32Array, own: Recording, other: Recording, gain: float) -> Float32Array:
    """Reduce the words' own room noise to the level of the other room (Wiener filter)."""
    floor = own.room * gain**2 * 10 ** (_eq_db(own.timbre_db, other.timbre_db) / 10)
    if not (floor > 1.5 * other.room + 1e-12).any():
        return words
    spectrum = to_spectrum(words)
    power = _blurred(spectrum)
    depth = np.clip((other.room + 1e-12) / (floor + 1e-12), 1e-4, 1.0)[:, None]
    keep = np.sqrt(np.maximum(1 - 2 * floor[:, None] * (1 - depth) / power, depth))  # squared: avoids musical noise
    return from_spectrum(spectrum * torch.from_numpy(keep.astype(np.float32)), len(words))


def _fill_room(words: Float32Array, room: Float64Array, rng: np.random.Generator) -> Float32Array:
    """Add room noise where, in time and frequency, the words are quieter than the room."""
    spectrum = to_spectrum(words)
    missing = np.sqrt(np.maximum(room[:, None] - _blurred(spectrum), 0) / (512 * 0.375))  # hann's mean square
    noise = to_spectrum(rng.standard_normal(len(words)).astype(np.float32))
    filled = spectrum + noise * torch.from_numpy(missing.astype(np.float32))
    return np.clip(from_spectrum(filled, len(words)), -1.0, 1.0)


def _power(sound: Float32Array) -> Float64Array:
    return (to_spectrum(sound).abs() ** 2).numpy().astype(np.float64)


def _room(power: Float64Array, track: PitchTrack) -> Float64Array:
    """(257,) mean power of stationary noise, from the quiet frames and from the quiet frames of each bin.

    The minimum of two estimates that agree on noise (whose power is exponentially distributed): 1.44 times the median
    of the quietest tenth of the frames, and 4.5 times the lowest fifth of each bin. Speech raises the first in a clip
    without pauses, spectral holes of a codec lower the second. If most quiet frames are voiced, there is no estimate:
    zero.
    """
    loudness = power.sum(axis=0)
    alive = loudness > SILENT
    if not alive.any():
        return np.zeros(N_BINS)
    quiet = np.flatnonzero(alive & (loudness <= np.quantile(loudness[alive], 0.1)))
    pauses = [k for k in quiet if track.at(int(k) * FRAME_HOP) == 0]
    if 3 * len(pauses) < len(quiet):
        return np.zeros(N_BINS)
    room = np.minimum(1.44 * np.median(power[:, pauses], axis=1), 4.5 * np.quantile(power[:, alive], 0.2, axis=1))
    return np.asarray(np.convolve(np.pad(room, 2, mode="edge"), np.ones(5) / 5, "valid"))


def _blurred(spectrum: torch.Tensor) -> Float64Array:
    """Power averaged over three frames and five bins."""
    power = (spectrum.abs() ** 2)[None, None]
    mean = torch.nn.functional.avg_pool2d(power, (5, 3), 1, (2, 1), count_include_pad=False)[0, 0]
    return mean.numpy().astype(np.float64) + 1e-12


def _timbre_db(power: Float64Array) -> Float64Array:
    """Mean over the active frames, then over a third of an octave (at least 200 Hz) around each bin."""
    loudness = power.sum(axis=0)
    mean = power[:, loudness >= 0.01 * np.quantile(loudness, 0.95)].mean(axis=1)
    sums = np.cumsum(np.pad(mean, (1, 0)))
    half = np.maximum(3, (np.arange(N_BINS) * (2 ** (1 / 6) - 1)).astype(int))
    low, high = np.maximum(0, np.arange(N_BINS) - half), np.minimum(N_BINS, np.arange(N_BINS) + half + 1)
    return np.asarray(10 * np.log10((sums[high] - sums[low]) / (high - low) + 1e-10))
