"""Synthesised words: as asked for, always the same; programs that fail, hang or lie are named; text stays text."""

from __future__ import annotations

import math
import shlex
import sys
import time
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clips import tone
from fakespan.config import SAMPLE_RATE
from fakespan.errors import DataError, UsageError
from fakespan.forge import synth
from fakespan.forge.pitch import track_pitch
from fakespan.forge.programs import fill_template, run_program, split_template
from fakespan.forge.synth import ENGINES, Engine, PluginEngine, choose_voice, engines, trim, write_wav
from fakespan.media.decode import read_sound

pytestmark = pytest.mark.usefixtures("one_thread")

PROGRAM = Path(__file__).parent / "plugins" / "voice.py"
HERE = engines()  # what this machine has; the made engine below is everywhere

MADE_HZ = {"low": 90.0, "high": 210.0}
MADE_CODE = """
import array, sys, wave
hz, tempo, text, out = float(sys.argv[1]), float(sys.argv[2]), open(sys.argv[3]).read().strip(), sys.argv[4]
n = int(16000 * 0.08 * len(text) / tempo)
with wave.open(out, "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    saw = (int(16000 * ((k * hz / 16000) % 1 - 0.5)) for k in range(n))
    file.writeframes(array.array("h", saw).tobytes())
"""


def made_command(voice: str, tempo: float, pitch: float, text_file: Path, out: Path) -> list[str]:
    return [sys.executable, "-c", MADE_CODE, str(MADE_HZ[voice] * pitch), str(tempo), str(text_file), str(out)]


MADE = Engine("made", sys.executable, tuple(MADE_HZ), made_command)
CASES = [pytest.param(engine, id=engine.name) for engine in (*HERE, MADE)]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def plugin(*flags: str, text: str = "{text}", timeout_s: float = 20.0) -> PluginEngine:
    words = (sys.executable, str(PROGRAM), text, "{reference}", "{out}", *flags)
    return PluginEngine(shlex.join(words), timeout_s)


REFERENCE = tone(1.0, SAMPLE_RATE)[0]


@pytest.mark.parametrize("engine", CASES)
def test_an_engine_speaks_and_says_the_same_again(engine):
    spoken = engine.speak("good morning", engine.voices[0], rng(1))
    assert spoken.dtype == np.float32
    assert 0.3 < len(spoken) / SAMPLE_RATE < 2.5
    assert 0.01 < np.abs(spoken).max() <= 1.0
    np.testing.assert_array_equal(spoken, engine.speak("good morning", engine.voices[0], rng(1)))
    assert len(engine.speak("good morning to all of you", engine.voices[0], rng(1))) > 1.4 * len(spoken)


@pytest.mark.parametrize("engine", CASES)
def test_an_engine_follows_the_length_and_pitch_asked_for(engine):
    voice = engine.voices[0]
    long = engine.speak("never mind", voice, rng(), length_s=0.9)
    assert len(long) / SAMPLE_RATE == pytest.approx(0.9, rel=0.3)
    if engine.name != "flite":  # its first voices know one pitch only
        own_hz = track_pitch(engine.sample(voice)).median_hz()
        low, high = (
            track_pitch(engine.speak("never mind", voice, rng(), f0_hz=own_hz * r)).median_hz() for r in (0.8, 1.25)
        )
        assert 1.2 < high / low < 2.2


def test_hostile_text_is_only_spoken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for engine in (*HERE, MADE):
        for text in ('-o nine"; touch owned; echo "', "$(touch owned) `touch owned`\n--version"):
            assert len(engine.speak(text, engine.voices[0], rng()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "  \n ", "a\0b", "word " * 200])
def test_text_that_nobody_can_speak_is_refused(text):
    for speak in (lambda: MADE.speak(text, "low", rng()), lambda: plugin().speak(text, REFERENCE, rng())):
        with pytest.raises(DataError, match="expected a text of 1 to 500 characters"):
            speak()


def test_an_engine_that_is_not_installed_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert engines() == ()
    for engine in ENGINES:
        with pytest.raises(UsageError, match=f"run: apt-get install {engine.name}"):
            engine.speak("nine", engine.voices[0], rng())
    with pytest.raises(UsageError, match="run: apt-get install espeak-ng flite festival"):
        choose_voice(engines(), 120.0, rng())


def test_an_unknown_voice_is_named():
    with pytest.raises(UsageError, match="expected one of low, high, got shrill"):
        MADE.speak("nine", "shrill", rng())


def test_the_voice_nearest_to_the_speaker_is_chosen():
    assert choose_voice([MADE], 100.0, rng()) == (MADE, "low")
    assert choose_voice([MADE], 190.0, rng()) == (MADE, "high")
    assert choose_voice([MADE], None, rng(3)) == choose_voice([MADE], None, rng(3))


