"""The speech that the zoo learns from and copies: an index.jsonl (path, speaker, seconds, bw_hz) or a folder."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.audio.frame import AudioFrame

from fakespan.errors import DataError
from fakespan.files import replacing
from fakespan.media.decode import read_sound
from spectra import SAMPLE_RATE

__all__ = ["Segments", "Utterance", "find_utterances", "mixed", "read_level", "resampled", "write_flac"]

_SUFFIXES = {".flac", ".wav", ".mp4", ".mpg", ".ogg", ".opus", ".m4a"}
LEVEL = 0.08  # root mean square that every network hears
Sound = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A file of one speaker. `seconds` and `bw_hz` are nan where nobody said them."""

    path: Path
    speaker: str
    seconds: float = float("nan")
    bw_hz: float = float("nan")


def find_utterances(source: Path, min_bw_hz: float = 0.0) -> list[Utterance]:
    """What an index names, a folder's own index.jsonl names, or what sound a folder holds (its folders are speakers).

    Raises:
        DataError: nothing of it is there, or an index has a line that is none.
    """
    index = source / "index.jsonl" if source.is_dir() else source
    if index.is_file():
        found = list(_indexed(index))
    else:
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in _SUFFIXES)
        found = [Utterance(path, str(path.parent.relative_to(source))) for path in files]
    found = [one for one in found if not one.bw_hz < min_bw_hz]
    if not found:
        raise DataError(source, expected="an index.jsonl or a folder of speech", got="none", remedy="run `make speech`")
    return found


def _indexed(index: Path) -> Iterator[Utterance]:
    for number, line in enumerate(index.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            path, speaker = index.parent / entry["path"], str(entry["speaker"])
            seconds = float(entry["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{index}:{number}",
                expected="an object with path, speaker and seconds",
                got=repr(line[:60]),
                remedy="make the index anew",
            ) from error
        yield Utterance(path, speaker, seconds, float(entry.get("bw_hz") or "nan"))


def mixed(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """The same, in an order drawn by `seed` in which speakers take turns for as long as they have something to say."""
    draw = random.Random(seed)
    turns: dict[str, list[Utterance]] = defaultdict(list)
    for one in sorted(utterances, key=lambda one: one.path):
        turns[one.speaker].append(one)
    for own in turns.values():
        draw.shuffle(own)
    order: list[Utterance] = []
    while turns:
        speakers = sorted(turns)
        draw.shuffle(speakers)
        for speaker in speakers:
            order.append(turns[speaker].pop())
            if not turns[speaker]:
                del turns[speaker]
    return order


def read_level(path: Path) -> tuple[Sound, float]:
    """A file's sound at 16 kHz and at LEVEL, and the gain that did it (0 for silence)."""
    sound = read_sound(path, SAMPLE_RATE)
    rms = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0
    gain = LEVEL / rms if rms > 1e-5 else 0.0
    return sound * np.float32(gain), gain


def resampled(sound: Sound, ratio: Fraction) -> Sound:
    """The sound at `ratio` times its sample rate, by its whole spectrum: no delay, length rounded up."""
    n = len(sound)
    n_new = -(-n * ratio.numerator // ratio.denominator)
    spare = -n % ratio.denominator
    padded = np.pad(sound, (0, spare))
    n_full = len(padded) * ratio.numerator // ratio.denominator
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(n_full // 2 + 1, spectrum.dtype)
    both = min(len(kept), len(spectrum))
    kept[:both] = spectrum[:both]
    return (np.fft.irfft(kept, n_full) * float(ratio))[:n_new].astype(np.float32)


class Segments:
    """Batches of stretches of speech at random levels and, for every other one, at another speed (0.75 to 1.3).

    The speed lets a network copy speech at other sample rates than its own, and hear more voices than there are.
    """

    def __init__(self, utterances: Sequence[Utterance], minutes: float, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.sounds: list[Sound] = []
        wanted = int(minutes * 60 * SAMPLE_RATE)
        for one in mixed(utterances, seed):
            sound, gain = read_level(one.path)
            if gain and len(sound) > SAMPLE_RATE:
                self.sounds.append(sound)
                wanted -= len(sound)
            if wanted <= 0:
                break
        if not self.sounds:
            raise DataError("speech", expected="utterances of a second or more", got="none", remedy="give more speech")
        lengths = np.array([len(sound) for sound in self.sounds], np.float64)
        self.shares = lengths / lengths.sum()

    def batch(self, n: int, n_samples: int) -> torch.Tensor:
        """(n, n_samples)."""
        return torch.from_numpy(np.stack([self._one(n_samples, quick=bool(i % 2)) for i in range(n)]))

    def _one(self, n_samples: int, *, quick: bool) -> Sound:
        sound = self.sounds[self.draw.choice(len(self.sounds), p=self.shares)]
        speed = self.draw.uniform(0.75, 1.3) if quick else 1.0
        n_read = min(int(n_samples * speed) + 1, len(sound))
        start = int(self.draw.integers(len(sound) - n_read + 1))
        part = sound[start : start + n_read]
        if quick:
            part = resampled(part, Fraction(n_samples, n_read))
        part = np.pad(part[:n_samples], (0, max(0, n_samples - len(part))))
        return (part * np.float32(10 ** self.draw.uniform(-0.3, 0.2))).astype(np.float32)


def write_flac(path: Path, sound: Sound) -> None:
    """Mono 16-bit FLAC at 16 kHz; what lies there is replaced when the new file is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = (np.clip(sound, -1, 1) * 32767).round().astype(np.int16)
    with replacing(path) as part, av.open(str(part), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        for start in range(0, len(whole), 4096):
            frame = AudioFrame.from_ndarray(whole[None, start : start + 4096], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
