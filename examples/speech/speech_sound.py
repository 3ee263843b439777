"""One sound file in, one mono signal out, and what can be measured of it: bandwidth, level, a fingerprint.

Contract: sound is float32 (n,) in -1..1. Everything that PyAV reads is read; what carries no header by its suffix.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from fakespan.errors import MediaError

__all__ = ["RATE", "Fingerprint", "Recording", "alike", "bandwidth_hz", "fingerprint", "level_db", "read", "write_flac"]

RATE = 16_000
Sound = np.ndarray[Any, np.dtype[np.float32]]

_HEADLESS: dict[str, dict[str, Any]] = {
    ".g722": {"format": "g722"},
    ".gsm": {"format": "gsm"},
    ".als": {"format": "u8", "options": {"sample_rate": "11025", "ch_layout": "mono"}},  # of `drascula`
}
_WINDOW = 1024  # samples of the long-term spectrum, at the source's rate
_DROP_DB = 60.0  # below the strongest band: nothing of a voice is left there
_BAND_HZ = 100.0
_SLICES, _BANDS, _SHORTEST_SLICE = 32, 8, 320  # of a fingerprint; samples


@dataclass(frozen=True, slots=True)
class Recording:
    """A decoded file: the signal at 16 kHz, and what the source was."""

    sound: Sound
    rate: int
    codec: str
    bandwidth_hz: float

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.sound) / RATE


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of a recording: its length and 256 bits, see `fingerprint`."""

    seconds: float
    bits: bytes


def read(path: Path) -> Recording:
    """The first sound stream of a file, mono at 16 kHz.

    Raises:
        MediaError: it is no sound file, or has no sound in it.
    """
    try:
        with av.open(str(path), metadata_errors="replace", **_HEADLESS.get(path.suffix.lower(), {})) as container:
            stream = container.streams.audio[0]
            mono = AudioResampler(format="flt", layout="mono")
            codec = stream.codec_context.name
            frames = [out for frame in container.decode(stream) for out in mono.resample(frame)]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise _unreadable(path, error) from error
    if not frames:
        raise _unreadable(path, "no sound in it")
    source = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    rate = frames[0].sample_rate
    return Recording(_resampled(source, rate), rate, codec, bandwidth_hz(source, rate))


def bandwidth_hz(sound: Sound, rate: int) -> float:
    """Where the spectrum of the loud moments drops for good: 60 dB below the strongest 100 Hz band.

    Of each frequency the 95th percentile over time counts: a single hiss in a sentence of vowels is enough. Half the
    rate for a source that fills its band; about 3500 Hz for one that came through a telephone.
    """
    if len(sound) < _WINDOW:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[:: _WINDOW // 2] * np.hanning(_WINDOW)
    power = np.percentile(np.abs(np.fft.rfft(frames)) ** 2, 95, axis=0)
    bands = (np.fft.rfftfreq(_WINDOW, 1 / rate) / _BAND_HZ).astype(int)
    totals = np.bincount(bands, power) / np.bincount(bands).clip(1)
    heard = np.flatnonzero(totals > max(totals.max() * 10 ** (-_DROP_DB / 10), 1e-12))
    return float(min((heard[-1] + 1) * _BAND_HZ, rate / 2)) if len(heard) else 0.0


def level_db(sound: Sound) -> float:
    """Root mean square below full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64))) + 1e-6))


def fingerprint(sound: Sound) -> Fingerprint:
    """What copies of a recording share, whatever their level and codec: its length, and where energy rises or falls.

    The sound is cut into 33 slices and 9 bands; each bit says whether the contrast of neighbouring bands grew from one
    slice to the next. Give it what is spoken alone: silence says nothing.
    """
    n = max(_SHORTEST_SLICE, len(sound) // (_SLICES + 1))
    padded = np.pad(sound, (0, max(0, n * (_SLICES + 1) - len(sound))))[: n * (_SLICES + 1)]
    power = np.abs(np.fft.rfft(padded.reshape(_SLICES + 1, n) * np.hanning(n))) ** 2
    edges = (np.geomspace(200, 4000, _BANDS + 2) / (RATE / n)).astype(int)
    bands = np.stack([power[:, a : max(b, a + 1)].sum(1) for a, b in itertools.pairwise(edges)])
    contrast = np.diff(np.log(bands + 1e-9), axis=0)
    return Fingerprint(len(sound) / RATE, np.packbits(np.diff(contrast, axis=1) > 0).tobytes())


def alike(one: Fingerprint, others: Sequence[Fingerprint]) -> bool:
    """Whether another is as long (2 %) and differs in a bit out of eight at most; by chance half of them do."""
    near = [other.bits for other in others if abs(other.seconds - one.seconds) <= 0.02 * one.seconds + 0.02]
    if not near:
        return False
    many = np.frombuffer(b"".join(near), np.uint8).reshape(len(near), -1)
    n_differing = np.bitwise_count(many ^ np.frombuffer(one.bits, np.uint8)).sum(1)
    return bool(n_differing.min() <= len(one.bits))


def write_flac(path: Path, sound: Sound) -> None:
    """16 bit, mono, 16 kHz; the file appears when it is complete."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    with av.open(str(beside), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono")
        frame = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        for given in (frame, None):
            container.mux(stream.encode(given))
    beside.replace(path)


def _resampled(sound: Sound, rate: int) -> Sound:
    if rate == RATE:
        return sound
    frame = AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
    frame.sample_rate = rate
    resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
    return np.concatenate([out.to_ndarray()[0] for given in (frame, None) for out in resampler.resample(given)])


def _unreadable(path: Path, why: object) -> MediaError:
    return MediaError(path, expected="a sound file", got=str(why), remedy="it is skipped")
