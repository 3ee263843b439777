"""Speech synthesis with installed programs: espeak-ng, flite, festival, or an external plug-in.

The output is mono float32 at 16 kHz. The engines are system programs (`apt install espeak-ng flite festival`). A
plug-in, for instance a neural voice, is a command line with placeholders (see `forge.programs`):

    {text}       the text, as one argument           {text_file}  the same in a UTF-8 file
    {reference}  a wav of the speaker to imitate     {out}        where to write a wav, any rate
    {seed}       an integer: equal seeds should give equal audio (optional)
    {length_s}   target length of the words in seconds; 0: unrestricted (optional)

for instance `my-tts --say {text_file} --like {reference} --to {out}`. A program that takes `{text}` must handle texts
that begin with a dash. A command without placeholders is persistent (see `forge.serving`): for each text it reads a
line of JSON with the keys text, length_s, reference, seed and out, and answers `{"wav": PATH}` or `{"error": WHY}`.
"""

from __future__ import annotations

import functools
import math
import re
import shutil
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE
from fakespan.errors import DataError, FakespanError, UsageError
from fakespan.forge.pitch import track_pitch
from fakespan.forge.programs import fill_template, program_failed, run_program, split_template
from fakespan.forge.serving import LineProgram
from fakespan.media.decode import read_sound

__all__ = ["Engine", "PluginEngine", "choose_voice", "engines", "trim", "write_wav"]

MAX_CHARACTERS = 500
MAX_WAV_BYTES = 64 * 2**20
MAX_SPOKEN_S = 60.0
TIMEOUT_S = 30.0
PLACES = (("out",), ("text", "text_file"))  # required placeholders of a plug-in, one of each group
SENTENCE = "We were away a year ago, and the children like to watch big ships sail by the shore."


@dataclass(frozen=True)
class Engine:
    """A speech synthesis program of the system."""

    name: str
    program: str  # must be on PATH
    voices: tuple[str, ...]
    command: Callable[[str, float, float, Path, Path], list[str]]  # voice, tempo, pitch (ratios), text file, wav

    @property
    def installed(self) -> bool:
        """Whether the program is on PATH."""
        return shutil.which(self.program) is not None

    def speak(
        self,
        text: str,
        voice: str,
        rng: np.random.Generator,
        *,
        length_s: float | None = None,
        f0_hz: float | None = None,
    ) -> Float32Array:
        """Synthesise a text, (n,), without leading and trailing silence; equal arguments give equal audio.

        Args:
            text: one line of at most 500 characters.
            voice: one of `voices`.
            rng: random variation within 8 % of the tempo and a semitone of the pitch.
            length_s: target length, approximate.
            f0_hz: target median pitch, approximate, for voices that support it.

        Raises:
            UsageError: the program is not installed, or does not have the voice.
            DataError: it failed, timed out, or its output is silent.
        """
        if voice not in self.voices:
            raise UsageError(self.name, expected=f"one of {', '.join(self.voices)}", got=voice, remedy="choose a voice")
        tempo, pitch = float(np.exp(rng.normal(0, 0.03))), float(2 ** (rng.normal(0, 0.4) / 12))
        spoken = self._speak(text, voice, tempo, pitch)
        if length_s is None and f0_hz is None:
            return spoken
        said_hz = track_pitch(spoken).median_hz()
        if length_s:
            tempo *= float(np.clip(len(spoken) / SAMPLE_RATE / length_s, 0.6, 1.7))
        if f0_hz and said_hz:
            pitch *= float(np.clip(f0_hz / said_hz, 0.5, 2.0))
        return self._speak(text, voice, tempo, pitch)

    def _speak(self, text: str, voice: str, tempo: float, pitch: float) -> Float32Array:
        if not self.installed:
            got, remedy = "no such program on PATH", f"run: apt-get install {self.name}"
            raise UsageError(self.name, expected=f"the program {self.program}", got=got, remedy=remedy)
        _check_text(text, self.name)
        with tempfile.TemporaryDirectory(prefix="fakespan-") as folder:
            text_file, out = Path(folder, "text.txt"), Path(folder, "speech.wav")
            text_file.write_text(" ".join(text.split()) + "\n", encoding="utf-8")
            run_program(self.command(voice, tempo, pitch, text_file, out), self.name, TIMEOUT_S)
            return _read_wav(out, self.name)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - engines live as long as the program
    def sample(self, voice: str) -> Float32Array:
        """A sentence in that voice, to measure its timbre and pitch."""
        return self._speak(SENTENCE, voice, 1.0, 1.0)


