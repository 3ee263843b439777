"""Tiny media files for the tests, made on the spot: pictures that carry a number, tones, flashes, damage."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

import fakespan
from fakespan.media.decode import read_pictures, read_sound

BITS = 10
BAR = 16  # pixels; wide enough to survive a codec
WIDTH, HEIGHT = BITS * BAR, 48
TIME_BASE = Fraction(1, 90_000)


def numbered_picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey picture whose bars, from the left, are the bits of a number: dark 0, bright 1."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.where(bits, 210, 40).astype(np.uint8), width // BITS)
    row = np.pad(row, (0, width - len(row)), mode="edge")
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def read_number(image: np.ndarray) -> int:
    """The number that a picture made by `numbered_picture` carries."""
    levels = image.mean(axis=(0, 2))
    bar = image.shape[1] // BITS
    return sum(int(levels[bit * bar + bar // 2] > 125) << bit for bit in range(BITS))


def tone(seconds: float, rate: int = 44_100, hz: float = 440.0, n_channels: int = 1) -> np.ndarray:
    """A sine of amplitude 0.5, (channels, n) float32."""
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None].astype(np.float32), n_channels, axis=0)


def spoken(seconds: float) -> np.ndarray:
    """Speech of the bundled sample at 16 kHz, (1, n) float32."""
    sample = Path(fakespan.__file__).parent / "samples" / "sample.mp4"
    return read_sound(sample)[
        None, 16_000 : 16_000 + round(seconds * 16_000)
    ]  # it begins with half a second of silence


def write_clip(
    path: Path,
    pictures: Sequence[np.ndarray] = (),
    times_s: Sequence[float] = (),
    *,
    sound: np.ndarray | None = None,
    sound_rate: int = 44_100,
    sound_start_s: float = 0.0,
    layout: str = "mono",
    audio_codec: str = "aac",
    video_codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    turn_deg: int = 0,
    full_range: bool = False,
    b_frames: bool = True,
    pixel_aspect: Fraction = Fraction(1),
) -> Path:
    """Writes a clip whose format follows from the name's ending.

    `times_s` are the pictures' presentation times, `sound` is (channels, n) float32, `turn_deg` clockwise,
    `pixel_aspect` the width of a stored pixel over its height.
    """
    with av.open(str(path), "w") as container:
        video = None
        if len(pictures):
            video = _add_video(container, pictures[0].shape, video_codec, _rate(times_s))
            video.pix_fmt, video.codec_context.sample_aspect_ratio = pix_fmt, pixel_aspect
            if video_codec == "libx264":
                video.options = {"preset": "ultrafast", "crf": "12", **({"bf": "2"} if b_frames else {})}
                video.codec_context.color_range = 2 if full_range else 1
            if video_codec == "libx265":
                video.options = {"x265-params": "log-level=none"}
            if turn_deg:
                video.set_display_rotation(-turn_deg)
        audio = container.add_stream(audio_codec, rate=sound_rate, layout=layout) if sound is not None else None
        packets = []
        if video is not None:
            packets += _encode_pictures(video, pictures, times_s, pix_fmt)
        if audio is not None:
            packets += _encode_sound(audio, sound, sound_rate, sound_start_s, layout)
        if not packets:
            container.start_encoding()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


def write_frames_at(path: Path, rate: float, seconds: float, **options) -> tuple[Path, np.ndarray]:
    """A clip of numbered pictures at a constant rate; returns the path and the pictures' times."""
    times_s = np.arange(round(seconds * rate)) / rate
    pictures = [numbered_picture(k) for k in range(len(times_s))]
    return write_clip(path, pictures, times_s, **options), times_s


def _rate(times_s):
    """Frames a second that the container is told; the timestamps are what counts."""
    step_s = np.median(np.diff(times_s)) if len(times_s) > 1 else 0.04
    return Fraction(1 / step_s).limit_denominator(1001)


def _add_video(container, shape, codec, rate):
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = shape[:2]
    knows_counts_only = codec in ("mpeg2video", "mpeg4")
    stream.codec_context.time_base = 1 / rate if knows_counts_only else TIME_BASE
    return stream


def _encode_pictures(stream, pictures, times_s, pix_fmt):
    packets = []
    time_base = stream.codec_context.time_base
    for image, time_s in zip(pictures, times_s, strict=True):
        full = "JPEG" if stream.codec_context.color_range == 2 else "MPEG"
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = frame.reformat(format=pix_fmt, dst_colorspace="ITU601", dst_color_range=full)
        frame.pts, frame.time_base = round(time_s / time_base), time_base
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _encode_sound(stream, sound, rate, start_s, layout):
    packets = []
    for first in range(0, sound.shape[1], 1000):
        block = np.ascontiguousarray(sound[:, first : first + 1000].T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, "flt", layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start_s * rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def load_pictures(path: Path) -> np.ndarray:
    """All pictures of a short clip at 25 a second, (n, H, W, 3) uint8 RGB, as large as the first."""
    images: list[np.ndarray] = []
    for picture in read_pictures(path):
        rgb = picture.rgb()
        height, width = images[0].shape[:2] if images else rgb.shape[:2]
        images.append(np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
    return np.stack(images)
