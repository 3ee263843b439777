"""Converts decoded audio frames to a gapless mono signal at one rate, block by block.

Contract: any layout, sample format and rate (also if they change midway) -> float32 mono. Timestamps that deviate by
less than one clock frame from the running sample count are treated as rounding; beyond that, a gap becomes silence and
an overlap is cut. After a change of rate in a transport stream, most stamps are extrapolated in steps of the old rate;
there the sample count is trusted. Samples before the origin of the timeline are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from fakespan.arrays import AnyArray, Float32Array
from fakespan.config import FPS

__all__ = ["SoundClock", "part_of", "to_mono"]


_STRAY_S = 1 / FPS
_LENGTH_SLACK = 0.1  # a stated length further from that of the samples is of another rate, and stamps follow from it
_GUESS_S = 1.0  # such stamps stray so far from those that the file has
_LOWEST_RATE = 1000  # a lower rate means a damaged stream; resampling it would take excessive memory
_CANCELLED = 0.01  # power of the mean over that of the channels; independent channels have 1 / their number
_BLOCK = 1 << 20  # longest block of silence
_AT_ONCE = 1 << 14  # samples converted together: for a frame of 1024, Python overhead equals the arithmetic


class SoundClock:
    """Takes decoded frames in order and yields consecutive mono blocks without gaps.

    Args:
        sample_rate: output samples per second.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._resampler: AudioResampler | None = None
        self._packer: AudioResampler | None = None
        self._waiting = AudioFifo()  # input that is not converted yet
        self._kind: tuple[object, ...] = ()  # rate, layout and format of the current run
        self._rate_in = 0
        self._start_s = 0.0  # start of the current contiguous run
        self._n_in = 0  # input samples of the run
        self._n_out = 0  # output samples since the origin
        self._n_due = 0  # output samples at the start of the run

    def add(self, frame: AudioFrame) -> Iterator[Float32Array]:
        """The blocks completed by this frame; its own samples may be buffered until the next frames."""
        if not frame.samples or frame.sample_rate < _LOWEST_RATE:
            return
        due_s = self._start_s + (self._n_in / self._rate_in if self._rate_in else 0.0)
        time_s = _start_s(frame, due_s)
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != self._kind or abs(time_s - due_s) > _STRAY_S:
            yield from self.finish()
            self._begin(time_s, kind, frame.sample_rate)
        self._n_in += frame.samples
        for packed in self._packed(frame):
            packed.pts = None  # otherwise the queue validates it
            self._waiting.write(packed)
        if self._waiting.samples >= _AT_ONCE:
            yield from self._converted()

    def finish(self) -> Iterator[Float32Array]:
        """Flush the buffered input and the resampler."""
        yield from self._converted()
        if self._resampler is not None:
            yield from self._resampled(None)
            self._resampler = None

    def _begin(self, time_s: float, kind: tuple[object, ...], rate: int) -> None:
        """Start a new run with its own resampler."""
        self._kind, self._packer, self._waiting = kind, AudioResampler(format="flt"), AudioFifo()
        is_equal = rate == self._sample_rate  # no resampling needed
        self._resampler = None if is_equal else AudioResampler(format="flt", layout="mono", rate=self._sample_rate)
        self._rate_in, self._start_s, self._n_in = rate, time_s, 0
        self._n_due = round(time_s * self._sample_rate)

    def _packed(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame in a format that PyAV supports: it miscounts 8 or more planes and rejects 64-bit integers."""
        assert self._packer is not None
        is_safe = frame.format.bytes < 8 and not (frame.format.is_planar and frame.layout.nb_channels >= 8)
        return [frame] if is_safe else self._packer.resample(frame)

    def _converted(self) -> Iterator[Float32Array]:
        """All buffered input as mono at the output rate."""
        frame = self._waiting.read()
        if frame is None:
            return
        mono = to_mono(frame)
        if self._resampler is None:
            yield from self._placed(mono)
        else:
            yield from self._resampled(_mono_frame(mono, self._rate_in))

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Float32Array]:
        assert self._resampler is not None
        for out in self._resampler.resample(frame):
            yield from self._placed(np.asarray(out.to_ndarray(), np.float32).reshape(-1))

    def _placed(self, block: Float32Array) -> Iterator[Float32Array]:
        """The block at its position: preceded by silence, or with its overlapping head removed."""
        start, self._n_due = self._n_due, self._n_due + len(block)
        while self._n_out < start:
            n_silent = min(_BLOCK, start - self._n_out)
            self._n_out += n_silent
            yield np.zeros(n_silent, np.float32)
        rest = block[self._n_out - start :]
        if len(rest):
            self._n_out += len(rest)
            yield rest


def part_of(sound: Float32Array, begin: int, end: int) -> Float32Array:
    """Samples `begin` to `end` of a sound (n,), with silence before its first and after its last one.

    >>> part_of(np.ones(3, np.float32), -2, 2).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    part = sound[max(begin, 0) : max(end, 0)]
    before = min(max(-begin, 0), end - begin)
    return np.pad(part, (before, end - begin - before - len(part)))


def _start_s(frame: AudioFrame, due_s: float) -> float:
    """When a frame begins: as it says, or where the samples so far end if it does not say or only guesses."""
    time_s = frame.time  # float: fractions are as slow as the resampling
    if time_s is None:
        return due_s
    stated_s = frame.duration * float(frame.time_base or 0)
    length_s = frame.samples / frame.sample_rate
    is_guess = stated_s > 0 and abs(stated_s - length_s) > _LENGTH_SLACK * length_s
    return due_s if is_guess and abs(time_s - due_s) < _GUESS_S else time_s


def to_mono(frame: AudioFrame) -> Float32Array:
    """The frame's samples as float32 (n,) in -1..1: the mean of its channels.

    A centre channel among others (speech in films) has half of the weight, the others share the rest. If the channels
    cancel each other (one was recorded with reversed polarity), the first that is loud is used instead.
    """
    raw = frame.to_ndarray()
    n_channels = frame.layout.nb_channels
    samples = raw if frame.format.is_planar else raw.reshape(-1, n_channels).T
    scaled = _scaled(samples)
    if n_channels == 1:
        return np.asarray(scaled[0], np.float32)
    names = [channel.name for channel in frame.layout.channels]
    if n_channels > 2 and names.count("FC") == 1:
        centre = names.index("FC")
        others = np.delete(scaled, centre, axis=0).mean(axis=0)
        return np.asarray((scaled[centre] + others) / 2, np.float32)
    return _mean(scaled)


def _mean(channels: Float32Array) -> Float32Array:
    """The mean of (channels, n), or the first loud channel if they cancel each other."""
    mean = np.asarray(channels.mean(axis=0), np.float32)
    powers = np.square(channels).mean(axis=1)
    if np.square(mean).mean() >= _CANCELLED * powers.mean():
        return mean
    return np.asarray(channels[int(np.argmax(powers >= powers.max() / 2))], np.float32)


def _scaled(samples: AnyArray) -> Float32Array:
    """Samples of any PCM type as float32 in -1..1; NaN becomes silence."""
    if samples.dtype.kind == "f":
        clipped = np.asarray(np.clip(samples, -1.0, 1.0), np.float32)
        clipped[np.isnan(clipped)] = 0.0
        return clipped
    info = np.iinfo(samples.dtype)
    middle = 128 if samples.dtype == np.uint8 else 0
    return np.asarray((samples.astype(np.float64) - middle) / (int(info.max) - middle + 1), np.float32)


def _mono_frame(samples: Float32Array, rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame
