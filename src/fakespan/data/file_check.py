"""Quick check of one media file: its header, and whether it is complete. Nothing is decoded."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from fakespan.errors import MediaError
from fakespan.media.container import duration_s, open_media, picture_stream, sound_stream, zero_s
from fakespan.media.packets import last_end_s

__all__ = ["FileCheck", "check_file"]

_END_SLACK_S = 0.25  # tolerance for last packets that end before the stated length


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result for one file."""

    error_kind: str = ""  # missing or unreadable; the other fields are then unset
    error: str = ""
    has_picture: bool = False
    has_sound: bool = False
    n_frames: int = 0  # video frames
    duration_s: float = 0.0
    missing_s: float = 0.0  # missing part of the stated length, in seconds


def check_file(path: Path) -> FileCheck:
    """Check a file; an unreadable file gives an error field, not an exception."""
    try:
        if not path.exists():
            return FileCheck("missing", "there is no such file")
        with open_media(path, tracks=None) as container:  # a file of which any track goes on is not cut short
            return _check_streams(container)
    except MediaError as error:
        return FileCheck("unreadable", f"{error.got}; expected {error.expected}")
    except (OSError, ValueError) as error:
        return FileCheck("unreadable", f"it cannot be read: {error}")


def _check_streams(container: InputContainer) -> FileCheck:
    video, sound = picture_stream(container), sound_stream(container)
    if video is None and sound is None:
        return FileCheck("unreadable", "there is neither picture nor sound in it")
    length_s = duration_s(container)
    n_frames = 0
    if video is not None:
        rate = video.average_rate or video.guessed_rate
        n_frames = video.frames or (round(length_s * float(rate)) if rate else 0)
    missing_s = length_s - _end_s(container, length_s)
    return FileCheck(
        has_picture=video is not None,
        has_sound=sound is not None,
        n_frames=n_frames,
        duration_s=length_s,
        missing_s=missing_s if missing_s > _END_SLACK_S else 0.0,
    )


def _end_s(container: InputContainer, length_s: float) -> float:
    """End of the last packet, from the common origin of the streams; reads only packets of the last second."""
    begin_s = zero_s(container)
    with contextlib.suppress(av.FFmpegError):  # otherwise all packets are read
        container.seek(int((begin_s + max(0.0, length_s - 1.0)) * av.time_base))
    return max(0.0, last_end_s(container) - begin_s)
