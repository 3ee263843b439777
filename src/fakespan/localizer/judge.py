"""Runs a network on decoded clips and returns their maps.

Clips of any length are batched: all together if the network needs T frames anyway, otherwise by length. So the maps of
a clip do not depend on the others, except for float rounding. With the "pad" clock, a clip of more than T frames is
split into overlapping windows, whose maps are stitched. With the "stretch" clock every clip is resampled to T frames;
its maps are those of the whole clip, at 25 T / n frames per second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLES_PER_FRAME, ModelConfig
from fakespan.localizer.maps import ClipMaps, MapsStitcher
from fakespan.localizer.runner import Runner
from fakespan.media.clock import stretch_faces, stretch_sound
from fakespan.windows import Window, overlap_frames, windows

__all__ = ["Clip", "Judge"]


@dataclass(frozen=True)
class Clip:
    """Video and audio of a clip at 25 fps; None for a missing modality."""

    n_frames: int
    faces: UInt8Array | None  # (n, 96, 96, 3) RGB, framed as `ModelConfig.framing` says
    sound: Float32Array | None  # (640 n,) at 16 kHz; padded with silence if shorter

    @classmethod
    def of(cls, faces: UInt8Array | None, sound: Float32Array | None) -> Clip:
        """Build a clip from faces and audio; without faces from the audio alone, in whole frames."""
        n_samples = 0 if sound is None else len(sound)
        return cls(n_samples // SAMPLES_PER_FRAME if faces is None else len(faces), faces, sound)

    @property
    def is_empty(self) -> bool:
        """Whether it has neither video nor audio."""
        return self.n_frames < 1 or (self.faces is None and self.sound is None)

    def part(self, begin: int, end: int) -> Clip:
        """The frames [begin, end)."""
        faces = None if self.faces is None else self.faces[begin:end]
        sound = None if self.sound is None else self.sound[begin * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]
        return Clip(end - begin, faces, sound)

    def stretched(self, n_frames: int) -> Clip:
        """The whole clip, resampled to so many frames."""
        faces = None if self.faces is None else stretch_faces(self.faces, n_frames)
        sound = None if self.sound is None else stretch_sound(self.sound, self.n_frames, n_frames)
        return Clip(n_frames, faces, sound)


@dataclass(frozen=True)
class _Part:
    """A part of a clip for one pass through the network: at most T frames."""

    number: int  # index of the clip
    window: Window
    clip: Clip
    fps: float = FPS  # of the network's frames


@dataclass(frozen=True)
class Judge:
    """A network with its config."""

    runner: Runner
    model: ModelConfig

    def __call__(self, clips: Sequence[Clip], batch_size: int = 8) -> list[ClipMaps | None]:
        """The maps of each clip, at the network's clock; None for an empty clip.

        For a clip of several windows, each cell and each frame is taken from the window in which it lies deepest.

        Args:
            clips: any number, of any length.
            batch_size: number of parts per batch.
        """
        parts = [part for number, clip in enumerate(clips) for part in _parts(number, clip, self.model)]
        answers: dict[int, list[tuple[Window, ClipMaps]]] = {}
        for group in _groups(parts, batch_size, self.model):
            for part, maps in zip(group, self._maps(group), strict=True):
                answers.setdefault(part.number, []).append((part.window, maps))
        return [_stitched(answers[k]) if k in answers else None for k in range(len(clips))]

    def _maps(self, parts: Sequence[_Part]) -> list[ClipMaps]:
        """Run one batch of parts with the same modalities."""
        clips = [part.clip for part in parts]
        n_frames = max(clip.n_frames for clip in clips)
        n_padded = self.model.n_frames if self.model.is_fixed_length else n_frames
        faces = None if clips[0].faces is None else _faces(clips, n_padded)
        sounds = None if clips[0].sound is None else _sounds(clips, n_padded)
        answers = self.runner(faces, sounds, n_frames)

        def own(k: int) -> dict[str, Any]:
            return {name: answer[k, ..., : clips[k].n_frames] for name, answer in answers.items()}

        return [ClipMaps(part.fps, **own(k)) for k, part in enumerate(parts)]


def _parts(number: int, clip: Clip, model: ModelConfig) -> Iterator[_Part]:
    if clip.is_empty:
        return
    if model.clock == "stretch":
        whole = Window(0, model.n_frames, is_first=True, is_last=True)
        yield _Part(number, whole, clip.stretched(model.n_frames), FPS * model.n_frames / clip.n_frames)
        return
    for window in windows(clip.n_frames, model.n_frames, overlap_frames(model.max_duration, model.n_frames)):
        yield _Part(number, window, clip.part(window.begin, window.end))


def _groups(parts: Sequence[_Part], batch_size: int, model: ModelConfig) -> Iterator[list[_Part]]:
    """Group the parts into batches of at most batch_size."""
    alike: dict[tuple[bool, bool, int], list[_Part]] = {}
    for part in parts:
        length = 0 if model.is_fixed_length else part.clip.n_frames
        alike.setdefault((part.clip.faces is None, part.clip.sound is None, length), []).append(part)
    for same in alike.values():
        same.sort(key=lambda part: part.clip.n_frames)  # the longest of a batch determines the padding
        for first in range(0, len(same), batch_size):
            yield same[first : first + batch_size]


def _stitched(answers: Sequence[tuple[Window, ClipMaps]]) -> ClipMaps:
    """Stitch the maps of the windows of a clip."""
    if len(answers) == 1:
        return answers[0][1]
    stitcher = MapsStitcher()
    for window, maps in answers:
        stitcher.add(window, maps)
    return stitcher.result()


def _faces(clips: Sequence[Clip], n_padded: int) -> UInt8Array:
    """(B, T, 96, 96, 3), padded with zeros."""
    first: Any = clips[0].faces
    batch = np.zeros((len(clips), n_padded, *first.shape[1:]), np.uint8)
    for row, clip in zip(batch, clips, strict=True):
        row[: clip.n_frames] = clip.faces
    return batch


def _sounds(clips: Sequence[Clip], n_padded: int) -> Float32Array:
    """(B, 640 T): the audio, padded with silence."""
    sounds = np.zeros((len(clips), n_padded * SAMPLES_PER_FRAME), np.float32)
    for row, clip in zip(sounds, clips, strict=True):
        sound: Any = clip.sound
        row[: len(sound)] = sound
    return sounds
