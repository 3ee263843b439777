"""Tiny data sets in the published layouts, made on the spot: clips that play, with spans that are seen and heard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from fakespan.media.encode import write_video

FPS, SAMPLE_RATE = 25, 16_000
KINDS = ("real", "audio", "visual", "both")
Spans = Sequence[tuple[float, float]]


def write_test_clip(
    path: Path,
    seconds: float,
    *,
    audio_spans: Spans = (),
    visual_spans: Spans = (),
    seed: int = 0,
    size: int = 96,
    fps: float = FPS,
    sound: bool = True,
) -> Path:
    """A clip of size x size pixels: a bright disc that moves on a grey ground, under a soft tone.

    Inside visual spans the picture is turned into its negative, inside audio spans the tone becomes noise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    frames = moving_disc(round(seconds * fps), size, rng)
    frames[inside(visual_spans, len(frames), fps)] = 255 - frames[inside(visual_spans, len(frames), fps)]
    wave = soft_tone(seconds, rng)
    noisy = inside(audio_spans, len(wave), SAMPLE_RATE)
    wave[noisy] = rng.uniform(-0.6, 0.6, int(noisy.sum()))
    write_video(path, frames, fps, wave if sound else None, preset="ultrafast")
    return path


def cut_short(clip: Path) -> None:
    """Leave the first third of a clip; its index, moved to the front, states the whole length."""
    whole = clip.with_name(f"whole-{clip.name}")
    with av.open(str(clip)) as given, av.open(str(whole), "w", options={"movflags": "faststart"}) as made:
        streams = [made.add_stream_from_template(stream) for stream in given.streams]
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                made.mux(packet)
    content = whole.read_bytes()
    whole.unlink()
    media = content.index(b"mdat")
    clip.write_bytes(content[: media + (len(content) - media) // 3])


def moving_disc(n_frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(n, size, size, 3) uint8; colour, place and speed vary."""
    y, x = np.mgrid[:size, :size] / size
    colour, phase = rng.uniform(120, 220, 3), rng.uniform(0, 6)
    angles = phase + 0.15 * np.arange(n_frames)
    distances = np.hypot(x - 0.5 - 0.2 * np.cos(angles)[:, None, None], y - 0.5 - 0.2 * np.sin(angles)[:, None, None])
    return np.where((distances < 0.2)[..., None], colour, 60.0).astype(np.uint8)


def soft_tone(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) float32 of 150 to 300 Hz."""
    times_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.2 * np.sin(2 * np.pi * rng.uniform(150, 300) * times_s)).astype(np.float32)


def inside(spans: Spans, n: int, rate: float) -> np.ndarray:
    """(n,) bool: whether the instant k / rate lies in one of the spans."""
    times_s = np.arange(n) / rate
    return np.any([(times_s >= a) & (times_s < b) for a, b in spans] or [np.zeros(n, bool)], axis=0)


def forged_span(seconds: float, seed: int) -> tuple[float, float]:
    """A span of 0.3 to 0.5 of the clip's length, at least 0.2 s away from its ends where it is long enough."""
    rng = np.random.default_rng([7, seed])
    length_s = seconds * rng.uniform(0.3, 0.5)
    start_s = rng.uniform(0.1, 0.9) * (seconds - length_s)
    return round(float(start_s), 2), round(float(start_s + length_s), 2)


def make_lavdf(  # noqa: PLR0917
    root: Path,
    n_train: int = 4,
    n_validation: int = 2,
    n_test: int = 2,
    seconds: float = 2.0,
    kinds: Sequence[str] = KINDS,
    size: int = 96,
) -> Path:
    """A set in LAV-DF's layout, metadata.json and metadata.min.json; in each split the kinds come in turn."""
    entries = []
    for split, n in (("train", n_train), ("dev", n_validation), ("test", n_test)):
        names = [f"{split}/{k:06d}.mp4" for k in range(n)]
        reals = [name for k, name in enumerate(names) if kinds[k % len(kinds)] == "real"]
        for k, name in enumerate(names):
            kind = kinds[k % len(kinds)]
            original = reals[0] if kind != "real" and reals else None
            entry = lavdf_entry(name, split, kind, original, seconds, seed=len(entries))
            write_forged(root / name, entry["fake_periods"], kind, seconds, seed=len(entries), size=size)
            entries.append(entry)
    write_json(root / "metadata.json", entries)
    short = [{k: v for k, v in e.items() if k not in {"transcript", "timestamps"}} for e in entries]
    write_json(root / "metadata.min.json", short)
    return root


def lavdf_entry(
    name: str, split: str, kind: str, original: str | None, seconds: float, *, seed: int = 0
) -> dict[str, Any]:
    """An entry with the published fields."""
    spans = [] if kind == "real" else [list(forged_span(seconds, seed))]
    n_audio = round(seconds * SAMPLE_RATE)
    return {
        "file": name,
        "n_fakes": len(spans),
        "fake_periods": spans,
        "timestamps": [["hello", 0.0, seconds / 2], ["there", seconds / 2, seconds]],
        "duration": n_audio / SAMPLE_RATE + 0.128,
        "transcript": "hello there",
        "original": original,
        "modify_video": kind in {"visual", "both"},
        "modify_audio": kind in {"audio", "both"},
        "split": split,
        "video_frames": round(seconds * FPS),
        "audio_channels": 1,
        "audio_frames": n_audio,
    }


def write_forged(path: Path, spans: Spans, kind: str, seconds: float, *, seed: int = 0, size: int = 96) -> Path:
    """A clip in which the spans are forged in the way that the kind says."""
    audio, visual = kind in {"audio", "both"}, kind in {"visual", "both"}
    return write_test_clip(
        path, seconds, audio_spans=spans if audio else (), visual_spans=spans if visual else (), seed=seed, size=size
    )


def write_json(path: Path, value: Any) -> Path:
    """Writes the value, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def make_avdeepfake1m(
    root: Path,
    n_train: int = 4,
    n_validation: int = 2,
    n_test: int = 1,
    *,
    seconds: float = 2.0,
    facts_in: str = "list",
    size: int = 96,
) -> Path:
    """A set in AV-Deepfake1M's layout; the facts are in the "list", in a "folder" of their own or "beside" the videos.

    The test clips have no labels, only a line in test_files.txt.
    """
    seed = 0
    for split, n in (("train", n_train), ("val", n_validation)):
        entries = []
        for k in range(n):
            seed += 1
            entry = avdeepfake1m_entry(split, KINDS[k % 4], f"id{k // 4:05d}/abc{split}/00001", seconds, seed=seed)
            write_forged(
                root / split / entry["file"], entry["fake_segments"], KINDS[k % 4], seconds, seed=seed, size=size
            )
            if facts_in != "list":
                folder = root / (f"{split}_metadata" if facts_in == "folder" else split)
                write_json((folder / entry["file"]).with_suffix(".json"), entry)
            entries.append(entry)
        write_json(
            root / f"{split}_metadata.json", entries if facts_in == "list" else [{"file": e["file"]} for e in entries]
        )
    for k in range(n_test):
        write_test_clip(root / "test" / f"{k:06d}.mp4", seconds, seed=900 + k, size=size)
    (root / "test_files.txt").write_text("".join(f"{k:06d}.mp4\n" for k in range(n_test)), encoding="utf-8")
    return root


def avdeepfake1m_entry(split: str, kind: str, folder: str, seconds: float, *, seed: int = 0) -> dict[str, Any]:
    """An entry with the published fields."""
    spans = [] if kind == "real" else [list(forged_span(seconds, seed))]
    audio, visual = kind in {"audio", "both"}, kind in {"visual", "both"}
    words = {"real": "real", "audio": "real_video_fake_audio", "visual": "fake_video_real_audio"}
    return {
        "file": f"{folder}/{words.get(kind, 'fake_video_fake_audio')}.mp4",
        "original": f"{folder}/real.mp4" if kind != "real" else None,
        "split": split,
        "modify_type": "real" if kind == "real" else f"{kind}_modified",
        "audio_model": "yourtts" if audio else None,
        "fake_segments": spans,
        "audio_fake_segments": spans if audio else [],
        "visual_fake_segments": spans if visual else [],
        "video_frames": round(seconds * FPS),
        "audio_frames": round(seconds * SAMPLE_RATE),
    }


def make_dfdc(
    root: Path,
    n_parts: int = 2,
    n_real: int = 1,
    n_fake: int = 2,
    *,
    n_test: int = 2,
    n_validation: int = 0,
    seconds: float = 1.0,
    size: int = 96,
) -> Path:
    """A set in DFDC's layout: parts with n_real originals and n_fake fakes of each, folders with a labels.csv."""
    for part in range(n_parts):
        folder, entries = root / f"dfdc_train_part_{part}", {}
        for k in range(n_real):
            original = f"real{part}{k}.mp4"
            entries[original] = {"label": "REAL", "split": "train", "original": None}
            write_test_clip(folder / original, seconds, seed=100 * part + k, size=size)
            for fake in range(n_fake):
                name = f"fake{part}{k}{fake}.mp4"
                entries[name] = {"label": "FAKE", "split": "train", "original": original}
                whole = [(0.0, seconds)]
                write_test_clip(folder / name, seconds, visual_spans=whole, seed=100 * part + k, size=size)
        write_json(folder / "metadata.json", entries)
    for split, n in (("test", n_test), ("validation", n_validation)):
        rows = [f"{split}{k}.mp4,{k % 2}\n" for k in range(n)]
        for k in range(n):
            whole, seed = [(0.0, seconds)] if k % 2 else [], 900 + k + 50 * (split == "validation")
            write_test_clip(root / split / f"{split}{k}.mp4", seconds, visual_spans=whole, seed=seed, size=size)
        if n:
            (root / split / "labels.csv").write_text("filename,label\n" + "".join(rows), encoding="utf-8")
    return root


def make_forgerynet(
    root: Path, n_train: int = 2, n_validation: int = 2, *, n_frames: int = 50, fps: float = 30.0, size: int = 96
) -> Path:
    """A set in ForgeryNet's layout: silent videos, every second one with the frames 10 to 30 forged."""
    for folder, prefix, n in (("Training", "train", n_train), ("Validation", "val", n_validation)):
        lines = []
        for k in range(n):
            is_fake = k % 2 == 1
            name = f"{prefix}_video_release/{3 if is_fake else 16}/{k:032x}/{k + 1:032x}/video.mp4"
            spans = [(10 / fps, 30 / fps)] if is_fake else []
            path = root / folder / "video" / name
            write_test_clip(path, n_frames / fps, visual_spans=spans, seed=k, size=size, fps=fps, sound=False)
            stretches = f"3 {name} 0 10 0 10 20 1 30 {n_frames - 30} 0" if is_fake else f"1 {name} 0 {n_frames} 0"
            lines.append(f"{stretches} {'1 2 3' if is_fake else '0 0 16'}\n")
        if n:
            (root / folder / "video_list.txt").write_text("".join(lines), encoding="utf-8")
    return root
