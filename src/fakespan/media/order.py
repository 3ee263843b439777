"""Times of display for streams that have none: AVI numbers its pictures in the order of decoding, with B-frames too.

The decoder gives pictures in the order of display, so the n-th of them gets the n-th time. Other streams are left alone
until a picture comes out earlier than the one before it, which shows that their times are those of decoding.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from av.packet import Packet
from av.stream import Stream

__all__ = ["DisplayOrder"]

_LONGEST = 64  # pictures on their way through a decoder, at most


class DisplayOrder:
    """Decodes packets; pictures of streams without times of display get those of their order.

    Args:
        container: FFmpeg's name of the format.
    """

    def __init__(self, container: str) -> None:
        self._has_times = container != "avi"
        self._waiting: deque[int] = deque(maxlen=_LONGEST)  # decoding times of packets whose picture is to come
        self._last: int | None = None

    def decode(self, packet: Packet[Stream]) -> list[Any]:
        """The frames that come out for a packet; raises what the decoder raises if it is damaged."""
        if packet.stream.type != "video":
            return packet.decode()
        is_picture = packet.size > 0 and packet.dts is not None
        if packet.dts is not None and is_picture:
            self._waiting.append(packet.dts)
        try:
            frames = packet.decode()
        except Exception:
            if is_picture:
                self._waiting.pop()
            raise
        return [self._timed(frame) for frame in frames]

    def _timed(self, frame: Any) -> Any:
        due = self._waiting.popleft() if self._waiting else None
        if self._last is not None and frame.pts is not None and frame.pts < self._last:
            self._has_times = False
        if not self._has_times:
            frame.pts = due
        self._last = frame.pts
        return frame
