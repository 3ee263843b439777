"""Clips that are decoded already, many at a time: what the rating of a data set asks of a network.

`Localizer.judge_clip` answers for one clip, `judge_clips` for any number. Clips of a group go through the network
together: all that it wants at T frames anyway, or else those of the same length. So what is said of a clip does not
depend on its company, but for the rounding of floats. With the "pad" clock clips of more than T frames go in windows
that overlap and are stitched, as a user's file is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLES_PER_FRAME, ModelConfig
from fakespan.localizer.clock import ClipMaps
from fakespan.media.clock import stretch_faces, stretch_sound
from fakespan.media.features import sound_input
from fakespan.windows import MapStitcher, Window, overlap_frames, windows

if TYPE_CHECKING:
    from fakespan.localizer import Localizer

__all__ = ["Clip", "judge_clips"]


@dataclass(frozen=True)
class Clip:
    """What there is to see and to hear of a clip, at 25 frames a second."""

    n_frames: int
    faces: UInt8Array | None  # (n, 96, 96, 3)
    sound: Float32Array | None  # at most (640 n,); silence follows

    def part(self, begin: int, end: int) -> Clip:
        """Frames [begin, end) of it."""
        faces = None if self.faces is None else self.faces[begin:end]
        sound = None if self.sound is None else self.sound[begin * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]
        return Clip(end - begin, faces, sound)

    def stretched(self, n_frames: int) -> Clip:
        """The whole of it in so many frames."""
        faces = None if self.faces is None else stretch_faces(self.faces, n_frames)
        sound = None if self.sound is None else stretch_sound(self.sound, self.n_frames, n_frames)
        return Clip(n_frames, faces, sound)


@dataclass(frozen=True)
class _Part:
    """What of a clip goes through the network at once."""

    number: int  # of the clip
    window: Window
    clip: Clip
    fps: float = FPS  # of the network's frames


def judge_clips(localizer: Localizer, clips: Sequence[Clip], batch_size: int = 8) -> list[ClipMaps | None]:
    """What `Localizer.judge_clip` says of each clip, at the network's clock; None: there is nothing to see or hear.

    A clip of several windows has each cell of a map, and each frame, from the window in which it lies deepest.

    Args:
        localizer: the network and its clock.
        clips: any number, of any length.
        batch_size: how many go through the network at once.
    """
    parts = [part for number, clip in enumerate(clips) for part in _parts(number, clip, localizer.model)]
    answers: dict[int, list[tuple[Window, ClipMaps]]] = {}
    for group in _groups(parts, batch_size, fixed=localizer.is_fixed_length):
        for part, maps in zip(group, _judge(localizer, group), strict=True):
            answers.setdefault(part.number, []).append((part.window, maps))
    return [_stitched(answers[k]) if k in answers else None for k in range(len(clips))]


def _parts(number: int, clip: Clip, model: ModelConfig) -> Iterator[_Part]:
    if clip.n_frames < 1 or (clip.faces is None and clip.sound is None):
        return
    if model.clock == "stretch":
        whole = Window(0, model.n_frames, is_first=True, is_last=True)
        yield _Part(number, whole, clip.stretched(model.n_frames), FPS * model.n_frames / clip.n_frames)
        return
    for window in windows(clip.n_frames, model.n_frames, overlap_frames(model.max_duration, model.n_frames)):
        yield _Part(number, window, clip.part(window.begin, window.end))


def _groups(parts: Sequence[_Part], batch_size: int, *, fixed: bool) -> Iterator[list[_Part]]:
    """Parts that may go through the network together, at most batch_size at once."""
    alike: dict[tuple[bool, bool, int], list[_Part]] = {}
    for part in parts:
        length = 0 if fixed else part.clip.n_frames
        alike.setdefault((part.clip.faces is None, part.clip.sound is None, length), []).append(part)
    for same in alike.values():
        same.sort(key=lambda part: part.clip.n_frames)  # the longest of a group says how much padding is spared
        for first in range(0, len(same), batch_size):
            yield same[first : first + batch_size]


@torch.inference_mode()
def _judge(localizer: Localizer, parts: Sequence[_Part]) -> list[ClipMaps]:
    """Parts of at most T frames, of the same modalities, in one go."""
    clips = [part.clip for part in parts]
    n_frames = max(clip.n_frames for clip in clips)
    n_padded = localizer.model.n_frames if localizer.is_fixed_length else n_frames
    network: Any = localizer.network
    seen = heard = None
    if clips[0].faces is not None:
        seen = network.see(_video(clips, n_padded, localizer.device), n_frames)
    if clips[0].sound is not None:
        heard = network.hear(_audio(clips, n_padded, localizer), n_frames)
    both = network.fuse(seen, heard) if seen is not None and heard is not None else seen or heard
    maps = [None if said is None else said.score_map for said in (both, seen, heard)]
    curves = [None if said is None else said.logits.sigmoid() for said in (seen, heard)]
    answers = [None if answer is None else answer.float().cpu() for answer in (*maps, *curves)]

    def own(k: int) -> list[Any]:
        return [None if answer is None else answer[k, :, : clips[k].n_frames].numpy() for answer in answers]

    return [ClipMaps(part.fps, *own(k)) for k, part in enumerate(parts)]


def _video(clips: Sequence[Clip], n_padded: int, device: torch.device) -> torch.Tensor:
    """(B, 3, T, 96, 96) in 0..1, zero-padded."""
    first: Any = clips[0].faces
    video = torch.zeros(len(clips), 3, n_padded, *first.shape[1:3], device=device)
    for row, clip in zip(video, clips, strict=True):
        faces = torch.from_numpy(np.ascontiguousarray(clip.faces)).to(device)  # bytes travel, not floats
        row[:, : clip.n_frames] = faces.permute(3, 0, 1, 2).float().div_(255)
    return video


def _audio(clips: Sequence[Clip], n_padded: int, localizer: Localizer) -> torch.Tensor:
    """What the network hears of the sound and the silence after it, (B, ..., 4T)."""
    sounds = np.zeros((len(clips), n_padded * SAMPLES_PER_FRAME), np.float32)
    for row, clip in zip(sounds, clips, strict=True):
        sound: Any = clip.sound
        row[: len(sound)] = sound
    return sound_input(localizer.model.audio_encoder, torch.from_numpy(sounds).to(localizer.device))


def _stitched(answers: Sequence[tuple[Window, ClipMaps]]) -> ClipMaps:
    """One answer from those of the clip's windows."""
    first = answers[0][1]
    if len(answers) == 1:
        return first

    def together(name: str) -> Any:
        part = getattr(first, name)
        if part is None:
            return None
        stitcher = MapStitcher(len(part))
        for window, maps in answers:
            stitcher.add(window, getattr(maps, name))
        return stitcher.result()

    return ClipMaps(first.fps, *map(together, ("score", "visual", "audio", "visual_frames", "audio_frames")))
