"""One clock for the streams of a file: rewrites the stamps of packets before they are decoded.

Contract: packets go in as the container gives them and come out with stamps that count from the file's first picture or
sound, the same shift for picture and sound. Three faults of clocks are mended, all of them recognised from the packets
of every stream together:

- The clock goes back (concatenated files, an encoder that was restarted): what follows is appended to what was there.
- The clock jumps ahead and no stream has anything in between: a hole. It is taken out, so that it costs nothing, and
  recorded in `Jumps`, which converts times back. A jump beyond the file's stated end is no hole but a fault: what
  follows is appended.
- One packet alone has an absurd stamp: it loses it.

A stream that merely pauses while the other goes on is left as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.stream import Stream

from fakespan.config import FPS
from fakespan.media.jumps import Hole, Jumps

__all__ = ["SHORTEST_HOLE_S", "Timeline"]

SHORTEST_HOLE_S = 1.0
"""Shorter holes between two stretches with sound are left in; the sound is silent there."""

_PAUSE_S = 10.0  # the shortest hole where a side has no sound: its pictures may be meant to last
_LONGEST_FILE_S = 86_400.0  # a longer stated duration is ignored
_JUMP_S = 1.0  # ahead of everything so far: where to look closer
_BACK_S = 0.1  # a step back of so much is a restart, if a picture's packets take it first ...
_BACK_SOUND_S = 1.0  # ... or sound, whose stamps between those that the file has are extrapolated
_SAME_S = 5.0  # the streams of a file start within so much of each other after a restart
_PEEK = 2000  # packets that are read ahead at a jump
_PEEK_BYTES = 1 << 25
_MANY_PARTS = 200  # a file with so many jumps is broken, and does not deserve the time
_REORDERED = 16  # packets within which the order of display may differ from that of decoding


@dataclass
class _Part:
    """A stretch of the file in which its clock runs on. Times are those of the file's clock."""

    start_s: float
    end_s: float  # of all streams, so far
    shift_s: float
    is_after_hole: bool = False


@dataclass
class _Lane:
    """A stream on its way through the parts."""

    part: int
    is_sound: bool
    last_s: float | None = None  # decoding time of its latest packet in this part
    step_s: float = 0.0  # from the packet before it

    def goes_back(self, packet: Packet[Stream], time_s: float) -> bool:
        """Whether a packet is too early to follow the latest."""
        slack_s = _BACK_SOUND_S if self.is_sound or packet.dts is None else _BACK_S
        return self.last_s is not None and time_s < self.last_s - slack_s

    def step_to(self, time_s: float) -> None:
        """Take a packet for the latest."""
        self.step_s = 0.0 if self.last_s is None else min(max(time_s - self.last_s, 0.0), _PAUSE_S)
        self.last_s = time_s

    def shown(self, packet: Packet[Stream], tick_s: float) -> tuple[float, float]:
        """When it begins and ends to be seen or heard; without a stated length it lasts as long as the one before."""
        stamp = packet.dts if packet.pts is None else packet.pts
        start_s, length_s = (stamp or 0) * tick_s, (packet.duration or 0) * tick_s
        return start_s, start_s + (min(length_s, _PAUSE_S) if length_s > 0 else self.step_s)


