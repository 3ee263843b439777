"""Preparing a data set and reading it back, against decoding the original and against the decoder alone.

    python benchmarks/bench_prepare.py [FILE ...] [--runs 5] [--formats]

Without FILE, clips of LAV-DF's size are made: 8.5 s, 224x224, 25 fps, H.264 and AAC, portraits that speak. Everything
runs in one process and thread; times are of the processor, so that they hold for one core also while others work, and
the ways take turns. "decoder alone" is PyAV decoding picture and sound, nothing else. --formats adds what other ways to
keep the 96x96 faces would give: size, error, and the time to pack and unpack them.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow
import torch
from av.video.reformatter import VideoReformatter

from fakespan.data.clip import read_example
from fakespan.data.packing import SUFFIXES, Pack, pack_faces, unpack_faces
from fakespan.data.prepare import prepare
from fakespan.data.sets import open_set
from fakespan.data.shards import ShardWriter
from fakespan.media.encode import write_video
from fakespan.types import Sample

N_FRAMES = 213
Faces = np.ndarray
Format = tuple[Callable[[Faces], object], Callable[[object], Faces], Callable[[object], int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--formats", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = args.files or [make_clip(Path(folder) / f"{k}.mp4", seed=k + 1) for k in range(3)]
        samples = [Sample(f"{k}.mp4", path, "train", 8.5) for k, path in enumerate(files)]
        print_ways(samples, Path(folder), args.runs)
        if args.formats:
            print_formats([read_example(sample).faces for sample in samples], args.runs)


def make_clip(path: Path, seed: int) -> Path:
    """A portrait that speaks, for 8.5 s."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    from make_sample import make_pair  # noqa: PLC0415 - it needs espeak-ng and flite

    clip, _ = make_pair(seed, size=224)
    frames = np.concatenate([clip.frames, clip.frames[::-1]])[:N_FRAMES]
    sound = np.concatenate([clip.sound, clip.sound[::-1]])[: N_FRAMES * 640]
    write_video(path, frames, 25.0, sound, crf=23, preset="medium", audio_bitrate=64_000)
    return path