class PluginEngine:
    """An external program that imitates a reference speaker (see the module docstring).

    Args:
        command: with placeholders, it is run for each text; without any, it is started once and receives lines of JSON.
        timeout_s: time limit per text.

    Raises:
        UsageError: required placeholders are missing.
    """

    def __init__(self, command: str, timeout_s: float = 120.0) -> None:
        self.timeout_s = timeout_s
        stays = bool(command.strip()) and not re.search(r"\{\w+\}", command)
        self._words = split_template(command, () if stays else PLACES)
        self.name = f"voice program {self._words[0]}"
        self._program = LineProgram(self._words, self.name, timeout_s) if stays else None

    def speak(
        self, text: str, reference: Float32Array, rng: np.random.Generator, *, length_s: float | None = None
    ) -> Float32Array:
        """Synthesise a text in the voice of the reference, (n,), without leading and trailing silence.

        Args:
            text: the text to say.
            reference: (n,) speech of the speaker to imitate.
            rng: source of the program's seed.
            length_s: target length of the words; programs may ignore it.

        Raises:
            DataError: the program was not found, failed, timed out, or returned no audio.
        """
        _check_text(text, self.name)
        with tempfile.TemporaryDirectory(prefix="fakespan-") as folder:
            sample, out = Path(folder, "reference.wav"), Path(folder, "out.wav")
            write_wav(sample, reference)
            request = {"text": text, "length_s": length_s, "reference": str(sample), "seed": int(rng.integers(2**31))}
            return _read_wav(self._ask(request, out), self.name)

    def _ask(self, request: dict[str, Any], out: Path) -> Path:
        if self._program is not None:
            answer = self._program.ask({**request, "out": str(out)})
            return Path(str(answer.get("wav", "")))
        text_file = out.with_name("text.txt")
        text_file.write_text(request["text"], encoding="utf-8")
        places = {**request, "length_s": f"{request['length_s'] or 0:.3f}", "out": out, "text_file": text_file}
        command = fill_template(self._words, {place: str(value) for place, value in places.items()})
        run_program(command, self.name, self.timeout_s)
        return out

    def close(self) -> None:
        """Terminate a persistent program."""
        if self._program is not None:
            self._program.close()


def engines() -> tuple[Engine, ...]:
    """The installed engines, in a fixed order."""
    return tuple(engine for engine in ENGINES if engine.installed)


def choose_voice(
    among: Sequence[Engine], f0_hz: float | None, rng: np.random.Generator, n_tried: int = 4
) -> tuple[Engine, str]:
    """Of a few random voices, the engine and voice whose pitch is closest to a speaker's.

    Raises:
        UsageError: there is no engine.
        DataError: an engine fails.
    """
    if not among:
        remedy = f"run: apt-get install {' '.join(engine.name for engine in ENGINES)}"
        raise UsageError("speech synthesis", expected="an installed engine", got="none", remedy=remedy)
    engine = among[int(rng.integers(len(among)))]
    tried = [engine.voices[k] for k in rng.permutation(len(engine.voices))[:n_tried]]
    if not f0_hz:
        return engine, tried[0]

    def distance(voice: str) -> float:
        own_hz = track_pitch(engine.sample(voice)).median_hz()
        return abs(math.log(own_hz / f0_hz)) if own_hz else math.inf

    return engine, min(tried, key=distance)


