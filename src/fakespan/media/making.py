"""How a file was made, as far as its container tells: tags, traces of encoders, edit lists, the rate of the pictures.

Contract: only the header and the packets of the first pictures are read, and none is decoded. Whatever is wrong with a
file, the answer is a `Making` that says so; every text and every list is cut to a bounded length.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from fakespan.media.boxes import edit_lists, movie_index
from fakespan.media.container import Tracks, open_media, picture_stream, sound_stream
from fakespan.media.jumps import Jumps
from fakespan.media.packets import packets_of
from fakespan.types import Making, Tag

__all__ = ["read_making"]

_MOST_TAGS, _MOST_CHARACTERS = 64, 300
_MOST_SETTINGS = 2000  # characters
_MOST_PACKETS, _MOST_BYTES = 3000, 64 << 20  # that are read: two minutes at 25 pictures a second
_FIRST = 4  # packets of a stream in which an encoder leaves its name
_PAUSE_S = 1.0  # longer steps are pauses or holes, no rate
_APPLICATION = ("encoder", "writing_application", "software", "com.apple.quicktime.software", "encoded_by", "tool")
_CREATED = ("creation_time", "com.apple.quicktime.creationdate", "date_time_original", "date")
_TRACES = re.compile(
    rb"(?:x26[45] (?:- core|\(build)|SVT-AV1|libvpx)[\x20-\x7e]{0,%d}|LAME\d[\d.]*|Lav[cf]\d[\d.]*" % _MOST_SETTINGS
)


def read_making(path: Path, tracks: Tracks, jumps: Jumps) -> Making:
    """What the container tells.

    Args:
        path: a media file.
        tracks: the streams that are judged.
        jumps: what its clock was found to do.
    """
    n_gaps, n_restarts = len(jumps.holes), jumps.n_restarts
    try:
        with open_media(path, tracks) as container:
            tags = tuple(itertools.islice(_tags(container), _MOST_TAGS))
            encoders, steps_s = _read_packets(container)
            lists = edit_lists(movie_index(path)) if "mp4" in container.format.name else ()
    except MemoryError:
        raise
    except Exception as error:  # FFmpeg and damaged files: anything
        return Making(detail=f"cannot be read ({type(error).__name__})", n_gaps=n_gaps, n_restarts=n_restarts)
    return Making(
        application=_first(tags, _APPLICATION),
        created_at=_first(tags, _CREATED),
        tags=tags,
        encoders=encoders,
        edit_lists=lists[:_MOST_TAGS],
        is_variable_rate=_is_variable(steps_s),
        shortest_step_s=min(steps_s, default=None),
        longest_step_s=max(steps_s, default=None),
        n_gaps=n_gaps,
        n_restarts=n_restarts,
    )


def _tags(container: InputContainer) -> Iterator[Tag]:
    """The metadata of the file and of its streams."""
    streams = [(_place(container, stream), stream.metadata) for stream in container.streams]
    for place, metadata in [("file", container.metadata), *streams]:
        for name, value in metadata.items():
            yield Tag(place, name[:_MOST_CHARACTERS], value[:_MOST_CHARACTERS])


def _place(container: InputContainer, stream: Stream) -> str:
    """A stream by its kind and its number among those, from 1."""
    alike = [other.index for other in container.streams if other.type == stream.type]
    return f"{stream.type} {alike.index(stream.index) + 1}"


def _first(tags: Iterable[Tag], names: Iterable[str]) -> str:
    """The value of the first of the names that there is; the file's own tags come before those of its streams."""
    values = {tag.name.lower(): tag.value for tag in reversed(list(tags))}
    return next((values[name] for name in names if values.get(name)), "")


def _read_packets(container: InputContainer) -> tuple[tuple[Tag, ...], list[float]]:
    """Traces of the encoders in the first packets, and the steps in seconds between the first pictures."""
    video, audio = picture_stream(container), sound_stream(container)
    streams: list[Stream] = [stream for stream in (video, audio) if stream is not None]
    counts, n_bytes, traces = {stream.index: 0 for stream in streams}, 0, dict[Tag, None]()
    times_s: list[float] = []
    for packet in itertools.islice(packets_of(container, streams), _MOST_PACKETS):
        counts[packet.stream.index] += 1
        n_bytes += packet.size
        if counts[packet.stream.index] <= _FIRST:
            traces |= dict.fromkeys(_traces(packet, _place(container, packet.stream)))
        stamp = packet.dts if packet.pts is None else packet.pts
        if packet.stream is video and stamp is not None and packet.time_base:
            times_s.append(float(stamp * packet.time_base))
        if n_bytes > _MOST_BYTES or (video is None and min(counts.values()) >= _FIRST):
            break
    steps_s = [round(b - a, 6) for a, b in itertools.pairwise(sorted(times_s))]
    return tuple(traces)[:_MOST_TAGS], [step_s for step_s in steps_s if 0 < step_s <= _PAUSE_S]


def _traces(packet: Packet[Stream], place: str) -> Iterator[Tag]:
    """What encoders leave in a packet; x264 and x265 their settings, too."""
    for match in _TRACES.finditer(bytes(packet)[: 1 << 16]):
        yield Tag(place, "encoder", match[0].decode("ascii"))


def _is_variable(steps_s: list[float]) -> bool | None:
    """Whether the pictures come at other steps than rounding to the ticks of a container explains."""
    return max(steps_s) - min(steps_s) > 0.0025 if len(steps_s) > 1 else None
