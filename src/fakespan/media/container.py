"""Opens an untrusted media file and finds the origin of its timeline.

Contract: exactly one local, regular file is opened. FFmpeg gets a Python file object instead of a path, so that no
protocol (http:, concat:) is ever used; formats that refer to other files (playlists, manifests, image sequences) are
not read, and any attempt to open a second file is refused. FFmpeg's log stays silent, as PyAV leaves it. Pixels and
samples are handled in `picture` and `decode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from fakespan.errors import MediaError
from fakespan.media.kinds import has_endless_texts, is_animated_webp, is_encrypted_mp4, named_kind
from fakespan.media.local_file import opened, regular_file

__all__ = [
    "BEST",
    "MAX_DURATION_S",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Tracks",
    "codec_name",
    "duration_s",
    "open_media",
    "picture_stream",
    "picture_streams",
    "pixel_aspect",
    "sound_stream",
    "sound_streams",
    "starts_at_s",
    "zero_s",
]

MAX_DURATION_S = 1e7
"""Longest duration that is believed: 115 days."""
MAX_SIDE = 16_384
"""Longest side of a picture that is decoded, in pixels."""
MAX_PIXELS = 1 << 26
"""Largest area of a picture that is decoded; FFmpeg itself refuses to allocate more."""

_LARGEST_ASPECT = 4.0  # of a pixel; anamorphic film has 2

# Formats that refer to other files or devices, or that render any text as pictures.
_REFUSED_FORMATS = {"applehttp", "avisynth", "bluray", "concat", "concatf", "dash", "dvdvideo", "hls", "image2", "imf"}
_REFUSED_FORMATS |= {"lavfi", "libcdio", "rtp", "rtsp", "sap", "sdp", "vapoursynth", "webm_dash_manifest"}
_REFUSED_FORMATS |= {"adf", "bin", "idf", "tty", "xbin"}
_AVI_UNFILLED = 1 << 30  # the number of frames that FFmpeg writes first, and cannot correct in a pipe
_GUESSED, _HEADER_BYTES = {"matroska", "asf"}, 4096  # formats without a length if made live; most that is no packet
_PLAYERS_CLOCK = {"mov", "matroska"}
_REMEDY = "give a video or sound file that plays in a media player"


@dataclass(frozen=True, slots=True)
class Tracks:
    """Which streams of a file are read, by their places in the container; None: the one that FFmpeg calls the best.

    Several streams of a kind follow each other: one track, whose number in the container changes midway.
    """

    video: tuple[int, ...] | None = None
    audio: tuple[int, ...] | None = None


BEST = Tracks()


@contextmanager
def open_media(path: str | Path, tracks: Tracks | None = BEST) -> Iterator[InputContainer]:
    """Open the container of a local file; it is closed at the end of the block.

    Args:
        path: a local file.
        tracks: the streams that `picture_streams` and `sound_streams` give; None: all.

    Raises:
        MediaError: the path is missing, not a regular file, empty, of unknown format, or the picture is too large.
    """
    local = regular_file(Path(path))
    with opened(path, local) as file:
        _check_texts(path, local)
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
            _check_kind(path, local, container)
            if tracks is not None:
                _discard_others(container, tracks)
            try:
                yield container
            except av.error.MemoryError as error:  # a damaged size, seldom a full memory
                expected, got = "packets that fit into memory", "one that does not"
                remedy = "copy or download the file again, or free memory"
                raise MediaError(path, expected=expected, got=got, remedy=remedy) from error


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams that are read, the best first; the cover image of an audio file does not count."""
    best = _best(container, "video")
    known = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return sorted((s for s in known if _is_read(s)), key=lambda s: s is not best)


