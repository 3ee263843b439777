"""One stretch of a file, a face track or sound alone, through the network window by window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fakespan.config import FPS, SAMPLE_RATE, ModelConfig
from fakespan.localizer.findings import StretchMaps
from fakespan.media.windows import MapStitcher, Window, WindowBuffer, windows

__all__ = ["SAMPLES_PER_FRAME", "Judge", "Stretch", "listen"]

Floats = NDArray[np.float32]
Faces = NDArray[np.uint8]
Judge = Callable[[Faces | None, Floats | None], dict[str, Floats]]
"""`Localizer.judge`."""

SAMPLES_PER_FRAME = int(SAMPLE_RATE / FPS)


class Stretch:
    """One face track on its way through the network, with the sound of its time, from `first_frame` on."""

    def __init__(self, judge: Judge, model: ModelConfig, first_frame: int, sound: Floats) -> None:
        self.judge, self.first_frame, self.sound = judge, first_frame, sound
        self.buffer = WindowBuffer(model.n_frames, _overlap(model))
        self.maps = {name: MapStitcher(model.max_duration) for name in ("score", "visual", "audio")}
        self.rows = {name: MapStitcher(1) for name in ("visual", "audio")}

    def push(self, face: Faces) -> None:
        """Take the next face of the track."""
        for window, faces in self.buffer.push(face):
            self._judge(window, faces)

    def finish(self) -> StretchMaps:
        """The track is over: what was said of it."""
        for window, faces in self.buffer.finish():
            self._judge(window, faces)
        heard = len(self.sound) > 0
        return StretchMaps(
            self.first_frame,
            score=self.maps["score"].result(),
            visual=self.maps["visual"].result(),
            audio=self.maps["audio"].result() if heard else None,
            visual_frames=self.rows["visual"].result()[0],
            audio_frames=self.rows["audio"].result()[0] if heard else None,
        )

    def _judge(self, window: Window, faces: Faces) -> None:
        answer = self.judge(faces, _sound_of(self.sound, self.first_frame, window))
        for name, stitcher in self.maps.items():
            if name in answer:
                stitcher.add(window, answer[name])
        for name, stitcher in self.rows.items():
            if f"{name}_frames" in answer:
                stitcher.add(window, answer[f"{name}_frames"])


def listen(judge: Judge, model: ModelConfig, sound: Floats, begin: int, end: int) -> StretchMaps:
    """The sound of frames [begin, end), judged alone, with what surrounds it as context."""
    overlap = _overlap(model)
    first, last = max(0, begin - overlap), min(end + overlap, -(-len(sound) // SAMPLES_PER_FRAME))
    maps, rows = MapStitcher(model.max_duration), MapStitcher(1)
    for window in windows(max(last, end) - first, model.n_frames, overlap):
        answer = judge(None, _sound_of(sound, first, window))
        maps.add(window, answer["audio"])
        rows.add(window, answer["audio_frames"])
    own = np.s_[:, begin - first : end - first]
    audio, frames = maps.result()[own], rows.result()[own][0]
    return StretchMaps(begin, score=audio, visual=None, audio=audio, visual_frames=None, audio_frames=frames)


def _sound_of(sound: Floats, first_frame: int, window: Window) -> Floats | None:
    """The sound of a window of a stretch, zero-padded to whole frames; None when the file has none."""
    if len(sound) == 0:
        return None
    begin, end = ((first_frame + k) * SAMPLES_PER_FRAME for k in (window.begin, window.end))
    part = sound[begin:end]
    return np.pad(part, (0, end - begin - len(part)))


def _overlap(model: ModelConfig) -> int:
    return min(2 * model.max_duration, model.n_frames // 2)