class Timeline:
    """The clock of one reading of a file.

    Args:
        zero_s: the earliest start of its streams, by the file's clock.
        duration_s: the duration that the file states; 0 if none.
        jumps: filled with what was found.
        hole_s: shorter holes are left in.
    """

    def __init__(
        self, zero_s: float, duration_s: float, jumps: Jumps | None = None, hole_s: float = SHORTEST_HOLE_S
    ) -> None:
        self.jumps = Jumps() if jumps is None else jumps
        self._end_s = zero_s + duration_s + 1.0 if 0 < duration_s <= _LONGEST_FILE_S else math.inf
        self._hole_s = hole_s
        self._parts = [_Part(zero_s, zero_s, -zero_s)]
        self._lanes: dict[str, _Lane] = {}  # by kind: of each, one track is read
        self._ticks_s: dict[int, float] = {}  # unit of the stamps of each stream; fractions are slow
        self._ahead: deque[Packet[Stream]] = deque()
        self._source: Iterator[Packet[Stream]] = iter(())

    def follow(self, packets: Iterable[Packet[Stream]]) -> Iterator[Packet[Stream]]:
        """Yield the same packets of all streams, their stamps rewritten."""
        self._source = iter(packets)
        while self._ahead or self._read():
            packet = self._ahead.popleft()
            if (time_s := _decoded_s(packet, self._tick_s(packet))) is not None:
                self._place(packet, time_s)
            yield packet

    def _tick_s(self, packet: Packet[Stream]) -> float:
        tick_s = self._ticks_s.get(packet.stream_index)
        if tick_s is None:
            tick_s = self._ticks_s[packet.stream_index] = float(packet.time_base or 0)
        return tick_s

    def _read(self) -> bool:
        """Read one more packet; False at the end."""
        packet = next(self._source, None)
        if packet is not None:
            self._ahead.append(packet)
        return packet is not None

    def _peek(self) -> Iterator[tuple[Packet[Stream], float]]:
        """The packets to come, as far as they matter, with their decoding times."""
        n_bytes = k = 0
        n_most = _PEEK if len(self._parts) < _MANY_PARTS else _REORDERED
        while k < n_most and n_bytes < _PEEK_BYTES and (k < len(self._ahead) or self._read()):
            packet = self._ahead[k]
            k, n_bytes = k + 1, n_bytes + packet.size
            if (time_s := _decoded_s(packet, self._tick_s(packet))) is not None:
                yield packet, time_s

    def _place(self, packet: Packet[Stream], time_s: float) -> None:
        """Find the part that the packet belongs to, and shift its stamps."""
        lane = self._lane(packet)
        while lane.part < len(self._parts) - 1 and self._is_next(lane, packet, time_s):
            lane.part, lane.last_s = lane.part + 1, None
        is_back = lane.goes_back(packet, time_s) or self._begins_anew(lane, packet, time_s)
        if is_back or lane.shown(packet, self._tick_s(packet))[0] > self._parts[lane.part].end_s + _JUMP_S:
            is_lost = not is_back and lane.part < len(self._parts) - 1
            if is_lost or self._is_alone(lane, packet, time_s):
                packet.pts = packet.dts = None
                return
            while self._jump(lane, packet, time_s, is_back):
                is_back = False  # another stream may have begun the part: it may lie further ahead
        part = self._parts[lane.part]
        lane.step_to(time_s)
        part.end_s = max(part.end_s, lane.shown(packet, self._tick_s(packet))[1])
        if part.shift_s:
            _shift(packet, round(part.shift_s / self._tick_s(packet)))

    def _lane(self, packet: Packet[Stream]) -> _Lane:
        """The packet's stream; a new one begins in the latest part that has begun by its first packet."""
        lane = self._lanes.get(packet.stream.type)
        if lane is None:
            lane = self._lanes[packet.stream.type] = _Lane(len(self._parts) - 1, packet.stream.type == "audio")
            fitting = [
                k
                for k, part in enumerate(self._parts)
                if lane.shown(packet, self._tick_s(packet))[0] > part.start_s - _SAME_S
            ]
            lane.part = max(fitting, default=lane.part)
        return lane

    def _is_next(self, lane: _Lane, packet: Packet[Stream], time_s: float) -> bool:
        """Whether a packet belongs to the part after its stream's, which another stream has begun."""
        after = self._parts[lane.part + 1]
        if after.is_after_hole:
            return lane.shown(packet, self._tick_s(packet))[0] > after.start_s - _BACK_S
        return (lane.last_s is None or time_s < lane.last_s - _BACK_S) and abs(time_s - after.start_s) < _SAME_S

    def _begins_anew(self, lane: _Lane, packet: Packet[Stream], time_s: float) -> bool:
        """Whether a stream's first packet is the first after a restart, before the packets of the others go back."""
        if lane.last_s is not None or not self._parts[lane.part].end_s > time_s + _JUMP_S:
            return False
        for ahead, ahead_s in self._peek():
            if ahead.stream.type == packet.stream.type:
                if ahead_s > time_s + _JUMP_S:
                    return False  # streams one after the other
            elif (other := self._lanes.get(ahead.stream.type)) is not None and other.goes_back(ahead, ahead_s):
                return abs(ahead_s - time_s) < _SAME_S
        return False

    def _is_alone(self, lane: _Lane, packet: Packet[Stream], time_s: float) -> bool:
        """Whether its stream goes on as if this packet did not exist."""
        if lane.last_s is None:
            return False
        after_s = next((s for other, s in self._peek() if other.stream.type == packet.stream.type), None)
        if after_s is None or abs(after_s - time_s) < _BACK_S:
            return False
        return lane.last_s - _BACK_S <= after_s <= lane.last_s + _JUMP_S

    def _jump(self, lane: _Lane, packet: Packet[Stream], time_s: float, is_back: bool) -> bool:
        """Begin a part with this packet; False if there is no jump, or only a pause of its stream."""
        before = self._parts[-1]
        if not is_back and lane.shown(packet, self._tick_s(packet))[0] <= before.end_s + _JUMP_S:
            return False
        start_s, length_s = self._look_around(lane, packet, time_s, is_back)
        if not is_back and start_s <= before.end_s + length_s:
            return False
        due_s = before.end_s + before.shift_s
        is_hole = not is_back and start_s <= self._end_s
        if is_hole:
            frame = math.ceil(due_s * FPS - 1e-6)
            due_s = frame / FPS
            self.jumps.holes.append(Hole(frame, start_s + before.shift_s - due_s))
        else:
            self.jumps.n_restarts += 1
        self._parts.append(_Part(start_s, start_s, due_s - start_s, is_hole))
        lane.part, lane.last_s = len(self._parts) - 1, None
        return True

    def _look_around(self, lane: _Lane, packet: Packet[Stream], time_s: float, is_back: bool) -> tuple[float, float]:
        """When the earliest of the streams goes on after this jump, and the least length of a hole there.

        Reads ahead to where the other streams jump; packets in front of that still belong to the part before.
        """
        before, start_s, n_same = self._parts[-1], lane.shown(packet, self._tick_s(packet))[0], 0
        had_sound = any(other.is_sound and other.last_s is not None for other in self._lanes.values())
        others = {number: dataclasses.replace(other) for number, other in self._lanes.items() if other is not lane}
        for ahead, ahead_s in self._peek():
            if ahead.stream.type == packet.stream.type:
                n_same += 1
                if ahead_s < time_s - _BACK_SOUND_S or (n_same > _REORDERED and not others):
                    break
                start_s = min(start_s, lane.shown(ahead, self._tick_s(ahead))[0]) if n_same <= _REORDERED else start_s
                continue
            other = others.setdefault(ahead.stream.type, _Lane(0, ahead.stream.type == "audio"))
            shown_s, end_s = other.shown(ahead, self._tick_s(ahead))
            shortest_s = self._shortest_s(had_sound and (lane.is_sound or other.is_sound))
            is_there = other.last_s is None or ahead_s < other.last_s - _BACK_S
            if (is_there and abs(ahead_s - time_s) < _SAME_S) if is_back else shown_s > before.end_s + shortest_s:
                return min(start_s, shown_s), shortest_s
            other.step_to(ahead_s)
            if shown_s <= before.end_s + shortest_s:
                before.end_s = max(before.end_s, end_s)
        return start_s, self._shortest_s(had_sound and lane.is_sound)

    def _shortest_s(self, has_sound: bool) -> float:
        """The least length of a hole, with sound on both of its sides or not."""
        return self._hole_s if has_sound else max(self._hole_s, _PAUSE_S)


def _decoded_s(packet: Packet[Stream], tick_s: float) -> float | None:
    """The decoding time of a packet; if its time of display cannot be true, it is made the same.

    If only the time of display is known, as in the first packets of Matroska, it may be decoded a second before.
    """
    pts, dts = packet.pts, packet.dts
    if not tick_s or pts is dts is None:
        return None
    if dts is None:
        return (pts or 0) * tick_s - _BACK_SOUND_S
    if pts is not None and abs(pts - dts) * tick_s > _PAUSE_S:
        packet.pts = dts
    return dts * tick_s


def _shift(packet: Packet[Stream], n_ticks: int) -> None:
    packet.pts = None if packet.pts is None else packet.pts + n_ticks
    packet.dts = None if packet.dts is None else packet.dts + n_ticks