def print_ways(samples: list[Sample], folder: Path, runs: int) -> None:
    store = make_store(samples, folder)
    with ShardWriter(folder, 99_999, len(samples) * (runs + 1)) as writer:
        ways: dict[str, Callable[[int], object]] = {
            "decoder alone": lambda k: decode_alone(samples[k].path),
            "read_example": lambda k: read_example(samples[k]),
            "prepare": lambda k: writer.add(k, samples[k], read_example(samples[k])),
            "read the store": lambda k: store[k],
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for run in range(runs + 1):  # the first is not counted
            for name, way in ways.items():
                spent = sum(processor_s(lambda k=k, way=way: way(k)) for k in range(len(samples)))
                if run:
                    seconds[name].append(spent)
    n_frames = sum(len(store[k].faces) for k in range(len(samples)))
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    print(f"{'way':<16}{'ms a frame':>11}{'clips of 8.5 s a minute and core':>34}{'ratio':>8}")
    for name, spent in medians.items():
        per_minute = 60 / (spent / n_frames * N_FRAMES)
        print(f"{name:<16}{1e3 * spent / n_frames:>11.4f}{per_minute:>34.0f}{medians['read_example'] / spent:>8.2f}")
    print_bound(medians, n_frames)
    n_bytes = sum(path.stat().st_size for path in (folder / "store").glob("shard*"))
    n_originals = sum(sample.path.stat().st_size for sample in samples)
    hour = 90_000 / n_frames / 1e6
    print(f"an hour of video: {n_bytes * hour:.0f} MB prepared, {n_originals * hour:.0f} MB in the original")


def print_bound(medians: dict[str, float], n_frames: int) -> None:
    """Where the time of preparing goes, and what would be left if only decoding took any."""
    decode, read, whole = (medians[name] for name in ("decoder alone", "read_example", "prepare"))
    shares = (decode / whole, (read - decode) / whole, (whole - read) / whole)
    print("of preparing: decoding {:.0%}, conversion and scaling {:.0%}, packing and writing {:.0%}".format(*shares))
    wanted_s = 60 / 1000 / N_FRAMES * n_frames
    bound = "within reach of the decoder" if decode < wanted_s else "beyond the decoder itself: it is the bound"
    print(f"1,000 clips a minute and core: {wanted_s / whole:.0%} reached, {bound}")


def make_store(samples: list[Sample], folder: Path):
    """A store of these files, made as a user would."""
    root = folder / "lavdf"
    (root / "train").mkdir(parents=True)
    entry = {"fake_periods": [], "duration": 8.5, "split": "train", "modify_audio": False, "modify_video": False}
    entries = []
    for sample in samples:
        (root / "train" / sample.name).write_bytes(sample.path.read_bytes())
        entries.append({"file": f"train/{sample.name}", **entry})
    (root / "metadata.json").write_text(json.dumps(entries))
    prepare(f"lavdf:{root}", folder / "store")
    return open_set(f"store:{folder / 'store'}")


def decode_alone(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for packet in container.demux():
            packet.decode()


def print_formats(clips: list[Faces], runs: int) -> None:
    head = f"{'MB an hour':>11}{'mean error':>11}{'99.9 %':>8}{'largest':>8}{'pack ms':>9}{'unpack':>8}"
    print(f"\n{'faces kept as':<26}{head}")
    for name, way in formats().items():
        print(f"{name:<26}{line_of(way, clips, runs)}")


def line_of(way: Format, clips: list[Faces], runs: int) -> str:
    pack, unpack, size = way
    n_frames = sum(map(len, clips))
    packed = [pack(clip) for clip in clips]
    errors = np.concatenate(
        [np.abs(unpack(p).astype(np.int16) - c).ravel() for p, c in zip(packed, clips, strict=True)]
    )
    pack_s = statistics.median(processor_s(lambda: [pack(clip) for clip in clips]) for _ in range(min(3, runs)))
    unpack_s = statistics.median(processor_s(lambda: [unpack(p) for p in packed]) for _ in range(runs))
    hour = sum(map(size, packed)) / n_frames * 90_000 / 1e6
    values = f"{hour:>11.0f}{errors.mean():>11.2f}{np.percentile(errors, 99.9):>8.0f}{errors.max():>8}"
    return f"{values}{1e3 * pack_s / n_frames:>9.3f}{1e3 * unpack_s / n_frames:>8.3f}"


def pack_as(pack: Pack, clip: np.ndarray) -> tuple[bytes, int]:
    return pack_faces(clip, pack), len(clip)


def formats() -> dict[str, Format]:
    """Name -> pack, unpack, and the bytes of what is packed."""
    return {
        **{
            f"this store, {pack}": (
                functools.partial(pack_as, pack),
                lambda packed: unpack_faces(*packed),
                lambda packed: len(packed[0]),
            )
            for pack in SUFFIXES
        },
        "raw RGB": (lambda clip: clip.tobytes(), as_faces, len),
        "RGB, change, Zstandard 1": (pack_lossless, unpack_lossless, lambda packed: len(packed[0])),
        "JPEG 95, 4:4:4": (pack_jpeg, unpack_jpeg, lambda packed: sum(map(len, packed))),
        "H.264 crf 8, 4:4:4": coded("libx264", "yuv444p", {"crf": "8", "preset": "ultrafast"}),
        "H.264 crf 8, 4:2:0": coded("libx264", "yuv420p", {"crf": "8", "preset": "ultrafast"}),
        "H.264 crf 12, 4:2:0": coded("libx264", "yuv420p", {"crf": "12", "preset": "ultrafast"}),
        "FFV1, 4:4:4": coded("ffv1", "yuv444p", {}),
    }


def as_faces(packed: bytes) -> Faces:
    return np.frombuffer(packed, np.uint8).reshape(-1, 96, 96, 3).copy()


def pack_lossless(clip: Faces) -> tuple[bytes, int]:
    change = clip.copy()
    change[1:] -= clip[:-1]
    return pyarrow.Codec("zstd", compression_level=1).compress(change, asbytes=True), clip.nbytes


def unpack_lossless(packed: tuple[bytes, int]) -> Faces:
    faces = np.frombuffer(pyarrow.decompress(*packed, codec="zstd"), np.uint8).reshape(-1, 96, 96, 3).copy()
    for k in range(1, len(faces)):
        np.add(faces[k], faces[k - 1], out=faces[k])
    return faces


def pack_jpeg(clip: Faces) -> list[np.ndarray]:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return [cv2.imencode(".jpg", cv2.cvtColor(face, cv2.COLOR_RGB2BGR), options)[1] for face in clip]


def unpack_jpeg(packed: list[np.ndarray]) -> Faces:
    return np.stack([cv2.imdecode(face, cv2.IMREAD_COLOR_RGB) for face in packed])


def coded(codec: str, pixels: str, options: dict[str, str]) -> Format:
    """By one of FFmpeg's codecs, in one thread."""
    colours = {"src_colorspace": "ITU601", "src_color_range": "MPEG"}

    def pack(clip: Faces) -> tuple[list, bytes | None]:
        encoder = av.CodecContext.create(codec, "w")
        encoder.width = encoder.height = 96
        encoder.pix_fmt, encoder.time_base, encoder.framerate = pixels, Fraction(1, 25), Fraction(25)
        encoder.options, encoder.thread_count = options, 1
        packets = []
        for k, face in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(face, format="rgb24")
            frame = frame.reformat(format=pixels, dst_colorspace="ITU601", dst_color_range="MPEG", threads=1)
            frame.pts = k
            packets += encoder.encode(frame)
        return packets + encoder.encode(None), encoder.extradata

    def unpack(packed: tuple[list, bytes | None]) -> Faces:
        packets, extradata = packed
        decoder = av.CodecContext.create("h264" if codec == "libx264" else codec, "r")
        decoder.thread_count = 1
        if codec != "libx264":
            decoder.width = decoder.height = 96
            decoder.pix_fmt = pixels
        if extradata:
            decoder.extradata = extradata
        shared, faces = VideoReformatter(), []
        for packet in [*packets, None]:
            for frame in decoder.decode(packet):
                faces.append(shared.reformat(frame, format="rgb24", threads=1, **colours).to_ndarray())
        return np.stack(faces)

    return pack, unpack, lambda packed: sum(packet.size for packet in packed[0])


def processor_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
