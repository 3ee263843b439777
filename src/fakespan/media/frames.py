"""From a container to frames: decoded, on the clock that picture and sound share, and known to be damaged or not."""

from __future__ import annotations

import functools
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from fakespan.config import FPS
from fakespan.media.container import duration_s, picture_streams, pixel_aspect, sound_streams, zero_s
from fakespan.media.damage import BEFORE_S, Damage, Watch
from fakespan.media.fields import without_fields
from fakespan.media.jumps import Jumps
from fakespan.media.order import DisplayOrder
from fakespan.media.packets import OnDamage, decoded, in_turn, packets_of, unheard
from fakespan.media.picture import Source
from fakespan.media.timeline import SHORTEST_HOLE_S, Timeline

__all__ = ["decoded_frames", "packets_on_one_clock", "placed_pictures", "with_damage", "with_early"]

_SHORTEST_EARLY_S = 0.4  # a first picture may fill less than that before its time
_LONGEST_LAST_S = 60.0  # a longer duration of the last frame is ignored


def packets_on_one_clock(
    container: InputContainer, jumps: Jumps, hole_s: float = SHORTEST_HOLE_S, on_damage: OnDamage = unheard
) -> Iterator[Packet[Stream]]:
    """The packets of all streams that are read, by the clock that these share."""
    used = [*picture_streams(container), *sound_streams(container)]
    timeline = Timeline(zero_s(container), duration_s(container), jumps, hole_s)
    return timeline.follow(in_turn(packets_of(container, used, on_damage)))


def decoded_frames(
    container: InputContainer,
    wanted: Sequence[Stream],
    jumps: Jumps,
    hole_s: float = SHORTEST_HOLE_S,
    damage: Damage | None = None,
) -> Iterator[Any]:
    """Every frame of the wanted streams that decodes, by the clock that picture and sound share."""
    order = DisplayOrder(container.format.name)
    watch = Watch(Damage() if damage is None else damage)
    for packet in packets_on_one_clock(container, jumps, hole_s, functools.partial(watch.failed, None)):
        watch.packet(packet)
        if packet.stream not in wanted:  # read for its stamps alone
            continue
        for frame in decoded(packet, functools.partial(watch.failed, packet), order.decode):
            if isinstance(frame, VideoFrame):
                watch.picture(frame)
            yield frame
    watch.finish()


def placed_pictures(
    stream: VideoStream, frames: Iterator[Any], reformatter: VideoReformatter | None = None
) -> Iterator[tuple[float, float, Source]]:
    """Every decoded frame, deinterlaced, with its time since the common origin and its duration, in seconds."""
    rate = stream.average_rate or stream.guessed_rate
    length_s = 1 / float(rate) if rate else 1 / FPS
    aspect = pixel_aspect(stream)
    last_s = due_s = 0.0
    for frame in without_fields(frames):
        if not isinstance(frame, VideoFrame):
            continue
        time_s = due_s if frame.time is None else frame.time
        if frame.duration and frame.time_base:
            length_s = min(frame.duration * float(frame.time_base), _LONGEST_LAST_S)
        last_s = time_s if due_s == 0 else max(last_s, time_s)
        due_s = last_s + length_s
        yield last_s, length_s, Source(frame, reformatter, aspect, last_s)


def with_damage(shown: Iterator[tuple[int, Source]], fps: float, damage: Damage) -> Iterator[tuple[int, Source, bool]]:
    """Every picture with whether it is damaged. That is told with an error behind it: it waits for those."""
    waiting: deque[tuple[int, Source]] = deque()
    n_waiting = math.ceil(BEFORE_S * fps) + 1
    for item in itertools.chain(shown, [None] * n_waiting):
        if item is not None:
            waiting.append(item)
        if waiting and (item is None or len(waiting) > n_waiting):
            index, source = waiting.popleft()
            yield index, source, damage.covers(index / fps)


def with_early(shown: Iterator[tuple[int, Source, bool]], fps: float) -> Iterator[tuple[int, Source, bool, bool]]:
    """Every picture with whether it only fills a long time before its own."""
    first, current = 0, None
    for index, source, is_damaged in shown:
        if source is not current:
            first, current = index, source
        is_late = source.begins_s - first / fps >= _SHORTEST_EARLY_S
        yield index, source, is_damaged, is_late and index / fps < source.begins_s - 0.5 / fps
