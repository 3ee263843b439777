"""Lays two sounds of the same take upon each other, and finds where two aligned takes differ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fakespan.arrays import AnyArray, Float32Array, Float64Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

__all__ = ["align", "differing", "sound_distances", "stretches"]

_DECIMATION = 4  # the search is done at 4 kHz; the result is exact to a quarter of a millisecond
_LONGEST_S = 3600  # of either sound that is searched
_N_BANDS, _FLOOR_DB = 32, -60.0
_SMOOTH, _SHORTEST, _LONGEST_GAP = 5, 4, 5  # frames
_BEYOND = 3.0  # times the median distance


def align(sound: Float32Array, other: Float32Array) -> tuple[float, float]:
    """Where a sound lies in another, by the maximum of their cross-correlation.

    Args:
        sound: (n,) at 16 kHz.
        other: (m,) at 16 kHz.

    Returns:
        The seconds to add to a time of `sound` to get that of `other`, and the correlation of their common part, 0..1.
    """
    a, b = (_thinned(part[: _LONGEST_S * SAMPLE_RATE]) for part in (sound, other))
    if not len(a) or not len(b):
        return 0.0, 0.0
    size = 1 << (len(a) + len(b) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    lag = int(np.argmax(products))
    lag = lag - size if lag >= len(b) else lag
    one, two = a[max(0, -lag) :], b[max(0, lag) :]
    n = min(len(one), len(two))
    norm = float(np.linalg.norm(one[:n]) * np.linalg.norm(two[:n]))
    return lag * _DECIMATION / SAMPLE_RATE, max(0.0, float(one[:n] @ two[:n]) / norm) if norm else 0.0


def _thinned(sound: Float32Array) -> Float32Array:
    """The changes from sample to sample at 4 kHz: without the low notes, which correlate at every place."""
    n = len(sound) // _DECIMATION
    thinned = sound[: n * _DECIMATION].reshape(n, _DECIMATION).mean(axis=1)
    return np.asarray(np.diff(thinned, prepend=np.float32(0)), np.float32)


def sound_distances(sound: Float32Array, other: Float32Array, offset_s: float) -> Float64Array:
    """Mean difference in dB of the spectra of two aligned sounds, for each frame of the first; NaN beyond the other."""
    lag = round(offset_s * SAMPLE_RATE)
    moved = other[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.float32), other])
    one, two = _levels_db(sound), _levels_db(moved)
    common = slice(max(0, -(lag // SAMPLES_PER_FRAME)), min(len(one), len(two)))
    distances = np.full(len(one), np.nan)
    if common.start < common.stop:
        apart = one[common] - two[common]
        apart -= np.median(apart)  # one of them may be louder
        distances[common] = np.abs(apart).mean(axis=1)
    return distances


def _levels_db(sound: Float32Array) -> Float64Array:
    """(n_frames, bands): the level of each band of each frame, down to 60 dB below the loudest."""
    n_frames = len(sound) // SAMPLES_PER_FRAME
    frames = sound[: n_frames * SAMPLES_PER_FRAME].reshape(n_frames, SAMPLES_PER_FRAME)
    power = np.abs(np.fft.rfft(frames * np.hanning(SAMPLES_PER_FRAME), axis=1))[:, : SAMPLES_PER_FRAME // 2] ** 2
    bands = power.reshape(n_frames, _N_BANDS, -1).mean(axis=2)
    level_db = 10 * np.log10(bands + 1e-12)
    return np.asarray(np.maximum(level_db, level_db.max(initial=-120.0) + _FLOOR_DB))


def differing(distances: Float64Array, least: float) -> AnyArray:
    """The frames whose distance, smoothed, is beyond three times the median of all and at least so much."""
    known = np.isfinite(distances)
    if not known.any():
        return np.zeros(len(distances), bool)
    smooth = np.convolve(np.where(known, distances, 0.0), np.ones(_SMOOTH) / _SMOOTH, mode="same")
    return np.asarray((smooth > max(least, _BEYOND * float(np.median(distances[known])))) & known)


def stretches(mask: AnyArray) -> Iterator[tuple[float, float]]:
    """Start and end in seconds of each run of True; short gaps are closed, short runs left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).reshape(-1, 2)
    joined: list[list[int]] = []
    for begin, end in edges.tolist():
        if joined and begin - joined[-1][1] <= _LONGEST_GAP:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    yield from ((begin / FPS, end / FPS) for begin, end in joined if end - begin >= _SHORTEST)
