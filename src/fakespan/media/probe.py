"""Properties of a media file as stated by its container.

Contract: reads the header and at most a few packets (one picture is decoded, because it carries rotation and colour
tags). Whether the rest of the file can be decoded is not checked.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import chain
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fakespan.errors import MediaError
from fakespan.media.colour import hdr_kind
from fakespan.media.container import (
    BEST,
    MAX_DURATION_S,
    Tracks,
    codec_name,
    duration_s,
    open_media,
    picture_stream,
    pixel_aspect,
    sound_stream,
    starts_at_s,
    zero_s,
)
from fakespan.media.packets import decoded, last_end_s, packet_end_s, packets_of
from fakespan.types import MediaInfo

__all__ = ["clockwise_deg", "packets_end_s", "probe"]


def probe(path: str | Path, tracks: Tracks = BEST) -> MediaInfo:
    """Duration in seconds, size of the shown picture in pixels, rates and codecs of a file.

    If the file states no duration, all packets are read (but not decoded) to find it.

    Args:
        path: a local media file.
        tracks: the streams to describe.

    Raises:
        MediaError: missing, a folder, empty, not a media file, truncated, or without video and audio.
    """
    with open_media(path, tracks) as container:
        video, audio = picture_stream(container), sound_stream(container)
        if video is None and audio is None:
            raise MediaError(
                path,
                expected="a picture or sound stream",
                got="neither",
                remedy="give a file with video or audio",
            )
        first = _first_picture(container, video) if video is not None else None
        rotation_deg = clockwise_deg(first) if first is not None else 0
        width, height = _shown_size(video) if video is not None else (0, 0)
        if rotation_deg in (90, 270):
            width, height = height, width
        return MediaInfo(
            duration_s=duration_s(container) or _read_duration_s(path, tracks),
            has_video=video is not None,
            has_audio=audio is not None,
            container=container.format.name,
            width=width,
            height=height,
            fps=float(_rate(video)),
            rotation_deg=rotation_deg,
            is_interlaced=first is not None and first.interlaced_frame,
            hdr=hdr_kind(first) if first is not None else "",
            video_codec=codec_name(video),
            audio_codec=codec_name(audio),
            sample_rate=audio.codec_context.sample_rate if audio is not None else 0,
            n_channels=audio.codec_context.channels if audio is not None else 0,
            frame_rate=str(_rate(video) or ""),
            start_timecode=_start_timecode(container),
            starts_at_s=round(starts_at_s(container), 3),
        )


def packets_end_s(path: str | Path) -> float:
    """When the last packet of any picture, sound or subtitles ends, in seconds from the common origin.

    Raises:
        MediaError: not a media file.
    """
    with open_media(path, tracks=None) as container:
        return max(0.0, last_end_s(container) - zero_s(container))


def clockwise_deg(frame: VideoFrame) -> int:
    """Clockwise rotation in degrees that shows the frame upright: 0, 90, 180 or 270."""
    return round(-frame.rotation / 90) * 90 % 360


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """The first picture that decodes; None if none does."""
    frames = chain.from_iterable(decoded(packet) for packet in packets_of(container, (stream,)))
    return next((frame for frame in frames if isinstance(frame, VideoFrame)), None)


def _shown_size(stream: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels, before rotation."""
    context = stream.codec_context
    return max(1, round(context.width * pixel_aspect(stream))), context.height


def _read_duration_s(path: str | Path, tracks: Tracks) -> float:
    """Duration from all packets: the end of the last one, else their number; 0 if neither can be."""
    with open_media(path, tracks) as container:
        video = picture_stream(container)
        streams = [s for s in (video, sound_stream(container)) if s is not None]
        start_s = end_s = zero_s(container)
        n_pictures = 0
        for packet in packets_of(container, streams):
            n_pictures += packet.stream is video and packet.size > 0
            end_s = max(end_s, packet_end_s(packet))
        rate = _rate(video)
    lengths_s = end_s - start_s, n_pictures / float(rate) if rate else 0.0
    return next((length_s for length_s in lengths_s if 0 < length_s <= MAX_DURATION_S), 0.0)


def _rate(stream: VideoStream | None) -> Fraction:
    """Average frame rate; 0 if unknown."""
    rate = stream.average_rate or stream.guessed_rate if stream is not None else None
    return rate or Fraction(0)


def _start_timecode(container: InputContainer) -> str:
    """The timecode that the file or one of its streams states; if it is drop-frame, the frame follows a semicolon."""
    for metadata in (container.metadata, *(stream.metadata for stream in container.streams)):
        text = next((value for key, value in metadata.items() if key.lower() == "timecode"), "")
        if match := re.fullmatch(r"(\d\d:\d\d:\d\d)([:;.])(\d\d)", text, flags=re.ASCII):
            return match[1] + (":" if match[2] == ":" else ";") + match[3]
    return ""
