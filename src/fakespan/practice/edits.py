"""Benign changes of genuine audio: edits of a span that are not forgeries, and the channel of a whole recording.

Audio is mono float32 at 16 kHz; spans are sample indices. `benign_edit` changes one span as editing tools do (cuts,
levels, bleeps, rooms, codecs): trained with such spans as genuine, a detector does not flag every seam. `channel`
changes the whole recording, so that microphone, codec and level carry no information.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from fakespan.arrays import AnyArray, Float32Array, Float64Array
from fakespan.config import SAMPLE_RATE
from fakespan.media.encode import roundtrip_sound

__all__ = ["EDITS", "at_rate", "benign_edit", "channel", "cross_fade", "filtered", "matched"]

Rng = np.random.Generator
Span = tuple[int, int]
MAX_FADE_S = 0.12
BIT_RATES = (24_000, 32_000, 48_000, 64_000, 96_000, 128_000)


def cross_fade(sound: Float32Array, span: Span, new: Float32Array, rng: Rng) -> Float32Array:
    """Replace the span by that of `new` (same length as the audio), with random cross-fades at the seams."""
    start, end = span
    weight: Float32Array = np.zeros(len(sound), np.float32)
    weight[start:end] = 1
    for seam, rising in ((start, True), (end, False)):
        fade = int(rng.choice([0.0, rng.uniform(0, 0.02), rng.uniform(0, MAX_FADE_S)]) * SAMPLE_RATE)
        fade = min(fade, (end - start) // 2, 2 * seam, 2 * (len(sound) - seam))
        first = seam - fade // 2
        ramp = _ramp(fade, int(rng.integers(5)))
        weight[first : first + fade] = ramp if rising else 1 - ramp
    return np.asarray(weight * new + (1 - weight) * sound, np.float32)


def _ramp(n: int, shape: int) -> Float32Array:
    """Fade from 0 to 1 over n samples: linear, raised cosine, quarter sine, square root or square."""
    x = np.asarray((np.arange(n) + 0.5) / max(1, n), np.float32)
    shapes: tuple[Callable[[Float32Array], AnyArray], ...] = (
        lambda x: x,
        lambda x: 0.5 - 0.5 * np.cos(np.pi * x),
        lambda x: np.sin(0.5 * np.pi * x),
        np.sqrt,
        np.square,
    )
    return np.asarray(shapes[shape](x), np.float32)


def matched(span: Float32Array, like: Float32Array, *, tone: bool) -> Float32Array:
    """Match the loudness of a reference by at most 12 dB; with `tone` also its long-term spectrum."""
    if tone and len(span) > 1024 and len(like) > 1024:
        gains = np.sqrt((_bands(like) + 1e-9) / (_bands(span) + 1e-9)).clip(0.1, 10)
        span = filtered(span, gains)
    gain = float(np.sqrt((np.mean(like**2) + 1e-7) / (np.mean(span**2) + 1e-7)))
    return np.asarray(span * np.clip(gain, 0.25, 4.0), np.float32)


def _bands(sound: Float32Array, n_bands: int = 17) -> Float64Array:
    """Mean power at evenly spaced frequencies from 0 to 8 kHz, smoothed by triangles."""
    power = np.abs(np.fft.rfft(sound)) ** 2 / len(sound)
    edges = np.linspace(0, len(power) - 1, n_bands + 2).astype(int)
    return np.array([power[a : b + 1].mean() for a, b in zip(edges[:-2], edges[2:], strict=True)])


def filtered(sound: Float32Array, gains: Float64Array) -> Float32Array:
    """Apply gains at evenly spaced frequencies from 0 to 8 kHz."""
    spectrum = np.fft.rfft(sound)
    spectrum *= np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(gains)), gains)
    return np.asarray(np.fft.irfft(spectrum, len(sound)), np.float32)


def at_rate(sound: Float32Array, n: int) -> Float32Array:
    """Resample to n samples via the spectrum: faster and higher, or slower and lower."""
    spectrum = np.fft.rfft(sound)
    kept = np.zeros(n // 2 + 1, spectrum.dtype)
    m = min(len(kept), len(spectrum))
    kept[:m] = spectrum[:m]
    return np.asarray(np.fft.irfft(kept, n) * (n / len(sound)), np.float32)


def channel(sound: Float32Array, rng: Rng) -> Float32Array:
    """Simulate another microphone, room, codec, noise and level for the whole recording."""
    if rng.random() < 0.5:
        sound = _equalised(sound, rng)
    if rng.random() < 0.15:
        sound = _room(sound, rng)
    if rng.random() < 0.35:
        sound = _noisy(sound, rng)
    if rng.random() < 0.06:
        sound = _music(sound, (0, len(sound)), rng)
    if rng.random() < 0.25:
        sound = _dull(sound, rng)
    if rng.random() < 0.3:
        sound = _coded(sound, rng)
    level = 10 ** rng.uniform(-1.2, 0.1)
    peak = float(np.abs(sound).max(initial=1e-4))
    return np.asarray(np.clip(sound * min(level, 1.0 / peak if rng.random() < 0.97 else 2.0 / peak), -1, 1), np.float32)


def benign_edit(sound: Float32Array, span: Span, other: Float32Array | None, rng: Rng) -> tuple[Float32Array, str]:
    """One benign edit of the span, and its name; `other` is genuine speech that may be inserted there."""
    names = list(EDITS) + (["insert", "insert"] if other is not None and len(other) >= span[1] - span[0] else [])
    name = names[rng.integers(len(names))]
    stretch = sound[span[0] : span[1]]
    if name == "insert":
        assert other is not None
        first = int(rng.integers(0, len(other) - len(stretch) + 1))
        new = matched(other[first : first + len(stretch)], stretch, tone=rng.random() < 0.3)
    else:
        new = EDITS[name](sound, span, rng)
    whole = sound.copy()
    whole[span[0] : span[1]] = new
    return cross_fade(sound, span, whole, rng), name


def _level(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return np.asarray(sound[span[0] : span[1]] * 10 ** rng.uniform(-0.6, 0.4), np.float32)


def _moved(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    """Audio from elsewhere in the same recording: a jump cut, or reordered words."""
    n = span[1] - span[0]
    first = int(rng.integers(0, len(sound) - n + 1))
    return sound[first : first + n]


def _bleep(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    n = span[1] - span[0]
    level = float(np.std(sound)) * 10 ** rng.uniform(-0.3, 0.6)
    tones = rng.choice([1000.0, rng.uniform(300, 3000)]) * np.array([1.0, 2.0, 3.0])[: rng.integers(1, 4)]
    tone = np.sin(2 * np.pi * tones[:, None] * np.arange(n) / SAMPLE_RATE).mean(0) * level
    keep = sound[span[0] : span[1]] if rng.random() < 0.5 else 0.0
    return np.asarray(tone + keep, np.float32)


def _music(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    """Chords of decaying harmonics under the speech."""
    n = span[1] - span[0]
    time_s = np.arange(n) / SAMPLE_RATE
    out = np.zeros(n)
    for _ in range(int(rng.integers(2, 8))):
        pitch = 110 * 2 ** (int(rng.integers(0, 36)) / 12)
        onset = float(rng.uniform(-0.3, n / SAMPLE_RATE))
        since = np.clip(time_s - onset, 0, None)
        decay = np.exp(-since * rng.uniform(0.5, 6)) * (time_s >= onset)
        for harmonic in range(1, int(rng.integers(2, 9))):
            if pitch * harmonic < SAMPLE_RATE / 2:
                out += decay * np.sin(2 * np.pi * pitch * harmonic * time_s) / harmonic
    out *= float(np.std(sound)) * 10 ** rng.uniform(-0.8, 0.2) / max(1e-6, float(np.std(out)))
    return np.asarray(sound[span[0] : span[1]] + out, np.float32)


def _room_tone(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    """No speech: silence or room noise."""
    n = span[1] - span[0]
    level = float(rng.choice([0.0, 10 ** rng.uniform(-4.5, -2.5)]))
    return np.asarray(np.cumsum(rng.normal(0, level, n)) * 0.05 + rng.normal(0, level, n), np.float32)


def _equalised_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return _equalised(sound[span[0] : span[1]], rng)


def _dull_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return _dull(sound[span[0] : span[1]], rng)


def _noisy_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return _noisy(sound[span[0] : span[1]], rng)


def _room_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return _room(sound, rng)[span[0] : span[1]]


def _coded_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return _coded(sound, rng)[span[0] : span[1]]


def _denoised_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    """Spectral subtraction, as in audio editors."""
    n_fft, hop = 512, 128
    padded = np.pad(sound, (n_fft, n_fft))
    n = 1 + (len(padded) - n_fft) // hop
    window = np.hanning(n_fft + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][:n] * window
    spectra = np.fft.rfft(frames, axis=1)
    magnitude = np.abs(spectra)
    noise = np.quantile(magnitude, 0.15, axis=0) * rng.uniform(1, 3)
    gain = np.clip(1 - noise / np.maximum(magnitude, 1e-9), 10 ** rng.uniform(-1.5, -0.5), 1)
    back = np.fft.irfft(spectra * gain, n_fft, axis=1) * window
    out = np.zeros(len(padded))
    for k, frame in enumerate(back):
        out[k * hop : k * hop + n_fft] += frame
    return np.asarray(out[n_fft:][span[0] : span[1]] / 1.5, np.float32)


def _telephone_span(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    edges = np.array([0.0, 1.0] + [1.0] * 6 + [0.2] + [0.0] * 8)
    return filtered(sound[span[0] : span[1]], edges)


def _as_is(sound: Float32Array, span: Span, rng: Rng) -> Float32Array:
    return sound[span[0] : span[1]]


EDITS: dict[str, Callable[[Float32Array, Span, Rng], Float32Array]] = {
    "level": _level,
    "moved": _moved,
    "bleep": _bleep,
    "music": _music,
    "room-tone": _room_tone,
    "equaliser": _equalised_span,
    "low-pass": _dull_span,
    "noise": _noisy_span,
    "reverberation": _room_span,
    "codec": _coded_span,
    "denoiser": _denoised_span,
    "telephone": _telephone_span,
    "none": _as_is,
}


def _equalised(sound: Float32Array, rng: Rng) -> Float32Array:
    return filtered(sound, 10 ** (rng.normal(0, rng.uniform(1, 6), 9) / 20))


def _dull(sound: Float32Array, rng: Rng) -> Float32Array:
    """Low-pass with a gentle or steep slope."""
    frequency_hz = np.linspace(0, SAMPLE_RATE / 2, 129)
    return filtered(sound, 1 / (1 + (frequency_hz / rng.uniform(2500, 7500)) ** float(rng.choice([4, 8, 24]))))


def _noisy(sound: Float32Array, rng: Rng) -> Float32Array:
    """Hiss or rumble, 10 to 50 dB below the speech."""
    noise = np.asarray(rng.normal(0, 1, len(sound)), np.float32)
    if rng.random() < 0.5:
        noise = filtered(noise, 1 / (1 + np.linspace(0, 8, 33)) ** rng.uniform(0.3, 2))
    level = float(np.std(sound)) * 10 ** rng.uniform(-2.5, -0.5) / max(1e-9, float(np.std(noise)))
    return np.asarray(sound + noise * level, np.float32)


def _room(sound: Float32Array, rng: Rng) -> Float32Array:
    """Reverberation with a decay of 0.1 to 0.6 s."""
    decay_s = rng.uniform(0.1, 0.6)
    n = int(decay_s * SAMPLE_RATE)
    echo = rng.normal(0, 1, n) * np.exp(-6.9 * np.arange(n) / n) * 10 ** rng.uniform(-2.2, -1.2)
    echo[0] = 1
    size = len(sound) + n
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echo, size), size)[: len(sound)], np.float32)


def _coded(sound: Float32Array, rng: Rng) -> Float32Array:
    """Encoded as AAC or MP3 and decoded."""
    codec: Literal["aac", "mp3"] = "aac" if rng.random() < 0.7 else "mp3"
    return roundtrip_sound(np.clip(sound, -1, 1), SAMPLE_RATE, int(rng.choice(BIT_RATES)), codec)
