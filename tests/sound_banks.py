"""Sound banks whose twins a test can tell from the genuine sound, sample by sample; a tiny network of experts."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE, ModelConfig
from fakespan.practice.sound_bank import Recording

TINY_EXPERTS = ModelConfig(
    family="experts",
    video_encoder="mouth",
    audio_encoder="texture",
    framing="mouth",
    n_frames=32,
    max_duration=8,
    n_samples=4,
    n_features=8,
    video_widths=(8, 8, 8),
    audio_widths=(4, 4, 8),
    boundary_widths=(8, 4),
)


def speech_like(n: int, seed: int) -> Float32Array:
    """Noise that comes in syllables."""
    rng = np.random.default_rng(seed)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(n) / SAMPLE_RATE + rng.uniform(0, 6))
    return (0.1 * syllables * rng.standard_normal(n)).astype(np.float32)


def recording(name: str, kind: str, sound: Float32Array, **facts: str) -> Recording:
    """With the fields that every recording has."""
    known = {"speaker": "a", "system": "real", "family": "real"}
    return Recording(name, kind, samples=np.round(sound * 32767).astype(np.int16), **{**known, **facts})


def twins(n_speakers: int = 3, seconds: float = 5.0) -> list[Recording]:
    """Genuine recordings, and twins of two systems that are the same sound upside down."""
    made = []
    for k in range(n_speakers):
        sound = speech_like(int(seconds * SAMPLE_RATE), k)
        made.append(recording(f"real{k}", "real", sound, speaker=f"s{k}"))
        for system, family in (("hifi", "gan"), ("dac", "codec")):
            facts = {"speaker": f"s{k}", "system": system, "family": family, "real": f"real{k}"}
            made.append(recording(f"{system}{k}", "twin", -sound, **facts))
    return made


def write_wav(path: Path, sound: Float32Array) -> None:
    """16 kHz mono, whatever the file is called; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(sound * 32767).astype(np.int16).tobytes())


def write_bank(folder: Path, recordings: list[Recording]) -> Path:
    """The recordings as a bank folder: WAV files and an index."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for one in recordings:
        write_wav(folder / f"{one.name}.wav", one.sound)
        line = {
            "path": f"{one.name}.wav",
            "kind": one.kind,
            "speaker": one.speaker,
            "system": one.system,
            "family": one.family,
            "seconds": len(one.samples) / SAMPLE_RATE,
            "real": f"{one.real}.wav" if one.real else "",
            "split": one.split,
        }
        lines.append(json.dumps(line))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")
    return folder
