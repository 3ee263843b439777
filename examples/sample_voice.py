"""Text to speech with espeak-ng and flite: the sound, and when each word and phoneme is spoken.

Both are programs of the system (`apt install espeak-ng flite`); equal text and voice give equal sound for one version
of them. What this file does not know: what is forged, and how a mouth looks.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENGINES", "SAMPLE_RATE", "Speech", "Voice", "resample", "speak", "voices"]

SAMPLE_RATE = 16000
_Phone = tuple[str, float, float]  # name, start_s, end_s
ENGINES = ("espeak-ng", "flite")

_FLITE = ("slt", "rms", "awb", "kal16", "kal")
_ACCENTS = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029", "en-us-nyc")
_VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt", "klatt2", "klatt4")
_VARIANTS_BY_NAME = ("Annie", "linda", "belinda", "steph", "Andy", "Michael", "paul", "max", "ed", "shelby")


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, and how fast."""

    engine: str  # one of ENGINES
    name: str  # "slt", "en-us+f3"
    words_per_minute: int = 140


@dataclass(frozen=True, slots=True)
class Speech:
    """Spoken words: 16 kHz mono sound, and times in seconds from its start."""

    sound: NDArray[np.float32]  # (samples,), -1..1
    phones: tuple[tuple[str, float, float], ...]  # name in the engine's own alphabet, start_s, end_s
    words: tuple[tuple[float, float], ...]  # start_s, end_s of each word of the text


def voices(engine: str) -> tuple[str, ...]:
    """Names of the voices of an engine that the samples use."""
    if engine == "flite":
        return _FLITE
    return tuple(f"{accent}+{variant}" for accent in _ACCENTS for variant in (*_VARIANTS, *_VARIANTS_BY_NAME))


@functools.lru_cache(maxsize=64)
def speak(words: tuple[str, ...], voice: Voice) -> Speech:
    """Speak the words.

    Raises:
        RuntimeError: the program is not installed (names the package), or gave nothing.
    """
    if shutil.which(voice.engine) is None:
        raise RuntimeError(f"{voice.engine} is not installed: run: apt install {voice.engine}")
    return _speak_flite(words, voice) if voice.engine == "flite" else _speak_espeak(words, voice)


def resample(sound: NDArray[np.float32], rate: int, new_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Change the sample rate by way of the spectrum (band-limited; for clips of seconds)."""
    if rate == new_rate or not len(sound):
        return sound.astype(np.float32)
    n_samples = round(len(sound) * new_rate / rate)
    spectrum = np.fft.rfft(np.pad(sound.astype(np.float64), (0, rate // 4)))  # the pad keeps the end off the start
    n_padded = round((len(sound) + rate // 4) * new_rate / rate)
    n_bins = n_padded // 2 + 1
    bins = np.zeros(n_bins, complex)
    n_kept = min(n_bins, len(spectrum))
    bins[:n_kept] = spectrum[:n_kept]
    return (np.fft.irfft(bins, n_padded)[:n_samples] * (new_rate / rate)).astype(np.float32)


def _run(command: list[str], stdin: str = "") -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "no message").strip().splitlines()[-1]
        raise RuntimeError(f"{command[0]} failed: {reason}") from error
    return done.stdout


def _speak_espeak(words: tuple[str, ...], voice: Voice) -> Speech:
    request = {"text": " ".join(words), "voice": voice.name, "rate": voice.words_per_minute}
    answer = json.loads(_run([sys.executable, str(Path(__file__).with_name("sample_espeak.py"))], json.dumps(request)))
    pcm = np.frombuffer(base64.b64decode(answer["pcm"]), "<i2")
    phones = _with_ends(answer["phones"], answer["end_s"])
    # a word that espeak-ng joins to its neighbour ("of the") has no event of its own: it starts halfway to the next
    first = np.cumsum([0, *(len(word) + 1 for word in words[:-1])])
    known = {int(np.searchsorted(first, at, "right")) - 1: start_s for at, start_s in reversed(answer["words"])}
    starts = np.interp(range(len(words)), sorted(known), [known[k] for k in sorted(known)])
    edges = [float(start_s) for start_s in starts] + [answer["end_s"]]
    spoken = tuple((start, _end_of_voice(phones, start, stop)) for start, stop in itertools.pairwise(edges))
    return Speech(resample(_floats(pcm), answer["sample_rate"]), phones, spoken)


def _speak_flite(words: tuple[str, ...], voice: Voice) -> Speech:
    # flite's slowest default pace is near 165 words a minute
    stretch = f"duration_stretch={165 / voice.words_per_minute:.3f}"
    command = ["flite", "-voice", voice.name, "--setf", stretch, "-psdur", "-t", " ".join(words)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        printed = _run([*command, "-o", str(path)])
        with wave.open(str(path)) as file:
            rate, pcm = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")
    pairs = [item.rsplit(":", 1) for item in printed.split()]
    ends = [float(end) for _, end in pairs]
    phones = tuple((name, start, end) for (name, _), start, end in zip(pairs, [0.0, *ends], ends, strict=False))
    return Speech(resample(_floats(pcm), rate), phones, _flite_words(words, voice, phones))


def _flite_words(words: tuple[str, ...], voice: Voice, phones: tuple[_Phone, ...]) -> tuple[tuple[float, float], ...]:
    """Times of the words: flite does not print them, but the phonemes of a beginning of the text can be counted."""
    voiced = [phone for phone in phones if phone[0] != "pau"]
    counts = [0]
    for k in range(1, len(words)):
        printed = _run(["flite", "-voice", voice.name, "-ps", "-t", " ".join(words[:k]), "-o", "none"]).split()
        counts.append(min(len(voiced) - 1, sum(name != "pau" for name in printed)))
    counts.append(len(voiced))
    return tuple((voiced[a][1], voiced[max(a, b - 1)][2]) for a, b in itertools.pairwise(counts))


def _floats(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return (pcm / 32768).astype(np.float32)


def _with_ends(starts: list[tuple[str, float]], end_s: float) -> tuple[_Phone, ...]:
    times = [start_s for _, start_s in starts] + [end_s]
    return tuple((name, start, end) for (name, _), start, end in zip(starts, times, times[1:], strict=False))


def _end_of_voice(phones: tuple[_Phone, ...], start_s: float, stop_s: float) -> float:
    """Where the last phoneme that begins in [start_s, stop_s) and is no pause ends."""
    spoken = [phone for phone in phones if not phone[0].startswith("_")]
    ends = [end for _, start, end in spoken if start_s - 0.005 <= start < stop_s - 0.005]
    return min(stop_s, ends[-1]) if ends else stop_s