def test_a_program_of_the_system_that_fails_is_told():
    broken = replace(MADE, command=lambda *given: [sys.executable, "-c", "import sys; sys.exit('no voice data')"])
    with pytest.raises(DataError, match=r"made: .*exit code 1 \(no voice data\)"):
        broken.speak("nine", "low", rng())


@pytest.mark.parametrize("place", ["{text}", "{text_file}"])
def test_a_plug_in_speaks(place):
    spoken = plugin(text=place).speak("twelve words", REFERENCE, rng())
    assert spoken.dtype == np.float32
    assert len(spoken) / SAMPLE_RATE == pytest.approx(0.72, abs=0.05)
    assert np.abs(spoken).max() == pytest.approx(np.abs(REFERENCE).max(), rel=0.05)  # it heard the reference
    np.testing.assert_array_equal(spoken, plugin(text=place).speak("twelve words", REFERENCE, rng()))


@pytest.mark.parametrize(
    "text", ["; rm -rf ~ #", 'it\'s "quoted"', "two\nlines\ttabs", "$(id) `id` {out} {seed}", "naïve 零 \\"]
)
def test_a_plug_in_gets_the_text_as_it_is(text, tmp_path, monkeypatch):
    kept: dict[str, str] = {}
    monkeypatch.setattr(
        synth, "_read_wav", lambda out, name: kept.update(said=(out.parent / "said.txt").read_text("utf-8"))
    )
    for place in ("{text}", "{text_file}"):
        kept.clear()
        plugin(text=place).speak(text, REFERENCE, rng())
        assert kept == {"said": text}


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--fail", r"exit code 1 \(no such speaker\)"),
        ("--nothing", "no sound file"),
        ("--silent", "got silence"),
        ("--noise", "a file that is not audio"),
    ],
)
def test_a_plug_in_that_fails_is_told(flag, said):
    with pytest.raises(DataError, match=said) as caught:
        plugin(flag).speak("nine", REFERENCE, rng())
    assert "voice program" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plug_in_that_hangs_is_ended():
    began = time.monotonic()
    with pytest.raises(DataError, match=r"no result within 0\.4 s"):
        plugin("--hang", timeout_s=0.4).speak("nine", REFERENCE, rng())
    assert time.monotonic() - began < 30  # the program itself sleeps a minute


def test_the_children_of_a_program_that_hangs_end_too(tmp_path):
    child = "import time, pathlib, sys; time.sleep(1.2); pathlib.Path(sys.argv[1]).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, sys.argv[1]])"
    with pytest.raises(DataError, match="no result within"):
        run_program([sys.executable, "-c", parent, str(tmp_path / "late")], "parent", 0.5)
    time.sleep(1.2)
    assert not (tmp_path / "late").exists()


def test_a_plug_in_that_is_not_there_is_told():
    with pytest.raises(DataError, match="a program that cannot be started"):
        PluginEngine("no-such-voice-program {text} {out}").speak("nine", REFERENCE, rng())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("say {text}", "none for {out}"),
        ("say {out}", "none for {text} or {text_file}"),
        ("say 'x {text} {out}", "correct its quotes"),
        ("", "none for {out}"),
    ],
)
def test_a_template_without_its_places_is_refused(command, said):
    with pytest.raises(UsageError, match=said):
        PluginEngine(command)


def test_places_are_filled_once_and_stay_in_their_argument():
    words = split_template("say --to={out} '{text} {seed}' {other}", [("out",), ("text",)])
    filled = fill_template(words, {"out": "{text}", "text": "a b", "seed": "1"})
    assert filled == ["say", "--to={text}", "a b 1", "{other}"]


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    plugin().speak("nine", REFERENCE, rng())
    MADE.speak("nine", "low", rng())
    with pytest.raises(DataError):
        plugin("--fail").speak("nine", REFERENCE, rng())
    assert list(tmp_path.iterdir()) == []


def test_trimming_keeps_the_speech():
    speech = np.concatenate([np.zeros(5000), REFERENCE[:3000], 1e-4 * np.ones(7000)]).astype(np.float32)
    kept = trim(speech)
    assert 3000 <= len(kept) <= 3000 + 2 * (240 + 160)
    assert math.isclose(float(np.sum(kept.astype(float) ** 2)), float(np.sum(speech.astype(float) ** 2)), rel_tol=1e-3)
    assert len(trim(np.zeros(4000, np.float32))) == 0
    assert len(trim(np.zeros(0, np.float32))) == 0


def test_a_wav_written_is_a_wav_read(tmp_path):
    write_wav(tmp_path / "a.wav", np.array([0.5, -2.0, np.nan, 2.0] * 800, np.float32))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav")[:4], [0.5, -1.0, 0.0, 1.0], atol=1e-3)
