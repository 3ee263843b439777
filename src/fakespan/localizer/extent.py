"""The part of a file that was asked for.

Contract: it gets the scores that it has in a scan of the whole file. They depend on the place and size of the face's
crop, which the tracker fixes where the face appears, and on the windows in which the network sees the file. So faces
are followed from the start of the file to one window (T frames) behind the part, and the network sees those windows
that overlap it; of their maps, the spans that overlap it are kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.arrays import BoolArray
from fakespan.config import FPS, SAMPLES_PER_FRAME
from fakespan.errors import NotInFileError
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.options import ScanOptions
from fakespan.media.container import BEST, Tracks
from fakespan.media.decode import read_jumps
from fakespan.types import Curve, MediaInfo, Unjudged

__all__ = ["WHOLE", "Extent"]


@dataclass(frozen=True)
class Extent:
    """Frames [begin, end) of a file's clock; an end of None is that of the file."""

    begin: int = 0
    end: int | None = None
    context: int = 0  # frames behind it that are read, too
    times_s: tuple[float | None, float | None] = (None, None)  # as a player shows them; None: of the file

    @classmethod
    def of(cls, path: Path, options: ScanOptions, info: MediaInfo, context: int, tracks: Tracks = BEST) -> Extent:
        """That of a scan.

        Args:
            path: of the file.
            options: with start and end, as a player shows them.
            info: of the file.
            context: see the class.
            tracks: those that are judged; the packets of the file are read up to the end, for holes of its clock.

        Raises:
            NotInFileError: the file ends before the start, or begins after the end.
        """
        start_s, end_s = options.start_s, options.end_s
        if start_s is None and end_s is None:
            return WHOLE
        zero_s, length_s = info.starts_at_s, info.duration_s
        begin_s = max(0.0, (zero_s if start_s is None else start_s) - zero_s)
        if 0 < length_s <= begin_s:
            got = f"a file from {zero_s:.2f} to {zero_s + length_s:.2f} s"
            expected = f"a file that ends after {zero_s + begin_s:.2f} s"
            raise NotInFileError(path, expected=expected, got=got, remedy="start earlier")
        if end_s is not None and end_s <= zero_s:
            expected = f"a file that begins before {end_s:.2f} s"
            raise NotInFileError(path, expected=expected, got=f"one from {zero_s:.2f} s on", remedy="end later")
        until_s = None if end_s is None or 0 < length_s <= end_s - zero_s else end_s - zero_s
        jumps = read_jumps(path, begin_s if until_s is None else until_s, tracks=tracks)
        end = None if until_s is None else max(1, jumps.frames_before(until_s))
        return cls(jumps.frame_at(begin_s), end, context, (start_s, end_s))

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the file."""
        return self.begin == 0 and self.end is None

    @property
    def last(self) -> int | None:
        """The first frame that is not read; None: all are."""
        return None if self.end is None else self.end + self.context

    @property
    def n_samples(self) -> int | None:
        """Samples of sound that are read; None: all."""
        return None if self.last is None else self.last * SAMPLES_PER_FRAME

    def end_in(self, n_frames: int) -> int:
        """The end in a file of so many frames."""
        return n_frames if self.end is None else min(self.end, n_frames)

    def overlaps(self, begin: int, end: int) -> bool:
        """Whether frames [begin, end) have any in common with it."""
        return end > self.begin and (self.end is None or begin < self.end)

    def without(self, n_frames: int) -> BoolArray:
        """(n_frames,): the frames outside."""
        outside = np.ones(n_frames, bool)
        outside[self.begin : self.end] = False
        return outside

    def kept(self, maps: ClipMaps) -> ClipMaps:
        """The maps of a stretch of the file, with a score of 0 for spans that do not overlap this one."""
        if self.is_whole:
            return maps
        n_spans, n_frames = maps.score.shape
        begin = maps.first_frame + np.arange(n_frames)
        overlaps = begin + np.arange(1, n_spans + 1)[:, None] > self.begin
        if self.end is not None:
            overlaps &= begin < self.end
        parts = {name: getattr(maps, name) for name in ("score", "visual", "audio")}
        kept: dict[str, Any] = {
            name: np.where(overlaps, part, np.float32(0)) for name, part in parts.items() if part is not None
        }
        return dataclasses.replace(maps, **kept)

    def shown(self, curve: Curve) -> Curve:
        """The values within, of a curve by the clock of the frames."""
        if self.is_whole:
            return curve
        start = round(curve.start_s * FPS)
        first = max(0, self.begin - start)
        end = None if self.end is None else max(first, self.end - start)
        return dataclasses.replace(curve, start_s=(start + first) / FPS, values=curve.values[first:end])

    def edges_s(self, info: MediaInfo, length_s: float) -> tuple[float, float, float, float]:
        """When the file begins, the part begins and ends, and the file ends, as a player shows it.

        Args:
            info: of the file.
            length_s: of the file, as far as it was read.
        """
        zero_s, (start_s, end_s) = info.starts_at_s, self.times_s
        stop_s = zero_s + (length_s if self.last is None else max(length_s, info.duration_s))
        begin_s = zero_s if start_s is None else min(max(start_s, zero_s), stop_s)
        until_s = stop_s if end_s is None else max(begin_s, min(end_s, stop_s))
        return round(zero_s, 3), round(begin_s, 3), round(until_s, 3), round(stop_s, 3)

    def outside(self, edges_s: Sequence[float]) -> list[Unjudged]:
        """What was not asked for; of `edges_s`."""
        if self.is_whole:
            return []
        start_s, begin_s, end_s, stop_s = edges_s
        parts = [(start_s, begin_s), (end_s, stop_s)]
        return [Unjudged(a, b, "not_asked") for a, b in parts if b > a]


WHOLE = Extent()
"""All of a file."""
