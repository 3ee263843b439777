"""Times as people write them."""

from __future__ import annotations

import re

from fakespan.errors import UsageError

__all__ = ["parse_time"]

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
