"""Decodes a media file to arrays at the model's clock: pictures at 25 fps, audio as mono at 16 kHz.

Contract: both start at the file's common origin (the earlier of the two streams' starts), so that picture k corresponds
to sample 640 k. A video stream that starts later is padded with its first picture, an audio stream with silence; pauses
are filled with the previous picture and with silence, holes of the file's clock are left out (`timeline`, `jumps`).
Memory is constant, whatever the length of the file. What is damaged is skipped. The published BA-TFD (2204.06228)
resamples neither stream; this module does.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from av.audio.frame import AudioFrame
from av.stream import Stream
from av.video.reformatter import VideoReformatter

from fakespan.arrays import Float32Array
from fakespan.config import FPS, SAMPLE_RATE
from fakespan.errors import MediaError
from fakespan.media.ahead import run_ahead
from fakespan.media.container import (
    BEST,
    Tracks,
    duration_s,
    open_media,
    picture_stream,
    picture_streams,
    sound_stream,
    sound_streams,
)
from fakespan.media.damage import Damage, cut_off_s
from fakespan.media.frames import decoded_frames, packets_on_one_clock, placed_pictures, with_damage, with_early
from fakespan.media.jumps import Jumps, at_clock
from fakespan.media.picture import Picture
from fakespan.media.probe import packets_end_s
from fakespan.media.sound import SoundClock

__all__ = ["Picture", "iter_sound", "read_both", "read_jumps", "read_pictures", "read_sound"]

T = TypeVar("T")

_QUEUE_BYTES = 1 << 26
_LONGEST_FILLED_S = 60.0  # longer holes are refused in the clips of data sets


def read_pictures(
    path: str | Path,
    fps: float = FPS,
    threads: int = 0,
    jumps: Jumps | None = None,
    *,
    tracks: Tracks = BEST,
    damage: Damage | None = None,
) -> Generator[Picture, None, None]:
    """Yield the pictures shown at times k / fps, decoded ahead in a thread that ends with the generator.

    Args:
        path: a local media file.
        fps: output frames per second.
        threads: threads of the decoder; 0: one per core.
        jumps: filled with what the clock of the file does, until the last picture.
        tracks: the streams to read.
        damage: filled with what is damaged, some pictures ahead.

    Raises:
        MediaError: not a media file (consume `probe`), no video stream, or no picture that decodes.
    """
    with open_media(path, tracks) as container:
        streams = picture_streams(container)
        if not streams:
            got = "neither picture nor sound" if sound_stream(container) is None else "sound alone"
            raise MediaError(path, expected="a picture stream", got=got, remedy="give a video")
        for stream in streams:
            stream.codec_context.thread_count = threads
            stream.thread_type = "AUTO"
        area = max(1, streams[0].codec_context.width * streams[0].codec_context.height)
        jumps, damage = jumps or Jumps(), damage or Damage()
        placed = placed_pictures(streams[0], decoded_frames(container, streams, jumps, damage=damage))
        shown = with_early(with_damage(at_clock(placed, fps, jumps), fps, damage), fps)
        index = -1
        with closing(run_ahead(shown, size=min(16, max(2, _QUEUE_BYTES // (2 * area))))) as ahead:
            for index, source, is_damaged, is_early in ahead:
                yield Picture(index, index / fps, source, jumps.is_hole(index / fps), is_damaged, is_early)
    if index < 0:
        raise MediaError(
            path,
            expected="pictures",
            got="a picture stream that cannot be decoded",
            remedy="copy or download it again",
        )


def iter_sound(
    path: str | Path,
    sample_rate: int = SAMPLE_RATE,
    jumps: Jumps | None = None,
    *,
    tracks: Tracks = BEST,
    damage: Damage | None = None,
) -> Generator[Float32Array, None, None]:
    """Yield the audio in blocks of float32 (n,), mono in -1..1, without gaps from the common origin on.

    What the clock of the file does until the end of the sound is added to `jumps`; its holes are left out. Channels are
    averaged; a centre channel has the same weight as all others together. Yields nothing for a file without audio.
    Raises MediaError if it is not a media file.
    """
    with open_media(path, tracks) as container:
        streams = sound_streams(container)
        if not streams:
            return
        clock = SoundClock(sample_rate)
        for frame in decoded_frames(container, streams, jumps or Jumps(), damage=damage):
            if isinstance(frame, AudioFrame):
                yield from clock.add(frame)
        yield from clock.finish()


def read_sound(
    path: str | Path,
    sample_rate: int = SAMPLE_RATE,
    jumps: Jumps | None = None,
    *,
    tracks: Tracks = BEST,
    damage: Damage | None = None,
    n_most: int | None = None,
) -> Float32Array:
    """The audio, or its first `n_most` samples, float32 (n,); n is 0 for a file without audio."""
    found = array("f")  # grows in place: blocks put together at the end take twice the memory
    with closing(iter_sound(path, sample_rate, jumps, tracks=tracks, damage=damage)) as parts:
        for block in parts:
            found.frombytes(block.tobytes())
            if n_most is not None and len(found) >= n_most:
                break
    return np.frombuffer(found, np.float32)[:n_most]


def read_jumps(path: str | Path, until_s: float, *, tracks: Tracks = BEST) -> Jumps:
    """What the clock of the file does, from its packets alone: nothing is decoded.

    Args:
        path: a local media file.
        until_s: seconds from its first picture or sound; what comes later may be missing.
        tracks: the streams to read.

    Raises MediaError if it is not a media file.
    """
    jumps, reached_s = Jumps(), dict[str, float]()
    with open_media(path, tracks) as container:
        kinds = {stream.type for stream in (*picture_streams(container), *sound_streams(container))}
        for packet in packets_on_one_clock(container, jumps):
            if packet.dts is not None and packet.time_base is not None:
                reached_s[packet.stream.type] = jumps.file_s(float(packet.dts * packet.time_base) * FPS)
            if reached_s.keys() == kinds and min(reached_s.values()) > until_s:
                break
    return jumps


def read_both(
    path: str | Path,
    consume: Callable[[Iterator[Picture]], T],
    *,
    every_picture: bool = False,
    damage: Damage | None = None,
) -> tuple[T | None, Float32Array]:
    """Pictures and audio of a short clip in one pass, at 25 fps and 16 kHz, in the calling thread.

    The values equal those of `read_pictures` and `read_sound`; the file is opened and read only once. Holes of up to a
    minute are filled with the previous picture and with silence, so that labels keep their time.

    Args:
        path: a local media file.
        consume: called with an iterator over the pictures; its result is returned. It need not exhaust the iterator.
        every_picture: yield each picture of the file once, whatever its time, instead of sampling at the clock.
        damage: filled with what is damaged, and with what is missing of the stated length.

    Returns:
        The result of `consume`, None without a video stream; and the audio, float32 (n,), empty without an audio
        stream.

    Raises:
        MediaError: not a media file (consume `probe`), neither video nor audio stream, or a longer hole.
    """
    with open_media(path) as container:
        video, audio = picture_stream(container), sound_stream(container)
        streams: list[Stream] = [stream for stream in (video, audio) if stream is not None]
        if not streams:
            raise MediaError(path, expected="picture or sound", got="neither", remedy="give a video")
        jumps, heard = Jumps(), _Heard()
        frames = decoded_frames(container, streams, jumps, _LONGEST_FILLED_S, damage)
        rest, result = heard.aside(_without_hole(path, frames, jumps)), None
        if video is not None:
            video.codec_context.thread_count = 1
            placed = placed_pictures(video, rest, VideoReformatter())
            shown = enumerate(source for _, _, source in placed) if every_picture else at_clock(placed, FPS)
            result = consume(Picture(index, index / FPS, source) for index, source in shown)
        for _ in rest:  # audio beyond the pictures that were consumed
            pass
        kind, stated_s = container.format.name, 0.0 if jumps.n_restarts else duration_s(container)
    is_short = damage is not None and cut_off_s(kind, damage.read_s, stated_s)
    if damage is not None and is_short and cut_off_s(kind, packets_end_s(path), stated_s):
        damage.spans.append((damage.read_s, stated_s))
    return result, heard.samples()


class _Heard:
    """The sound among the frames of a clip."""

    def __init__(self) -> None:
        self._clock = SoundClock(SAMPLE_RATE)
        self._blocks = [np.zeros(0, np.float32)]

    def aside(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The other frames."""
        for frame in frames:
            if isinstance(frame, AudioFrame):
                self._blocks.extend(self._clock.add(frame))
            else:
                yield frame

    def samples(self) -> Float32Array:
        """All of it, float32 (n,), once the frames are exhausted."""
        return np.concatenate([*self._blocks, *self._clock.finish()])


def _without_hole(path: str | Path, frames: Iterator[Any], jumps: Jumps) -> Iterator[Any]:
    """The same frames; raises MediaError at a hole."""
    for frame in frames:
        for hole in jumps.holes:
            got = f"a hole of {hole.length_s:.0f} s after {hole.frame / FPS:.2f} s"
            raise MediaError(path, expected="a clip whose clock runs on", got=got, remedy="cut it at the hole")
        yield frame
