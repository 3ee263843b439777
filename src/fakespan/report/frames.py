"""Segments as whole frames of the file itself, for editing programs and annotation tools that count frames.

Contract: a segment begins and ends at the frames nearest to its times, lasts at least one frame, and lies within the
file. Frames count from 0 at the start of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from fakespan.report.words import in_order
from fakespan.types import MediaInfo, Scan, Segment

__all__ = ["Mark", "Marks", "frame_rate"]

_NTSC = tuple(Fraction(1000 * whole, 1001) for whole in (24, 30, 48, 60, 120))
_STANDARD = (*_NTSC, *map(Fraction, (24, 25, 30, 48, 50, 60, 100, 120)))
_NEAR = Fraction(1, 5000)  # a fifth of the way from 23.976 to 24
_NO_PICTURE = Fraction(25)
_SLOWEST, _FASTEST = 1, 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """A segment in frames: `first` to `end`, which is no longer part of it."""

    number: int  # of the segment, from 1, as in every report
    first: int
    end: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class Marks:
    """The segments of a file by start, with its rate in frames per second and its length in frames."""

    rate: Fraction
    n_frames: int
    marks: tuple[Mark, ...]

    def __iter__(self) -> Iterator[Mark]:
        return iter(self.marks)

    @classmethod
    def of(cls, scan: Scan) -> Marks:
        """The segments of a scan."""
        rate = frame_rate(scan.media)
        begin_s = scan.media.starts_at_s
        firsts = [max(_nearest(segment.start_s - begin_s, rate), 0) for segment in in_order(scan)]
        n_frames = max([_nearest(_length_s(scan), rate), *(first + 1 for first in firsts), 1])
        marks = []
        for number, (first, segment) in enumerate(zip(firsts, in_order(scan), strict=True), 1):
            # the time steps of a scan reach up to half a step beyond the file
            end = min(max(_nearest(segment.end_s - begin_s, rate), first + 1), n_frames)
            marks.append(Mark(number, first, end, segment))
        return cls(rate, n_frames, tuple(marks))


def frame_rate(media: MediaInfo) -> Fraction:
    """The exact rate of the picture. A rate within 0.02 % of a standard one is that one; 25 without a picture.

    Containers that store rounded rates or times give for instance 2997/100 instead of 30000/1001.

    >>> frame_rate(MediaInfo(8.0, True, True, fps=23.976))
    Fraction(24000, 1001)
    """
    exact = re.fullmatch(r"\d{1,9}(/[1-9]\d{0,8})?", media.frame_rate, flags=re.ASCII)
    rate = Fraction(media.frame_rate) if exact else Fraction(media.fps).limit_denominator(1001)
    if not media.has_video or not _SLOWEST <= rate <= _FASTEST:
        return _NO_PICTURE
    nearest = min(_STANDARD, key=lambda standard: abs(rate - standard))
    return nearest if abs(rate - nearest) <= nearest * _NEAR else rate


def _length_s(scan: Scan) -> float:
    """The length that the file states, unless more was found in it: if its clock starts again, it states too little."""
    stated_s = scan.media.duration_s
    return stated_s if scan.duration_s < stated_s + 1.0 else scan.duration_s


def _nearest(time_s: float, rate: Fraction) -> int:
    return round(Fraction(time_s) * rate)
