"""Writes video files, and round-trips arrays through a codec.

Contract: pictures are (H, W, 3) uint8 RGB, audio is float32 (n,) in -1..1, mono. H.264 needs even sizes: the last row
or column of an odd picture is repeated (the round trip removes it again). Files start at zero with video and audio in
sync, and appear under their name only when they are complete.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLE_RATE
from fakespan.files import replacing
from fakespan.media.picture import Picture, Source
from fakespan.media.sound import to_mono

__all__ = ["roundtrip_sound", "roundtrip_video", "write_video"]

_BT709, _BT601, _LIMITED = 1, 6, 1  # as H.264 tags them
_HD_LINES = 720  # from here on pictures are BT.709, as players assume
_GLOBAL_HEADER = 1 << 22
_BLOCK = 4096  # samples handed to the encoder at once


def write_video(
    path: str | Path,
    frames: Iterable[UInt8Array],
    fps: float = FPS,
    sound: Float32Array | None = None,
    *,
    crf: int = 18,
    preset: str = "veryfast",
    audio_bitrate: int = 128_000,
    repeatable: bool = False,
) -> None:
    """Writes an mp4 (H.264, AAC) in one go: under another name first, renamed when it is complete.

    Args:
        path: of the file; one that exists is replaced.
        frames: (H, W, 3) uint8 RGB each, all of one size; an array (n, H, W, 3) or an iterable, taken one by one.
        fps: frames per second.
        sound: float32 (n,) mono in -1..1 at 16 kHz; None or empty: no audio stream.
        crf: H.264 quality, 0 (lossless) to 51.
        preset: x264 preset, "ultrafast" to "veryslow".
        audio_bitrate: bits per second of the AAC stream.
        repeatable: equal frames give equal bytes; single-threaded, and the file is a few per cent larger, because
            x264's macroblock tree is not deterministic.

    Raises:
        ValueError: no frames, or frames of different sizes.
        OSError: the folder cannot be written.
    """
    target = Path(path)
    first, every = _first(frames)
    rate = _rate(fps)
    options = {"movflags": "+faststart"}
    with replacing(target) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=rate)
        x264 = {"crf": str(crf), "preset": preset} | ({"x264-params": "mbtree=0"} if repeatable else {})
        _set_up_video(video.codec_context, first, rate, x264, threads=1 if repeatable else 0)
        streams = [_video_packets(video, every, first.shape, rate)]
        if sound is not None and len(sound):
            audio = container.add_stream("aac", rate=SAMPLE_RATE)
            _set_up_sound(audio.codec_context, SAMPLE_RATE, audio_bitrate)
            streams.append(_sound_packets(audio, sound, SAMPLE_RATE))
        for _, packets in heapq.merge(*streams, key=itemgetter(0)):
            container.mux(packets)


def roundtrip_video(
    frames: Iterable[UInt8Array], fps: float = FPS, crf: int = 23, *, preset: str = "ultrafast", threads: int = 1
) -> UInt8Array:
    """The frames (n, H, W, 3) after H.264 encoding and decoding at that quality, same number and size.

    In memory. Raises ValueError if there are no frames, or frames of different sizes.
    """
    first, rest = _first(frames)
    height, width = first.shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    _set_up_video(encoder, first, _rate(fps), {"crf": str(crf), "preset": preset}, threads)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = threads
    images: list[UInt8Array] = []
    for frame in itertools.chain(_video_frames(rest, first.shape, encoder.time_base), [None]):
        for packet in encoder.encode(frame):
            images += [_cut_rgb(f, width, height) for f in decoder.decode(packet)]
    images += [_cut_rgb(f, width, height) for f in decoder.decode(None)]
    return np.stack(images)


def roundtrip_sound(
    sound: Float32Array, sample_rate: int = SAMPLE_RATE, bitrate: int = 64_000, codec: Literal["aac", "mp3"] = "aac"
) -> Float32Array:
    """The audio (n,) after encoding and decoding at that bit rate: same length, aligned (codec delay removed).

    In memory. `sample_rate` must be one that the codec supports (AAC: 8000 to 96000; MP3: 8000 to 48000).
    """
    if not len(sound):
        return np.zeros(0, np.float32)
    names = {"aac": ("aac", "aac"), "mp3": ("libmp3lame", "mp3float")}[codec]
    encoder, decoder = av.CodecContext.create(names[0], "w"), av.CodecContext.create(names[1], "r")
    assert isinstance(encoder, AudioCodecContext)
    assert isinstance(decoder, AudioCodecContext)
    _set_up_sound(encoder, sample_rate, bitrate)
    encoder.flags |= _GLOBAL_HEADER  # the decoder needs it, because there is no container
    encoder.open()
    decoder.extradata = encoder.extradata
    blocks: list[Float32Array] = []
    delay = 0
    for frame in itertools.chain(_sound_frames(sound, sample_rate), [None]):
        for packet in encoder.encode(frame):
            if codec == "aac":  # MP3 packets tell the decoder what to skip
                delay = max(delay, -(packet.pts or 0))  # priming has negative times
            packet.pts = packet.dts = None
            blocks += [to_mono(f) for f in decoder.decode(packet)]
    blocks += [to_mono(f) for f in decoder.decode(None)]
    aligned = np.concatenate(blocks)[delay : delay + len(sound)]
    return np.pad(aligned, (0, len(sound) - len(aligned)))


def _video_packets(
    stream: VideoStream, frames: Iterable[UInt8Array], shape: tuple[int, ...], rate: Fraction
) -> Iterator[tuple[float, list[Packet[Any]]]]:
    """Encoded pictures, with the time of the input frame."""
    n_frames = 0
    for n_frames, frame in enumerate(_video_frames(frames, shape, 1 / rate), start=1):
        yield float((n_frames - 1) / rate), list(stream.encode(frame))
    yield float(n_frames / rate), list(stream.encode(None))


def _sound_packets(
    stream: AudioStream, sound: Float32Array, sample_rate: int
) -> Iterator[tuple[float, list[Packet[Any]]]]:
    """Encoded audio, with the time of the input block."""
    for k, frame in enumerate(_sound_frames(sound, sample_rate)):
        yield k * _BLOCK / sample_rate, list(stream.encode(frame))
    yield len(sound) / sample_rate, list(stream.encode(None))


def _set_up_video(
    encoder: VideoCodecContext, first: UInt8Array, rate: Fraction, options: dict[str, str], threads: int
) -> None:
    height, width = first.shape[:2]
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", rate, 1 / rate
    encoder.colorspace = _BT709 if min(height, width) >= _HD_LINES else _BT601
    encoder.color_range = _LIMITED
    encoder.options = options
    encoder.thread_count = threads


def _set_up_sound(encoder: AudioCodecContext, sample_rate: int, bitrate: int) -> None:
    encoder.sample_rate, encoder.format, encoder.layout = sample_rate, "fltp", "mono"
    encoder.bit_rate, encoder.time_base = bitrate, Fraction(1, sample_rate)


def _video_frames(frames: Iterable[UInt8Array], shape: tuple[int, ...], time_base: Fraction) -> Iterator[VideoFrame]:
    """The frames in the encoder's pixel format, numbered."""
    is_hd = min(shape[:2]) >= _HD_LINES
    for k, image in enumerate(frames):
        if image.shape != shape:
            raise ValueError(f"expected frames of one size, {shape}, got {image.shape}")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(_even(image)), format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709 if is_hd else Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = k, time_base
        yield frame