def sound_streams(container: InputContainer) -> list[AudioStream]:
    """The audio streams that are read, the best first.

    If the sound of a file begins late, FFmpeg knows its codec and no more, and calls no stream the best.
    """
    pictures = picture_streams(container)
    best = _best(container, "audio", pictures[0] if pictures else None)  # of the same program
    return sorted((s for s in container.streams.audio if _is_read(s)), key=lambda s: s is not best)


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first of `picture_streams`."""
    return next(iter(picture_streams(container)), None)


def codec_name(stream: Stream | None) -> str:
    """The name of the codec, not of the library that decodes it (av1, not libdav1d); "" if it is unknown."""
    return stream.codec_context.codec.canonical_name if stream is not None and stream.codec_context is not None else ""


def pixel_aspect(stream: VideoStream) -> float:
    """Width of a stored pixel over its height; 1 if the stream states none, or none that can be."""
    stated = stream.sample_aspect_ratio
    aspect = float(stated) if stated else 1.0
    is_possible = 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT
    width, height = stream.codec_context.width * aspect, stream.codec_context.height
    return aspect if is_possible and width <= MAX_SIDE and width * height <= MAX_PIXELS else 1.0


def sound_stream(container: InputContainer) -> AudioStream | None:
    """The first of `sound_streams`."""
    return next(iter(sound_streams(container)), None)


def _best(container: InputContainer, kind: Literal["video", "audio"], related: Stream | None = None) -> Stream | None:
    """The stream that FFmpeg calls the best; None if it names one that it found while reading, which PyAV lacks."""
    try:
        return container.streams.best(kind, related=related)
    except IndexError:
        return None


def _is_read(stream: Stream) -> bool:
    return stream.codec_context is not None and stream.discard != Discard.all


def _discard_others(container: InputContainer, tracks: Tracks) -> None:
    """Let FFmpeg skip the pictures and sounds that do not belong to the tracks."""
    for streams, chosen in ((picture_streams(container), tracks.video), (sound_streams(container), tracks.audio)):
        wanted = {s.index for s in streams[:1]} if chosen is None else set(chosen)
        for stream in streams:
            if stream.index not in wanted:
                stream.discard = Discard.all


def zero_s(container: InputContainer) -> float:
    """Common origin of video and audio, in the file's own time: the earlier of the two streams' starts.

    An audio stream that starts below zero is taken to start at zero: the part before is codec priming, which the
    decoder drops.
    """
    video, audio = picture_stream(container), sound_stream(container)
    starts = []
    if video is not None and video.start_time is not None and video.time_base is not None:
        starts.append(float(video.start_time * video.time_base))
    if audio is not None and audio.start_time is not None and audio.time_base is not None:
        starts.append(max(0.0, float(audio.start_time * audio.time_base)))
    return min(starts, default=0.0)


def starts_at_s(container: InputContainer) -> float:
    """What a player's clock shows at the common origin: of MP4 and Matroska the file's own time, of others 0.

    So do browsers. The clocks of other formats start anywhere, as those of transport streams.
    """
    return max(0.0, zero_s(container)) if _PLAYERS_CLOCK & set(container.format.name.split(",")) else 0.0


def duration_s(container: InputContainer) -> float:
    """Duration stated by the container, in seconds from the common origin; 0 if none, or none that can be."""
    stated_s = _from_origin_s(container)
    return stated_s if 0 < stated_s <= MAX_DURATION_S and not _is_guess(container) else 0.0


def _is_guess(container: InputContainer) -> bool:
    """Whether FFmpeg made the duration up, of its size and what bit rates it knows, or never filled it in."""
    is_unfilled = any(stream.frames >= _AVI_UNFILLED for stream in container.streams)
    byte_rate = sum(getattr(stream, "bit_rate", None) or 0 for stream in container.streams) / 8
    rest = container.size - byte_rate * (container.duration or 0) / av.time_base
    return is_unfilled or (container.format.name.split(",")[0] in _GUESSED and 0 <= rest <= _HEADER_BYTES)


def _from_origin_s(container: InputContainer) -> float:
    """Duration as stated, in seconds from the common origin."""
    late_s = starts_at_s(container)
    played = [_end_s(stream) for stream in (picture_stream(container), sound_stream(container)) if stream is not None]
    if late_s and played and min(played) > 0:
        return max(played) - late_s
    stated_s = _stated_s(container)
    return stated_s - late_s if stated_s > late_s else stated_s


def _end_s(stream: Stream) -> float:
    """When a stream ends, by the file's own time; 0 if it does not say."""
    if stream.start_time is None or not stream.duration or stream.time_base is None:
        return 0.0
    return float((stream.start_time + stream.duration) * stream.time_base)


def _stated_s(container: InputContainer) -> float:
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    streams = (picture_stream(container), sound_stream(container))
    known = [float(s.duration * s.time_base) for s in streams if s is not None and s.duration and s.time_base]
    return max(known, default=0.0)


def _format_whitelist() -> str:
    """All formats that FFmpeg can read, except `_REFUSED_FORMATS`."""
    return ",".join(sorted(name for name in av.formats_available if name not in _REFUSED_FORMATS))


def _refuse_second_file(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a media file may not open {url!r}")


def _unreadable(path: str | Path, local: Path, error: Exception) -> MediaError:
    """The error for a file that FFmpeg could not open, diagnosed from its first bytes."""
    with local.open("rb") as file:
        head = file.read(4096)
    if isinstance(error, av.EOFError):
        got, remedy = "a file that ends within its header (cut short)", "copy or download it again in full"
    elif head[4:8] in (b"ftyp", b"mdat", b"free", b"wide"):
        got, remedy = "an MP4 file without its index (cut short)", "copy or download it again in full"
    elif (kind := named_kind(head)) is not None:
        got, remedy = kind
    elif _is_text(head):
        got, remedy = "a text file", _REMEDY
    else:
        got, remedy = "a file of a format that FFmpeg does not read", _REMEDY
    return MediaError(path, expected="a media file", got=got, remedy=remedy)


def _check_texts(path: str | Path, local: Path) -> None:
    if has_endless_texts(local):
        expected, got = "texts that lie within the file", "a list of them that is longer than all of it"
        raise MediaError(path, expected=expected, got=got, remedy="copy or download it again")


def _check_kind(path: str | Path, local: Path, container: InputContainer) -> None:
    """Refuse what FFmpeg opens although nothing in it can be judged: pictures, encrypted streams."""
    name, kind = container.format.name, None
    if name == "webp_pipe" and is_animated_webp(local):
        kind = "an animated WebP picture", "convert it to a video first"
    elif name.endswith("_pipe"):  # FFmpeg's readers of single pictures
        kind = f"a still picture ({name.removesuffix('_pipe')})", "give a video or sound file"
    elif "mp4" in name and is_encrypted_mp4(local):
        kind = "an encrypted MP4 file", "decrypt it first; fakespan has no keys"
    if kind is not None:
        raise MediaError(path, expected="a video or sound file", got=kind[0], remedy=kind[1])


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
