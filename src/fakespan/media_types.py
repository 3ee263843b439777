"""Facts of a media file; `types` has them for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MediaInfo", "MediaTrack", "Source"]


@dataclass(frozen=True, slots=True)
class MediaTrack:
    """A track of picture or sound in a file."""

    kind: Literal["video", "audio"]
    number: int  # among the tracks of its kind, from 1
    codec: str = ""
    language: str = ""  # as stated
    title: str = ""
    is_judged: bool = True


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """Properties of a media file as stated by its container. Width and height are in square pixels, after rotation."""

    duration_s: float
    has_video: bool
    has_audio: bool
    container: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0  # average; 0 if unknown
    rotation_deg: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    sample_rate: int = 0
    n_channels: int = 0
    is_interlaced: bool = False  # by its first picture
    hdr: str = ""  # "PQ" or "HLG"; empty for SDR
    frame_rate: str = ""  # the average as an exact ratio, "30000/1001" or "25"; empty if unknown
    start_timecode: str = ""  # of the first frame, as HH:MM:SS:FF; with a semicolon before FF: drop-frame
    starts_at_s: float = 0.0  # what a player's clock shows at the first picture or sound
    streams: tuple[MediaTrack, ...] = ()  # all tracks of picture and sound; empty: not listed


@dataclass(frozen=True, slots=True)
class Source:
    """Identity of the scanned file, by content."""

    name: str  # without its folder
    size_bytes: int
    sha256: str  # 64 hexadecimal digits
