"""One stretch of a file, a face track or sound alone, through the network window by window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.localizer.clock import longest_span, window_frames
from fakespan.localizer.findings import StretchMaps
from fakespan.windows import MapStitcher, Window, WindowBuffer, overlap_frames, windows

__all__ = ["Judge", "Stretch", "listen"]

Judge = Callable[[UInt8Array | None, Float32Array | None], dict[str, Float32Array]]
"""`Localizer.judge`."""


class Stretch:
    """One face track on its way through the network, with the sound of its time, from `first_frame` on."""

    def __init__(self, judge: Judge, model: ModelConfig, first_frame: int, sound: Float32Array) -> None:
        self.judge, self.first_frame, self.sound = judge, first_frame, sound
        self.buffer = WindowBuffer(window_frames(model), _overlap(model))
        self.said: dict[str, MapStitcher] = {}  # by the names of `judge`

    def push(self, face: UInt8Array) -> None:
        """Take the next face of the track."""
        for window, faces in self.buffer.push(face):
            self._judge(window, faces)

    def finish(self) -> StretchMaps:
        """The track is over: what was said of it."""
        for window, faces in self.buffer.finish():
            self._judge(window, faces)
        said = {name: stitcher.result() for name, stitcher in self.said.items()}
        return StretchMaps(
            self.first_frame,
            score=said["score"],
            visual=said["visual"],
            audio=said.get("audio"),
            visual_frames=said["visual_frames"][0],
            audio_frames=said["audio_frames"][0] if "audio_frames" in said else None,
        )

    def _judge(self, window: Window, faces: UInt8Array) -> None:
        for name, part in self.judge(faces, _sound_of(self.sound, self.first_frame, window)).items():
            # all windows of a stretch are equally long, and so are the rows of their maps
            self.said.setdefault(name, MapStitcher(len(part))).add(window, part)


def listen(judge: Judge, model: ModelConfig, sound: Float32Array, begin: int, end: int) -> StretchMaps:
    """The sound of frames [begin, end), judged alone, with what surrounds it as context."""
    overlap = _overlap(model)
    first, last = max(0, begin - overlap), min(end + overlap, -(-len(sound) // SAMPLES_PER_FRAME))
    n_frames, size = max(last, end) - first, window_frames(model)
    maps, rows = MapStitcher(longest_span(model, min(n_frames, size))), MapStitcher(1)
    for window in windows(n_frames, size, overlap):
        answer = judge(None, _sound_of(sound, first, window))
        maps.add(window, answer["audio"])
        rows.add(window, answer["audio_frames"])
    own = np.s_[:, begin - first : end - first]
    audio, frames = maps.result()[own], rows.result()[own][0]
    return StretchMaps(begin, score=audio, visual=None, audio=audio, visual_frames=None, audio_frames=frames)


def _sound_of(sound: Float32Array, first_frame: int, window: Window) -> Float32Array | None:
    """The sound of a window of a stretch, zero-padded to whole frames; None when the file has none."""
    if len(sound) == 0:
        return None
    begin, end = ((first_frame + k) * SAMPLES_PER_FRAME for k in (window.begin, window.end))
    part = sound[begin:end]
    return np.pad(part, (0, end - begin - len(part)))


def _overlap(model: ModelConfig) -> int:
    size = window_frames(model)
    return overlap_frames(longest_span(model, size), size)
