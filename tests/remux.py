"""The bundled clip in other files: its pictures' packets copied into any container, at any times of its clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

import fakespan
from fakespan.media.decode import read_sound

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"
FORGED_S = (5.84, 6.58)
SOUND_RATE = 16_000


def remuxed(
    path: Path, starts_s: Sequence[float] = (0.0,), *, sound_later_s: float = 0.0, sound_codec: str = "pcm_s16le"
) -> Path:
    """The clip once for each of `starts_s`, its sound later by so much."""
    with av.open(str(SAMPLE)) as given, av.open(str(path), "w") as made:
        (pictures,) = given.streams.video
        video = made.add_stream_from_template(pictures)
        audio: Any = made.add_stream(sound_codec, rate=SOUND_RATE, layout="mono")
        packets: list[Any] = []
        for start_s in starts_s:
            given.seek(0)
            plain = given.demux(pictures)
            packets += _copied(_annex_b(plain, pictures) if path.suffix == ".avi" else plain, video, start_s)
            packets += _heard(audio, read_sound(SAMPLE), start_s + sound_later_s)
        packets += audio.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            made.mux(packet)
    return path


def without_packets(path: Path, begin_s: float, end_s: float) -> Path:
    """The clip without what picture and sound show meanwhile; its only key frame is the first picture."""
    with av.open(str(SAMPLE)) as given, av.open(str(path), "w") as made:
        streams = [made.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.pts is not None and not begin_s < packet.pts * packet.time_base < end_s:
                packet.stream = streams[packet.stream_index]
                made.mux(packet)
    return path


def with_dead_pictures(given_path: Path, path: Path) -> Path:
    """A file whose packets of pictures hold nothing but zeros, with its sound as it is."""
    with av.open(str(given_path)) as given, av.open(str(path), "w") as made:
        streams = [made.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.pts is None:
                continue
            kept = packet
            if packet.stream.type == "video":
                kept = av.Packet(bytes(packet.size))
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
                kept.duration, kept.is_keyframe = packet.duration, packet.is_keyframe
            kept.stream = streams[packet.stream_index]
            made.mux(kept)
    return path


def _annex_b(packets: Iterator[Any], stream: Any) -> Iterator[Any]:
    convert = BitStreamFilterContext("h264_mp4toannexb", stream)
    for packet in packets:
        if packet.dts is not None:
            yield from convert.filter(packet)


def _copied(packets: Iterator[Any], stream: Any, start_s: float) -> Iterator[Any]:
    for packet in packets:
        if packet.dts is not None:
            n_ticks = round(start_s / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + n_ticks, packet.dts + n_ticks, stream
            yield packet


def _heard(stream: Any, sound: np.ndarray, start_s: float) -> list[Any]:
    packets = []
    for first in range(0, len(sound), 640):
        part = (sound[None, first : first + 640] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
        frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
        frame.pts = round(start_s * SOUND_RATE) + first
        packets += stream.encode(frame)
    return packets
