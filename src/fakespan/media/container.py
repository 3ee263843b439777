"""Opens a media file as something that nobody vouches for, and says where its timeline begins.

Contract: one local, regular file is opened and nothing else. FFmpeg gets a Python file object instead of a path, so
that no protocol (http:, concat:) is ever looked at; formats that only name other files (playlists, manifests, image
sequences) are not read, and an attempt of any other format to open a second file is refused. FFmpeg's log stays silent,
as PyAV leaves it. Knows nothing of pixels and samples: see `picture` and `decode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from fakespan.errors import MediaError

__all__ = ["MAX_PIXELS", "MAX_SIDE", "duration_s", "open_media", "picture_stream", "sound_stream", "zero_s"]

MAX_SIDE = 16_384
"""Longest side of a picture that is decoded, in pixels."""
MAX_PIXELS = 1 << 26
"""Largest area of a picture that is decoded; FFmpeg itself refuses to allocate more."""

# Formats that point to other files or devices, or that turn any text into pictures.
_REFUSED_FORMATS = {"applehttp", "avisynth", "bluray", "concat", "concatf", "dash", "dvdvideo", "hls", "image2", "imf"}
_REFUSED_FORMATS |= {"lavfi", "libcdio", "rtp", "rtsp", "sap", "sdp", "vapoursynth", "webm_dash_manifest"}
_REFUSED_FORMATS |= {"adf", "bin", "idf", "tty", "xbin"}
_REMEDY = "give a video or sound file that plays in a media player"


@contextmanager
def open_media(path: str | Path) -> Iterator[InputContainer]:
    """The opened container of a local file, closed at the end of the block.

    Raises:
        MediaError: the path is missing, no regular file, empty, of no known format, or too large a picture.
    """
    local = _regular_file(Path(path))
    with local.open("rb") as file:
        try:
            container = av.open(
                file,
                mode="r",
                metadata_errors="replace",
                options={"max_pixels": str(MAX_PIXELS)},
                container_options={"format_whitelist": _format_whitelist()},
                io_open=_refuse_second_file,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise _unreadable(path, local, error) from error
        with container:
            _check_size(path, container)
            yield container


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The main stream of moving pictures; a cover picture of a sound file does not count."""
    best = container.streams.best("video")
    candidates = [best, *container.streams.video] if best is not None else []
    for stream in candidates:
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        if isinstance(stream, VideoStream) and not is_cover and stream.codec_context is not None:
            return stream
    return None


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The main stream of sound, if there is one with a known codec."""
    best = container.streams.best("audio")
    return best if isinstance(best, AudioStream) and best.codec_context is not None else None


def zero_s(container: InputContainer) -> float:
    """The common zero of picture and sound, in the file's own time: the earlier of the two streams' starts.

    A sound stream that starts below zero is taken to start at zero: what lies before is the codec's priming, which the
    decoder drops.
    """
    video, audio = picture_stream(container), sound_stream(container)
    starts = []
    if video is not None and video.start_time is not None and video.time_base is not None:
        starts.append(float(video.start_time * video.time_base))
    if audio is not None and audio.start_time is not None and audio.time_base is not None:
        starts.append(max(0.0, float(audio.start_time * audio.time_base)))
    return min(starts, default=0.0)


def duration_s(container: InputContainer) -> float:
    """The length that the container states, in seconds; 0 when it states none."""
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    streams = (picture_stream(container), sound_stream(container))
    known = [float(s.duration * s.time_base) for s in streams if s is not None and s.duration and s.time_base]
    return max(known, default=0.0)


def _regular_file(path: Path) -> Path:
    """The absolute path; raises MediaError unless it is a file with something in it."""
    if path.is_dir():
        raise MediaError(path, expected="a media file", got="a folder", remedy="name the files in it")
    try:
        is_file, size = path.is_file(), path.stat().st_size
    except (OSError, ValueError) as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else f"a path that cannot be read ({error})"
        raise MediaError(
            path, expected="a media file", got=got, remedy="check the path; only local files are read"
        ) from error
    if not is_file:
        raise MediaError(path, expected="a media file", got="a device or pipe", remedy="save it to a file first")
    if size == 0:
        raise MediaError(path, expected="a media file", got="an empty file", remedy="copy or download it again")
    return path.resolve()


def _format_whitelist() -> str:
    """Every format that FFmpeg can read but those in `_REFUSED_FORMATS`."""
    return ",".join(sorted(name for name in av.formats_available if name not in _REFUSED_FORMATS))


def _refuse_second_file(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a media file may not open {url!r}")


def _unreadable(path: str | Path, local: Path, error: Exception) -> MediaError:
    """Why FFmpeg could not open it, as far as the first bytes tell."""
    if isinstance(error, PermissionError):
        return MediaError(
            path, expected="a media file", got="a file that may not be read", remedy="check its permissions"
        )
    with local.open("rb") as file:
        head = file.read(4096)
    if isinstance(error, av.EOFError):
        got, remedy = "a file that ends within its header (cut short)", "copy or download it again in full"
    elif head[4:8] in (b"ftyp", b"mdat", b"free", b"wide"):
        got, remedy = "an MP4 file without its index (cut short)", "copy or download it again in full"
    elif _is_text(head):
        got, remedy = "a text file", _REMEDY
    else:
        got, remedy = "a file of no format that FFmpeg reads", _REMEDY
    return MediaError(path, expected="a media file", got=got, remedy=remedy)


def _is_text(head: bytes) -> bool:
    return bool(head) and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def _check_size(path: str | Path, container: InputContainer) -> None:
    for stream in container.streams.video:
        if stream.codec_context is None:
            continue
        width, height = stream.codec_context.width, stream.codec_context.height
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise MediaError(
                path,
                expected=f"pictures of at most {MAX_SIDE} pixels a side and {MAX_PIXELS >> 20} megapixels",
                got=f"{width}x{height}",
                remedy="scale the video down first",
            )