def trim(sound: Float32Array, keep_s: float = 0.015) -> Float32Array:
    """Trim leading and trailing near-silence (33 dB below the loudest 10 ms; engines leave a hum).

    >>> len(trim(np.r_[np.zeros(8000), np.ones(1600), np.zeros(8000)].astype(np.float32), keep_s=0))
    1600
    """
    power = np.mean(np.pad(sound, (0, -len(sound) % 160)).reshape(-1, 160) ** 2, axis=1)
    spoken = np.flatnonzero(power > 10**-3.3 * power.max(initial=0.0))
    if not len(spoken):
        return sound[:0]
    keep = round(keep_s * SAMPLE_RATE)
    return sound[max(0, spoken[0] * 160 - keep) : (spoken[-1] + 1) * 160 + keep]


def write_wav(path: Path, sound: Float32Array) -> None:
    """Write 16-bit mono at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(np.nan_to_num(sound), -1, 1) * 32767).astype("<i2").tobytes())


def _check_text(text: str, name: str) -> None:
    if not text.strip() or len(text) > MAX_CHARACTERS or "\0" in text:
        got = "a zero character" if "\0" in text else f"{len(text)} characters" if text.strip() else "an empty text"
        raise DataError(name, expected=f"a text of 1 to {MAX_CHARACTERS} characters", got=got, remedy="remove it")


def _read_wav(path: Path, name: str) -> Float32Array:
    """Read the speech in a file, without surrounding silence.

    Raises:
        DataError: there is none, or too much.
    """
    if not path.is_file() or not 0 < path.stat().st_size <= MAX_WAV_BYTES:
        raise program_failed(name, "no sound file, or one that is too large")
    try:
        sound = np.nan_to_num(read_sound(path)).astype(np.float32)
    except FakespanError as error:
        raise program_failed(name, f"a file that is not audio ({error.got})") from error
    spoken = trim(sound)
    if not len(spoken) or len(sound) > MAX_SPOKEN_S * SAMPLE_RATE:
        raise program_failed(name, "silence" if not len(spoken) else f"{len(sound) / SAMPLE_RATE:.0f} s of sound")
    return spoken


def _espeak(voice: str, tempo: float, pitch: float, text_file: Path, out: Path) -> list[str]:
    words_a_minute = round(float(np.clip(160 * tempo, 80, 400)))
    height = round(float(np.clip(50 + 50 * math.log2(pitch), 0, 99)))  # 50 steps an octave
    settings = ["-v", voice, "-s", str(words_a_minute), "-p", str(height)]
    return ["espeak-ng", *settings, "-f", str(text_file), "-w", str(out)]


def _flite(voice: str, tempo: float, pitch: float, text_file: Path, out: Path) -> list[str]:
    settings = ["--setf", f"duration_stretch={1 / tempo:.3f}"]
    if voice in _FLITE_HZ:  # the statistical voices have a fixed pitch
        settings += ["--setf", f"int_f0_target_mean={_FLITE_HZ[voice] * pitch:.1f}"]
    return ["flite", "-voice", voice, *settings, "-f", str(text_file), "-o", str(out)]


def _festival(voice: str, tempo: float, pitch: float, text_file: Path, out: Path) -> list[str]:
    program = [
        f"(voice_{voice})",
        f"(Parameter.set 'Duration_Stretch {1 / tempo:.3f})",
        f"(set! int_lr_params '((target_f0_mean {105 * pitch:.1f}) (target_f0_std 14)"
        " (model_f0_mean 170) (model_f0_std 34)))",
    ]
    return ["text2wave", *(part for line in program for part in ("-eval", line)), "-o", str(out), str(text_file)]


_FLITE_HZ = {"kal": 95.0, "kal16": 95.0}
_ESPEAK_VOICES = tuple(
    f"{accent}+{variant}"
    for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp")
    for variant in ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")
)
ENGINES = (
    Engine("espeak-ng", "espeak-ng", _ESPEAK_VOICES, _espeak),
    Engine("flite", "flite", ("slt", "rms", "awb", "kal16", "kal"), _flite),
    Engine("festival", "text2wave", ("kal_diphone",), _festival),
)
