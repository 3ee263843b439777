"""Pictures of a file, for lists and for its page; made in the worker, next to the decoder."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import cv2

from fakespan.closeup.make import close_ups
from fakespan.errors import MediaError
from fakespan.files import replacing
from fakespan.media.decode import read_pictures
from fakespan.report.closeups import closeups_json
from fakespan.types import Scan

__all__ = ["save_closeups", "save_thumbnail"]

SIDE = 160
"""Longer side, in pixels."""


def save_thumbnail(path: Path, target: Path) -> None:
    """Write the first picture of a file as JPEG; nothing if it has none."""
    with suppress(MediaError), closing(read_pictures(path, fps=1.0, threads=1)) as pictures:
        rgb = next(pictures).rgb()
        scale = SIDE / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        is_made, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
        if is_made:
            target.parent.mkdir(exist_ok=True)
            with replacing(target) as part:
                part.write_bytes(data.tobytes())


def save_closeups(path: Path, scan: Scan, target: Path) -> None:
    """Write the close-ups of the segments of a scan of this file; nothing if it has no segment."""
    if scan.segments:
        target.parent.mkdir(exist_ok=True)
        with replacing(target) as part:
            part.write_text(closeups_json(close_ups(path, scan)), encoding="utf-8")
