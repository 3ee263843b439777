"""Times as people write them."""

from __future__ import annotations

import math
import re

from fakespan.errors import UsageError

__all__ = ["check_range", "parse_range", "parse_time"]

_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{0,9})?)", re.ASCII)


def parse_time(text: str) -> float:
    """Seconds from "83.5", "1:23.5" (minutes) or "0:01:23.5" (hours). Raises UsageError for anything else.

    >>> parse_time("83.5"), parse_time("1:23.5"), parse_time("1:00:02")
    (83.5, 83.5, 3602.0)
    """
    match = _TIME.fullmatch(text.strip())
    if match is not None:
        hours, minutes, rest = int(match[1] or 0), int(match[2] or 0), float(match[3])
        is_right = (match[2] is None or rest < 60) and (match[1] is None or minutes < 60)
        if is_right:
            return 3600 * hours + 60 * minutes + rest
    raise UsageError("time", expected="seconds, m:ss or h:mm:ss", got=f"{text[:40]!r}", remedy="write 83.5 or 1:23.5")


def parse_range(start: str | None, end: str | None) -> tuple[float | None, float | None]:
    """Start and end in seconds, None if they are not given. Raises UsageError for times or ranges that are none."""
    times_s: list[float | None] = []
    for name, text in (("start", start), ("end", end)):
        try:
            times_s.append(None if text is None else parse_time(text))
        except UsageError as error:
            raise UsageError(name, expected=error.expected, got=error.got, remedy=error.remedy) from error
    check_range(*times_s)
    return times_s[0], times_s[1]


def check_range(start_s: float | None, end_s: float | None) -> None:
    """Raise UsageError unless the start, by default 0, is at least 0 and the end, if it is given, behind it."""
    for name, time_s in (("start", start_s), ("end", end_s)):
        if time_s is not None and not (math.isfinite(time_s) and time_s >= 0):
            raise UsageError(name, expected="seconds from 0 on", got=f"{time_s}", remedy="give another time")
    if end_s is not None and (start_s or 0.0) >= end_s:
        expected, remedy = f"a time after the start ({start_s or 0:g} s)", "give a later end or an earlier start"
        raise UsageError("end", expected=expected, got=f"{end_s:g} s", remedy=remedy)
