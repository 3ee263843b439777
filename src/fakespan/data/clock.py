"""Fits clips of any length to the T frames of a network, by padding or by resampling in time.

"pad" (LAV-DF, 2204.06228 section 4): the clip keeps 25 fps, is padded with zeros, and is cut at T.
"stretch" (the AV-Deepfake1M baseline, arXiv 2311.15308): T evenly spaced frames are taken from the whole clip and its
audio is resampled to the same length, so that a frame of the network lasts (clip length / T) seconds.
"""

from __future__ import annotations

import dataclasses

from fakespan.config import FPS, SAMPLES_PER_FRAME, Clock
from fakespan.data.example import Example
from fakespan.media.clock import stretch_faces, stretch_sound

__all__ = ["fit_clock"]


def fit_clock(example: Example, clock: Clock, n_frames: int) -> Example:
    """Fit an example to a network with T = n_frames; its spans become seconds of the network's 25 fps clock.

    >>> import numpy as np
    >>> clip = Example("a", np.zeros((200, 1, 1, 3), np.uint8), np.zeros(200 * 640, np.float32), ((2.0, 4.0),))
    >>> fit_clock(clip, "stretch", 100).audio_spans, fit_clock(clip, "pad", 75).audio_spans
    (((1.0, 2.0),), ((2.0, 3.0),))
    """
    return _stretch(example, n_frames) if clock == "stretch" else _cut(example, n_frames)


def _cut(example: Example, n_frames: int) -> Example:
    if len(example.faces) <= n_frames:
        return example
    end_s = n_frames / FPS

    def within(spans: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((start, min(end, end_s)) for start, end in spans if start < end_s)

    return dataclasses.replace(
        example,
        faces=example.faces[:n_frames],
        sound=example.sound[: n_frames * SAMPLES_PER_FRAME],
        audio_spans=within(example.audio_spans),
        visual_spans=within(example.visual_spans),
    )


def _stretch(example: Example, n_frames: int) -> Example:
    """Nearest frames and linearly interpolated audio, as in the published baseline."""
    n = len(example.faces)
    factor = n_frames / n

    def moved(spans: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((start * factor, end * factor) for start, end in spans)

    return dataclasses.replace(
        example,
        faces=stretch_faces(example.faces, n_frames),
        sound=stretch_sound(example.sound, n, n_frames),
        audio_spans=moved(example.audio_spans),
        visual_spans=moved(example.visual_spans),
    )
