"""Pitch tracking of speech, and changes of pitch and length by pitch-synchronous overlap-add.

Mono float32 at 16 kHz. The tracker takes the best lag of the normalised cross-correlation every 10 ms, in two passes:
the second is restricted to the neighbourhood of the first median, which removes octave errors (De Looze and Hirst,
2008). Changes use TD-PSOLA (Moulines and Charpentier, 1990): grains of two periods are placed at new distances, which
preserves formants. Both are implemented here because the existing libraries do not fit: parselmouth is GPL-3, pyworld
needs a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fakespan.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from fakespan.config import SAMPLE_RATE

__all__ = ["PitchTrack", "change_speech", "semitones", "track_pitch"]

HOP = 160  # 10 ms
WINDOW = 480  # 30 ms: three periods of a low voice
LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0
MIN_CORRELATION = 0.6  # of voiced frames
UNVOICED_PERIOD = 80  # samples between the grains where there is no pitch


@dataclass(frozen=True)
class PitchTrack:
    """Fundamental frequency every 10 ms; frame k is centred on sample 160 k."""

    f0_hz: Float64Array  # (n,); 0 for unvoiced frames

    def at(self, sample: int) -> float:
        """Pitch in Hz at a sample; 0 if unvoiced."""
        return float(self.f0_hz[min(len(self.f0_hz) - 1, max(0, round(sample / HOP)))]) if len(self.f0_hz) else 0.0

    def near_hz(self, start: int, end: int) -> float | None:
        """Median over the voiced frames between two samples; None if there are none."""
        first, last = (min(len(self.f0_hz), max(0, round(k / HOP))) for k in (start, end))
        voiced = [f for f in self.f0_hz[first : last + 1] if f > 0]
        return float(np.median(voiced)) if voiced else None

    def median_hz(self, start: int = 0, end: int | None = None) -> float | None:
        """Median over the voiced frames between two samples; None if fewer than four are voiced.

        >>> PitchTrack(np.array([0.0, 100, 100, 110, 110, 120])).median_hz()
        110.0
        """
        last = None if end is None else max(0, end // HOP) + 1
        voiced = [f for f in self.f0_hz[max(0, start) // HOP : last] if f > 0]
        return float(np.median(voiced)) if len(voiced) >= 4 else None


def semitones(ratio: float) -> float:
    """Convert a frequency ratio to semitones.

    >>> semitones(2.0)
    12.0
    """
    return float(12 * np.log2(ratio))


def track_pitch(sound: Float32Array) -> PitchTrack:
    """The fundamental frequency of speech, (len // 160 + 1,) frames."""
    correlation, power = _correlate(_below(np.asarray(sound, np.float64), 1000.0))
    loud = power > max(1e-9, 0.003 * float(np.quantile(power, 0.95)))  # 25 dB below the loud parts is not voiced
    loud &= power > 0.1 * _power(sound)  # noise with a weak hum is not voiced
    first = _best(correlation, loud, LOWEST_HZ, HIGHEST_HZ)
    voiced = first[first > 0]
    if len(voiced) < 4:
        return PitchTrack(_without_specks(first))
    low_hz, high_hz = np.quantile(voiced, [0.25, 0.75])
    return PitchTrack(
        _without_specks(_best(correlation, loud, max(LOWEST_HZ, 0.7 * low_hz), min(HIGHEST_HZ, 1.6 * high_hz)))
    )


def change_speech(
    sound: Float32Array, n: int, ratio: float | Float64Array = 1.0, track: PitchTrack | None = None
) -> Float32Array:
    """Resynthesise the words in n samples, with the pitch multiplied by a ratio.

    Args:
        sound: (m,) the words.
        n: samples wanted; m / n within about 0.5..2 sounds natural.
        ratio: of the new pitch to the old; (m,) where it changes with time.
        track: of this sound, if it is known.

    Returns:
        (n,) a new array.
    """
    if len(sound) == 0 or n == 0:
        return np.zeros(n, np.float32)
    ratios = np.broadcast_to(np.asarray(ratio, np.float64), (len(sound),))
    if n == len(sound) and np.abs(np.log2(ratios)).max() < 0.05 / 12:
        return sound.astype(np.float32)
    marks, periods, voiced = _marks(sound, track or track_pitch(sound))
    margin = int(periods.max()) + 1
    padded = np.pad(np.asarray(sound, np.float64), margin, mode="symmetric" if len(sound) > margin else "edge")
    out, cover = np.zeros(n + 2 * margin), np.full(n + 2 * margin, 1e-3)
    at, before = 0.0, -1
    while at < n:
        k = int(np.argmin(np.abs(marks - at * len(sound) / n)))
        period = int(periods[k])
        grain = padded[marks[k] + margin - period : marks[k] + margin + period]
        if k == before and not voiced[k]:
            grain = grain[::-1]  # the same noise twice would buzz
        window = np.hanning(2 * period + 1)[:-1]
        begin = round(at) + margin - period
        out[begin : begin + 2 * period] += window * grain
        cover[begin : begin + 2 * period] += window
        at += period / ratios[marks[k]] if voiced[k] else period
        before = k if k != before else -1
    # Between the pulses of a lowered voice the windows leave a valley: it is part of the sound, not a fault to fill.
    new = out / np.maximum(cover, min(1.0, 1 / float(ratios.max())))
    return np.asarray(new[margin : margin + n], np.float32)


def _below(sound: Float64Array, edge_hz: float) -> Float64Array:
    """Without what is above the edge, nor hum and offset below 50 Hz; zero phase."""
    n = len(sound) + WINDOW
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    gain = 1 / (1 + (hz / edge_hz) ** 8) * (1 - 1 / (1 + (hz / 50) ** 6))
    return np.fft.irfft(np.fft.rfft(sound, n) * gain, n)[: len(sound)]


def _correlate(sound: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Normalised cross-correlation (frames, lags) of each frame with what follows it, and each frame's power."""
    n_lags = int(SAMPLE_RATE / LOWEST_HZ) + 2
    length = WINDOW + n_lags
    padded = np.pad(sound, (length // 2, length))
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::HOP][: len(sound) // HOP + 1]
    size = 1 << (2 * length - 1).bit_length()
    head = np.fft.rfft(frames[:, :WINDOW], size)
    products = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, :n_lags]
    sums = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energies = sums[:, WINDOW : WINDOW + n_lags] - sums[:, :n_lags]
    return products / np.sqrt(energies[:, :1] * energies + 1e-12), energies[:, 0] / WINDOW


def _power(sound: Float32Array) -> Float64Array:
    """Mean square of each frame, (frames,)."""
    sums = np.cumsum(np.pad(np.asarray(sound, np.float64) ** 2, (WINDOW // 2 + 1, WINDOW)))
    at = np.arange(len(sound) // HOP + 1) * HOP
    return np.asarray((sums[at + WINDOW] - sums[at]) / WINDOW)


def _best(correlation: Float64Array, loud: BoolArray, low_hz: float, high_hz: float) -> Float64Array:
    """Hertz of the best lag of each frame, 0 where none is good; of nearly equal lags the shorter."""
    first, last = int(SAMPLE_RATE / high_hz), min(correlation.shape[1] - 2, int(np.ceil(SAMPLE_RATE / low_hz)))
    lags = np.arange(first, last + 1)
    middle = correlation[:, first : last + 1]
    left, right = correlation[:, first - 1 : last], correlation[:, first + 1 : last + 2]
    peaks = (middle >= left) & (middle >= right)
    scores = np.where(peaks, middle - 0.04 * np.log2(lags / first), -1.0)
    k = np.argmax(scores, axis=1)
    rows = np.arange(len(k))
    a, b, c = left[rows, k], middle[rows, k], right[rows, k]
    curve = np.minimum(a - 2 * b + c, -1e-9)
    lag = lags[k] + np.clip(0.5 * (a - c) / curve, -0.5, 0.5)
    return np.where((b > MIN_CORRELATION) & loud & (scores[rows, k] > -1), SAMPLE_RATE / lag, 0.0)


def _without_specks(f0_hz: Float64Array) -> Float64Array:
    """Without frames that stand alone, or lie more than three semitones off the median of their neighbours."""
    out = f0_hz.copy()
    for k, hz in enumerate(f0_hz):
        near = f0_hz[max(0, k - 3) : k + 4]
        near = near[near > 0]
        if hz > 0 and (len(near) < 3 or abs(semitones(hz / float(np.median(near)))) > 3):
            out[k] = 0.0
    return out


def _marks(sound: Float32Array, track: PitchTrack) -> tuple[Int64Array, Int64Array, BoolArray]:
    """Where the grains sit: on the pulses of voiced speech, evenly elsewhere; their periods; which are voiced."""
    low = _below(np.asarray(sound, np.float64), 1000.0)
    if -low.min() > low.max():
        low = -low
    marks: list[int] = []
    periods: list[int] = []
    voiced: list[bool] = []
    at, following = 0.0, False
    while at < len(sound):
        hz = track.at(round(at))
        period = SAMPLE_RATE / hz if hz else float(UNVOICED_PERIOD)
        mark = round(at)
        if hz:
            reach = round(period * (0.15 if following else 0.5))
            begin = max(marks[-1] + 1 if marks else 0, mark - reach)
            if len(near := low[begin : mark + reach + 1]):
                mark = begin + int(np.argmax(near))
        marks.append(min(mark, len(sound) - 1))
        periods.append(round(period))
        voiced.append(hz > 0)
        at, following = mark + period, hz > 0
    return np.array(marks), np.array(periods), np.array(voiced)
