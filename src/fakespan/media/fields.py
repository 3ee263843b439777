"""Interlaced frames made whole: their two fields show different times, which tears whatever moves, lips first of all.

FFmpeg's filters do it: `bwdif` gives one picture for each frame, at its time, and leaves what does not move as it is;
`idet` finds frames that are marked as interlaced but show one instant, as film on television does: they stay so.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.filter import Graph
from av.video.frame import VideoFrame

__all__ = ["without_fields"]

_FILTERS = (("idet", None), ("bwdif", "mode=send_frame:deint=interlaced"))
_ANY_TIME_BASE = Fraction(1, 90_000)  # for frames without a time


def without_fields(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames, deinterlaced from the first interlaced one on; they come a few frames later then.

    Frames of sound pass at once. Frames that are too small for the filters stay as they are.
    """
    fields: _Fields | None = None
    for frame in frames:
        if not isinstance(frame, VideoFrame) or (fields is None and not frame.interlaced_frame):
            yield frame
            continue
        if fields is None or fields.kind != _kind(frame):
            if fields is not None:
                yield from fields.rest()
            fields = _Fields(frame)
        yield from fields.add(frame)
    if fields is not None:
        yield from fields.rest()


class _Fields:
    """The filters for frames of one size and format."""

    def __init__(self, first: VideoFrame) -> None:
        self.kind = _kind(first)
        graph = Graph()
        source = graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=first.time_base or _ANY_TIME_BASE
        )
        nodes = [graph.add(name, options) for name, options in _FILTERS]
        try:
            graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
        except av.FFmpegError:  # a few pixels
            self._graph: Graph | None = None
        else:
            self._graph = graph

    def add(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Put a frame in; what is ready comes out."""
        if self._graph is None:
            yield frame
            return
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[VideoFrame]:
        """What is still in the filters."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()

    def _ready(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (NothingYet, NothingLeft):
                return
            assert isinstance(frame, VideoFrame)
            yield frame


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
