"""The sound of a sample clip: a room around the speech, and what an attacker does to one word of it.

The forged word was spoken by a synthesiser, taken through a vocoder (spectrum without phase, mel bands, Griffin-Lim, as
neural voice cloning leaves it), fitted to the length and level of the old one, and cross-faded in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_voice import SAMPLE_RATE

__all__ = ["fit_length", "in_room", "limited", "quietest_near", "room_tone", "splice"]

_N_FFT, _HOP = 512, 128
Sound = NDArray[np.float32]


def in_room(speech: Sound, rng: np.random.Generator) -> Sound:
    """Speech as a microphone in a small room hears it: a short, quiet tail of echoes."""
    decay_s, share = rng.uniform(0.1, 0.3), rng.uniform(0.02, 0.12)
    time_s = np.arange(int(0.35 * SAMPLE_RATE)) / SAMPLE_RATE
    echo = rng.standard_normal(len(time_s)) * np.exp(-6.9 * time_s / decay_s)
    echo[: int(0.003 * SAMPLE_RATE)] = 0
    echo *= share / np.sqrt(np.sum(echo**2))
    echo[0] = 1
    n = len(speech) + len(echo)
    wet = np.fft.irfft(np.fft.rfft(speech, n) * np.fft.rfft(echo, n), n)[: len(speech)]
    return wet.astype(np.float32)


def room_tone(n_samples: int, rng: np.random.Generator) -> Sound:
    """Noise of a quiet room (falling spectrum, some mains hum), -62 to -50 dB."""
    frequency = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    slope = rng.uniform(0.3, 0.8)
    shape = 1 / np.maximum(frequency, 60) ** slope * (frequency > 30)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * shape, n_samples)
    noise *= 10 ** (rng.uniform(-62, -50) / 20) / np.sqrt(np.mean(noise**2))
    hum = np.sin(2 * np.pi * rng.choice([50, 60, 100]) * np.arange(n_samples) / SAMPLE_RATE)
    return np.asarray(noise + hum * 10 ** (rng.uniform(-80, -64) / 20), np.float32)


def limited(sound: Sound) -> Sound:
    """Without clipping: peaks above half of full scale are rounded off, everything below is left as it is."""
    excess = np.maximum(np.abs(sound) - 0.5, 0)
    return (np.sign(sound) * (np.minimum(np.abs(sound), 0.5) + 0.45 * np.tanh(excess / 0.45))).astype(np.float32)


def quietest_near(sound: Sound, instant_s: float, reach_s: float = 0.03) -> float:
    """The quietest instant within `reach_s`, where a cut is heard least; seconds, rounded to milliseconds."""
    width = int(0.01 * SAMPLE_RATE)
    power = np.convolve(sound.astype(np.float64) ** 2, np.ones(width), "same")
    first = max(0, int((instant_s - reach_s) * SAMPLE_RATE))
    last = min(len(sound), int((instant_s + reach_s) * SAMPLE_RATE) + 1)
    return round((first + int(np.argmin(power[first:last]))) / SAMPLE_RATE, 3)


def fit_length(donor: Sound, n_samples: int, n_mels: int | None, rng: np.random.Generator) -> Sound:
    """Synthesise `donor` anew with `n_samples` samples: its spectrum is stretched in time and given new phases.

    Args:
        donor: the spoken word, (samples,).
        n_samples: length wanted.
        n_mels: mel bands that the spectrum goes through, or None to keep every frequency.
        rng: first guess of the phases.
    """
    n_frames = -(-n_samples // _HOP) + 1
    magnitude = np.abs(_stft(np.pad(donor, _N_FFT // 2, mode="reflect").astype(np.float64)))
    position = np.linspace(0, len(magnitude) - 1, n_frames)
    low = np.minimum(position.astype(int), max(0, len(magnitude) - 2))
    share = (position - low)[:, None]
    magnitude = magnitude[low] * (1 - share) + magnitude[np.minimum(low + 1, len(magnitude) - 1)] * share
    if n_mels is not None:
        filters = _mel_filters(n_mels)
        magnitude = np.maximum(magnitude @ filters.T @ np.linalg.pinv(filters.T), 1e-6)
    return _griffin_lim(magnitude, rng)[_N_FFT // 2 :][:n_samples].astype(np.float32)


def splice(sound: Sound, word: Sound, start_s: float, fade_s: float, match_level: bool = True) -> Sound:
    """`sound` with `word` in place of what was there, cross-faded at both ends inside the span, at the old level."""
    first = round(start_s * SAMPLE_RATE)
    old = sound[first : first + len(word)]
    gain = np.sqrt(np.mean(old**2) / (np.mean(word**2) + 1e-12)) if match_level else 1.0
    n_fade = max(1, round(fade_s * SAMPLE_RATE))
    weight = np.ones(len(word), np.float32)
    weight[:n_fade] = np.sin(np.linspace(0, np.pi / 2, n_fade)) ** 2
    weight[-n_fade:] = weight[:n_fade][::-1]
    result = sound.copy()
    result[first : first + len(word)] = old * (1 - weight) + word * np.float32(min(gain, 4.0)) * weight
    return result


def _stft(sound: NDArray[np.float64]) -> NDArray[np.complex128]:
    frames = np.lib.stride_tricks.sliding_window_view(sound, _N_FFT)[::_HOP]
    return np.fft.rfft(frames * np.hanning(_N_FFT), axis=1)


def _istft(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    window = np.hanning(_N_FFT)
    frames = np.fft.irfft(spectrum, _N_FFT, axis=1) * window
    total = np.zeros(_HOP * (len(frames) - 1) + _N_FFT)
    weight = np.full_like(total, 1e-8)
    for k, frame in enumerate(frames):
        total[k * _HOP : k * _HOP + _N_FFT] += frame
        weight[k * _HOP : k * _HOP + _N_FFT] += window**2
    return total / np.maximum(weight, 0.05)


def _griffin_lim(magnitude: NDArray[np.float64], rng: np.random.Generator, n_rounds: int = 40) -> NDArray[np.float64]:
    """Sound whose spectrum has about this magnitude, (frames, bins)."""
    phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
    previous = np.zeros_like(phase)
    for _ in range(n_rounds):
        rebuilt = _stft(_istft(magnitude * phase))
        phase = rebuilt - 0.5 * previous  # momentum of the fast variant
        phase /= np.abs(phase) + 1e-9
        previous = rebuilt
    return _istft(magnitude * phase)


def _mel_filters(n_mels: int) -> NDArray[np.float64]:
    """Triangles on the mel scale, (n_mels, bins)."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(_N_FFT, 1 / SAMPLE_RATE)
    rise = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall)) + 1e-6
