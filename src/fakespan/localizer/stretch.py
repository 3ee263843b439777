"""Processes one stretch of a file (a face track, or audio alone) window by window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fakespan.arrays import Float32Array, Int64Array, UInt8Array
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.localizer.extent import WHOLE, Extent
from fakespan.localizer.maps import ClipMaps, MapsStitcher, longest_span, window_frames
from fakespan.localizer.seeing import Seeing
from fakespan.windows import Window, WindowBuffer, overlap_frames, windows

__all__ = ["JudgeClip", "Stretch", "listen"]

JudgeClip = Callable[[UInt8Array | None, Float32Array | None], ClipMaps]
"""`Localizer.judge_clip`."""


class Stretch:
    """A face track that is being processed, with its audio, from `first_frame` on."""

    def __init__(
        self, judge: JudgeClip, model: ModelConfig, first_frame: int, sound: Float32Array, extent: Extent = WHOLE
    ) -> None:
        self.judge, self.model, self.first_frame, self.sound, self.extent = judge, model, first_frame, sound, extent
        self.buffer = WindowBuffer(window_frames(model), _overlap(model))
        self.stitcher = MapsStitcher()
        self.seeing = Seeing()

    @property
    def seen(self) -> Int64Array:
        """The labels of the frames so far (`seeing.LABELS`); a network that is not ours judges all of them."""
        labels = self.seeing.labels(window_frames(self.model))
        return labels if self.model.video_encoder == "mouth" else np.zeros_like(labels)

    def push(self, face: UInt8Array) -> None:
        """Add the next face of the track."""
        self.seeing.push(face)
        for window, faces in self.buffer.push(face):
            self._judge(window, faces)

    def finish(self) -> ClipMaps | None:
        """End the track and return its maps, at 25 fps; None if it lies outside the extent."""
        for window, faces in self.buffer.finish():
            self._judge(window, faces)
        return self.stitcher.result(self.first_frame) if self.stitcher.has_any else None

    def _judge(self, window: Window, faces: UInt8Array) -> None:
        if not self.extent.overlaps(self.first_frame + window.begin, self.first_frame + window.end):
            return
        maps = self.judge(faces, _sound_of(self.sound, self.first_frame, window))
        self.stitcher.add(window, maps.at_file_clock())


def listen(  # noqa: PLR0917 - called once, by the scan
    judge: JudgeClip,
    model: ModelConfig,
    sound: Float32Array,
    begin: int,
    end: int,
    part: tuple[int, int] | None = None,
    extent: Extent = WHOLE,
) -> ClipMaps | None:
    """The maps of the audio of frames [begin, end), with the surrounding audio (of the same part) as context.

    None if they lie outside the extent.
    """
    if not extent.overlaps(begin, end):
        return None
    size, overlap = window_frames(model), _overlap(model)
    part_begin, part_end = part or (0, -(-len(sound) // SAMPLES_PER_FRAME))
    first, last = max(part_begin, begin - overlap), min(end + overlap, part_end)
    stitcher = MapsStitcher()
    for window in windows(max(last, end) - first, size, overlap):
        if extent.overlaps(first + window.begin, first + window.end):
            stitcher.add(window, judge(None, _sound_of(sound, first, window)).at_file_clock())
    return stitcher.result(first).columns(begin - first, end - first)


def _sound_of(sound: Float32Array, first_frame: int, window: Window) -> Float32Array | None:
    """The audio of a window of a stretch, zero-padded to whole frames; None if the file has none."""
    if len(sound) == 0:
        return None
    begin, end = ((first_frame + k) * SAMPLES_PER_FRAME for k in (window.begin, window.end))
    part = sound[begin:end]
    return np.pad(part, (0, end - begin - len(part)))


def _overlap(model: ModelConfig) -> int:
    size = window_frames(model)
    return overlap_frames(longest_span(model, size), size)
