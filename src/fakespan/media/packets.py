"""Reads and decodes the packets of a file to its end, whatever is wrong with them.

Contract: every exception of the container or of a decoder means damage at this place; reading goes on behind it, as
FFmpeg does. Damaged containers may report streams that do not exist (IndexError) and packets that decode to nothing
(InvalidDataError and others).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

__all__ = ["OnDamage", "decoded", "in_turn", "last_end_s", "packet_end_s", "packets_of", "unheard"]

_SHOWN = {"video", "audio", "subtitle"}  # kinds of streams that a player shows
_TRIES = 100  # errors in a row after which the rest of a file counts as unreadable

OnDamage = Callable[[], None]


def unheard() -> None:
    """Damage that nobody wants to know of."""


def packet_end_s(packet: Packet[Stream]) -> float:
    """When a packet ends, in seconds by the clock of the file; -inf if it states no time."""
    if packet.pts is None or packet.time_base is None:
        return -math.inf
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def last_end_s(container: InputContainer) -> float:
    """When the last packet of any picture, sound or subtitles ends, by the clock of the file.

    Reads from where the container stands; tracks that it was opened without do not count. -inf if none states a time.
    """
    streams = [stream for stream in container.streams if stream.type in _SHOWN]
    return max(map(packet_end_s, packets_of(container, streams)), default=-math.inf)


def packets_of(
    container: InputContainer, streams: Sequence[Stream], on_damage: OnDamage = unheard
) -> Iterator[Packet[Stream]]:
    """All packets of the streams; `on_damage` is called at each place where the container is damaged."""
    packets, n_vain = container.demux(*streams), 0
    while n_vain < _TRIES:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except Exception:  # the iterator is at its end, the container goes on
            on_damage()
            packets, n_vain = container.demux(*streams), n_vain + 1
            continue
        if packet is None:
            return
        n_vain = 0
        yield packet


def in_turn(packets: Iterable[Packet[Stream]]) -> Iterator[Packet[Stream]]:
    """The same packets; where a stream follows another of its kind, the decoder of that one is flushed first.

    FFmpeg gives the last packet of an ended stream at the end of the file: it is dropped.
    """
    current: dict[str, Stream] = {}
    ended: set[int] = set()
    for packet in packets:
        stream = packet.stream
        before = current.setdefault(stream.type, stream)
        if stream.index in ended:
            continue
        if before.index != stream.index and packet.size:
            flush: Packet[Stream] = Packet()
            flush.stream = before
            yield flush
            ended.add(before.index)
            current[stream.type] = stream
        yield packet


def decoded(
    packet: Packet[Stream],
    on_damage: OnDamage = unheard,
    decode: Callable[[Packet[Stream]], Sequence[Any]] | None = None,
) -> Sequence[Any]:
    """The frames that a packet completes; none, and a call of `on_damage`, if it does not decode."""
    try:
        return packet.decode() if decode is None else decode(packet)
    except MemoryError:
        raise
    except Exception:
        on_damage()
        return ()