def _even(image: UInt8Array) -> UInt8Array:
    """The image with even sides, its last row or column repeated if needed."""
    odd_rows, odd_columns = image.shape[0] % 2, image.shape[1] % 2
    if not (odd_rows or odd_columns):
        return image
    return np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")


def _sound_frames(sound: Float32Array, sample_rate: int) -> Iterator[AudioFrame]:
    """The audio in blocks, clipped to -1..1."""
    for start in range(0, len(sound), _BLOCK):
        block = np.clip(sound[start : start + _BLOCK], -1.0, 1.0).astype(np.float32)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
        yield frame


def _first(frames: Iterable[UInt8Array]) -> tuple[UInt8Array, Iterator[UInt8Array]]:
    """The first frame, and an iterator over all of them."""
    every = iter(frames)
    first = next(every, None)
    if first is None or first.ndim != 3 or first.shape[2] != 3 or first.dtype != np.uint8:
        got = "no frames" if first is None else f"{first.dtype} {first.shape}"
        raise ValueError(f"expected frames (H, W, 3) of uint8, got {got}")
    return first, itertools.chain([first], every)


def _cut_rgb(frame: Any, width: int, height: int) -> UInt8Array:
    """A decoded frame as RGB, without the padding row or column."""
    return Picture(0, 0.0, Source(frame)).rgb()[:height, :width]


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)
