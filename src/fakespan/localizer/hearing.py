"""Which frames of a sound can be judged: those in which somebody speaks and no steady tone covers the voice.

The networks were trained on speech. Music, effects, bleeps and silence get scores as high as forged speech, which mean
nothing; so they are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakespan.arrays import BoolArray, Float32Array, Int64Array
from fakespan.config import FPS, SAMPLES_PER_FRAME
from fakespan.media.sound import part_of
from fakespan.media.speech import WINDOW, SpeechDetector, find_weights
from fakespan.media.tones import steady_tones
from fakespan.types import Reason

__all__ = ["LABELS", "Hearing", "SoundMode", "hear", "runs"]

SoundMode = Literal["speech", "all"]

LABELS: tuple[Reason | None, ...] = (None, "silence", "music_or_noise", "tone")
"""Why a frame is not judged; None: it is."""
_JUDGED, _SILENCE, _OTHER, _TONE = range(4)

_SPEECH = 0.5  # probability from which a window is speech
_SHORTEST = round(0.2 * FPS)  # frames of speech; less is a click or a cough
_LONGEST_PAUSE = round(1.0 * FPS)  # frames between words that still are part of the speech
_MARGIN = round(0.2 * FPS)  # frames before and after speech: soft beginnings and ends of words
_TONE_MARGIN = 2  # frames before and after a tone: its edges
_SILENT = 1e-3  # RMS of a silent frame, -60 dB
_BLOCK = 512  # frames at a time: the sound of hours is not copied as a whole


@dataclass(frozen=True)
class Hearing:
    """What a sound is, frame by frame."""

    labels: Int64Array  # (n,) indices of `LABELS`
    has_detector: bool = True  # False: silero-vad is not installed, and every frame counts as speech

    @property
    def is_judged(self) -> BoolArray:
        """(n,)."""
        return np.asarray(self.labels == _JUDGED)


def hear(sound: Float32Array, mode: SoundMode = "speech") -> Hearing:
    """Label the ceil(n / 640) frames of a sound (n,) at 16 kHz; with "all" every frame can be judged."""
    n_frames = -(-len(sound) // SAMPLES_PER_FRAME)
    labels = np.zeros(n_frames, np.int64)
    weights = find_weights()
    if mode == "all" or n_frames == 0:
        return Hearing(labels)
    if weights is not None:
        labels[~_speech_frames(SpeechDetector(weights)(sound), n_frames)] = _OTHER
    labels[_widened(steady_tones(sound), _TONE_MARGIN)] = _TONE
    _find_silence(labels, sound)
    return Hearing(labels, weights is not None)


def _speech_frames(probabilities: Float32Array, n_frames: int) -> BoolArray:
    """Frames within speech, with its pauses and margins."""
    first = np.arange(n_frames) * SAMPLES_PER_FRAME // WINDOW
    last = np.minimum(((np.arange(n_frames) + 1) * SAMPLES_PER_FRAME - 1) // WINDOW, len(probabilities) - 1)
    spoken = np.maximum(probabilities[np.minimum(first, last)], probabilities[last]) >= _SPEECH
    for begin, end in runs(spoken):
        spoken[begin:end] = end - begin >= _SHORTEST
    for begin, end in runs(~spoken):
        is_pause = begin > 0 and end < n_frames and end - begin <= _LONGEST_PAUSE
        spoken[begin:end] = is_pause
    return _widened(spoken, _MARGIN)


def _find_silence(labels: Int64Array, sound: Float32Array) -> None:
    """Tell silence from other sound: runs without speech of which most frames are silent."""
    for begin, end in runs(labels == _OTHER):
        firsts = range(begin, end, _BLOCK)
        levels = np.concatenate([_levels(sound, first, min(first + _BLOCK, end)) for first in firsts])
        if np.mean(levels < _SILENT) > 0.5:
            labels[begin:end] = _SILENCE


def _levels(sound: Float32Array, first: int, last: int) -> Float32Array:
    """RMS of each frame from `first` to `last`."""
    frames = part_of(sound, first * SAMPLES_PER_FRAME, last * SAMPLES_PER_FRAME).reshape(-1, SAMPLES_PER_FRAME)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def _widened(mask: BoolArray, n_frames: int) -> BoolArray:
    """The mask with so many frames more on either side of each run."""
    around = np.convolve(mask, np.ones(2 * n_frames + 1, int))
    wide: BoolArray = around[n_frames : n_frames + len(mask)] > 0
    return wide


def runs(mask: BoolArray, first: int = 0) -> list[tuple[int, int]]:
    """Range [begin, end) of each run of True; the mask begins at `first`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(first + int(a), first + int(b)) for a, b in edges.reshape(-1, 2)]
