"""Where a file is damaged: what does not decode, and what was decoded from it.

Contract: times are those of the clock by which the file is read. A picture is damaged from the error to the next key
frame, because pictures in between are predicted from what was lost; sound only where its packets fail. Places where the
container lost the packets of picture and sound alike count if the picture does not begin anew behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

__all__ = ["BEFORE_S", "Damage", "Watch", "cut_off_s"]

BEFORE_S = 0.12  # pictures that are shown before a damaged one may be predicted from it
_SOUND_S = 0.1  # around a packet of sound that fails: windows of neighbouring packets overlap
_KINDS = ("video", "audio")
_LOST_S = 0.4  # shorter pauses of picture and sound are none
_STATING = {"mov", "matroska", "avi", "flv", "asf", "wav", "ogg", "mxf"}  # formats whose length is no estimate
_LONGEST_MISSING_S = 0.5


def cut_off_s(container: str, end_s: float, stated_s: float) -> float:
    """How long before its stated length a file ends; 0 if it ends in time or its format (as in FFmpeg) only estimates.

    >>> cut_off_s("mov,mp4", 3.0, 8.0), cut_off_s("mov,mp4", 7.9, 8.0), cut_off_s("mpegts", 3.0, 8.0)
    (5.0, 0.0, 0.0)
    """
    missing = stated_s - end_s
    return missing if missing > _LONGEST_MISSING_S and _STATING & set(container.split(",")) else 0.0


@dataclass
class Damage:
    """Damaged stretches of a file; filled while it is read."""

    kinds: frozenset[str] = frozenset(_KINDS)  # that are judged: damage of the other does not count
    spans: list[tuple[float, float]] = field(default_factory=list)
    open_s: float | None = None  # begin of a stretch whose end is not known yet
    read_s: float = 0.0  # end of the packets so far

    def covers(self, time_s: float) -> bool:
        """Whether a time lies in a damaged stretch."""
        is_open = self.open_s is not None and time_s >= self.open_s
        return is_open or any(start_s <= time_s < end_s for start_s, end_s in self.spans)

    def merged(self, end_s: float) -> list[tuple[float, float]]:
        """The stretches in order, without overlap, none beyond `end_s`.

        >>> Damage(spans=[(1.0, 2.0), (4.0, 9.0), (1.5, 3.0)]).merged(5.0)
        [(1.0, 3.0), (4.0, 5.0)]
        """
        merged: list[tuple[float, float]] = []
        still = [] if self.open_s is None else [(self.open_s, math.inf)]
        for start_s, stop_s in sorted([*self.spans, *still]):
            if merged and start_s <= merged[-1][1]:
                start_s, stop_s = merged[-1][0], max(stop_s, merged.pop()[1])  # noqa: PLW2901
            merged.append((start_s, stop_s))
        return [(start_s, min(stop_s, end_s)) for start_s, stop_s in merged if start_s < min(stop_s, end_s)]


class Watch:
    """Fills a `Damage` from the packets and frames of one reading, in their order.

    What the packets tell is found in every reading, whatever is decoded: a second one adds nothing to it.
    """

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._ends_s: dict[str, float] = {}  # of the packets so far, by kind, in the order of decoding
        self._leaps: dict[str, tuple[float, float]] = {}  # the latest pause of each kind
        self._key_s = self._key_at_leap_s = -math.inf  # the latest key frame; the one before the latest pause was seen
        self._is_broken = False  # the container failed after the last packet
        self._units: dict[int, tuple[int, int]] = {}  # of each stream's stamps: arithmetic of fractions is slow

    def failed(self, packet: Packet[Stream] | None) -> None:
        """The container (None) or the decoder failed."""
        if packet is None:
            self._is_broken = True
            return
        time_s = self._time_s(packet)
        self._hit(packet.stream.type, max(self._ends_s.values(), default=0.0) if time_s is None else time_s)

    def packet(self, packet: Packet[Stream]) -> None:
        """A packet arrives, its stamps by the clock."""
        time_s, kind = self._time_s(packet), packet.stream.type
        if time_s is None:
            return
        if self._is_broken:
            self._hit("video", max(self._ends_s.get("video", time_s), self._key_s))
            self._is_broken = False
        if kind == "video" and packet.is_keyframe:
            self._begin_anew(time_s)
        if packet.is_corrupt:
            self._hit(kind, time_s)
        top, bottom = self._unit(packet)
        decoded_s = packet.dts * top / bottom if packet.dts is not None else time_s
        end_s = self._ends_s.get(kind, decoded_s)
        if decoded_s > end_s + _LOST_S:
            self._leaps[kind] = (end_s, decoded_s)
            if kind == "video":
                self._key_at_leap_s = self._key_s
            self._compare()
        length_s = (packet.duration or 0) * top / bottom
        self._ends_s[kind] = max(end_s, decoded_s + min(length_s, 1.0))
        self._damage.read_s = max(self._damage.read_s, decoded_s + length_s)

    def picture(self, frame: VideoFrame) -> None:
        """A picture was decoded."""
        if frame.is_corrupt and frame.time is not None:
            self._hit("video", frame.time)

    def finish(self) -> None:
        """The file was read to its end."""
        damage = self._damage
        if damage.open_s is not None:
            damage.spans.append((damage.open_s, max(damage.open_s, damage.read_s)))
            damage.open_s = None

    def _compare(self) -> None:
        """Record a place where both kinds pause, unless the picture begins anew: it can be a pause of the recording."""
        if len(self._leaps) < len(_KINDS):
            return
        (video_s, to_s), (audio_s, heard_s) = (self._leaps[kind] for kind in _KINDS)
        start_s, stop_s = max(video_s, audio_s), min(to_s, heard_s)
        is_new = self._key_at_leap_s > (start_s + stop_s) / 2
        if stop_s - start_s > _LOST_S / 2 and not is_new:
            self._damage.spans.append((start_s, stop_s))
            self._hit("video", start_s)

    def _begin_anew(self, time_s: float) -> None:
        """A key frame: nothing is predicted across it."""
        damage, self._key_s = self._damage, time_s
        if damage.open_s is not None and time_s > damage.open_s + BEFORE_S:
            damage.spans.append((damage.open_s, time_s))
            damage.open_s = None

    def _hit(self, kind: str, time_s: float) -> None:
        damage = self._damage
        if kind not in damage.kinds:
            return
        start_s = max(0.0, time_s - BEFORE_S)
        if kind == "audio":
            damage.spans.append((max(0.0, time_s - _SOUND_S), time_s + _SOUND_S))
        elif self._key_s > time_s:  # told late, as decoders and pauses of the sound do
            damage.spans.append((start_s, self._key_s))
        else:
            damage.open_s = start_s if damage.open_s is None else min(damage.open_s, start_s)

    def _time_s(self, packet: Packet[Stream]) -> float | None:
        stamp = packet.dts if packet.pts is None else packet.pts
        top, bottom = self._unit(packet)
        return stamp * top / bottom if stamp is not None and top else None

    def _unit(self, packet: Packet[Stream]) -> tuple[int, int]:
        """Numerator and denominator of the unit of a packet's stamps; 0 and 1 without one."""
        unit = self._units.get(packet.stream_index)
        if unit is None:
            base = packet.time_base
            unit = self._units[packet.stream_index] = (0, 1) if base is None else (base.numerator, base.denominator)
        return unit
