"""Voice programs that stay alive: one process for many texts, started again when it died, ended when it hangs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clips import tone
from fakespan.config import SAMPLE_RATE
from fakespan.errors import DataError, UsageError
from fakespan.forge.serving import LineProgram
from fakespan.forge.synth import PluginEngine

pytestmark = pytest.mark.usefixtures("one_thread")

# Speaks a tone as long as was asked for. The text says how it behaves; STARTS counts its processes.
VOICE = """
import json, os, sys, time, wave
starts, = sys.argv[1:]
open(starts, "a").write(f"{os.getpid()}\\n")
print("loading the voice ...", flush=True)
n_starts = len(open(starts).readlines())
for line in sys.stdin:
    request = json.loads(line)
    text = request["text"]
    if "die" in text or ("once" in text and n_starts == 1):
        sys.exit("a line before\\nout of memory")
    if "hang" in text:
        time.sleep(60)
    if "cannot" in text:
        print(json.dumps({"error": "no such\\nsound"}), flush=True)
        continue
    with wave.open(request["reference"]) as heard, wave.open(request["out"], "wb") as file:
        assert heard.getnframes() == 16000
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        n = int(16000 * (request["length_s"] or 0.5))
        file.writeframes(b"".join(((k * 321 + request["seed"]) % 20011 - 10000).to_bytes(2, "little", signed=True)
                                  for k in range(n)))
    print("nearly done", flush=True)
    print(json.dumps({"wav": request["out"]}), flush=True)
"""
REFERENCE = tone(1.0, SAMPLE_RATE)[0]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def starts(tmp_path) -> Path:
    return tmp_path / "starts.txt"


@pytest.fixture
def voice(tmp_path, starts) -> Iterator[PluginEngine]:
    program = tmp_path / "voice.py"
    program.write_text(VOICE, encoding="utf-8")
    engine = PluginEngine(shlex.join([sys.executable, str(program), str(starts)]), timeout_s=20.0)
    yield engine
    engine.close()


def pids(starts: Path) -> list[int]:
    return [int(line) for line in starts.read_text().splitlines()]


def test_one_process_answers_many_texts(voice, starts):
    spoken = [voice.speak(f"word {k}", REFERENCE, rng(k), length_s=0.3 + 0.1 * k) for k in range(4)]
    lengths_s = [len(sound) / SAMPLE_RATE for sound in spoken]
    np.testing.assert_allclose(lengths_s, [0.3, 0.4, 0.5, 0.6], atol=0.03)
    again = voice.speak("word 2", REFERENCE, rng(2), length_s=0.5)
    np.testing.assert_array_equal(again, spoken[2])
    assert len(pids(starts)) == 1


def test_a_program_that_died_is_started_once_more(voice, starts):
    assert len(voice.speak("at once", REFERENCE, rng()))
    assert len(pids(starts)) == 2


def test_a_program_that_was_killed_between_two_texts_is_not_missed(voice, starts):
    voice.speak("one", REFERENCE, rng())
    os.kill(pids(starts)[0], 9)
    assert len(voice.speak("two", REFERENCE, rng()))
    assert len(pids(starts)) == 2


def test_a_program_that_dies_twice_is_told_in_one_line_and_the_next_text_may_do(voice, starts):
    with pytest.raises(DataError, match=r"voice program .* exits without an answer \(out of memory\)") as caught:
        voice.speak("die", REFERENCE, rng())
    assert "\n" not in str(caught.value)
    assert len(pids(starts)) == 2
    assert len(voice.speak("nine", REFERENCE, rng()))


def test_what_a_program_cannot_say_costs_that_text_alone(voice, starts):
    with pytest.raises(DataError, match="no such sound"):
        voice.speak("cannot", REFERENCE, rng())
    assert len(voice.speak("nine", REFERENCE, rng()))
    assert len(pids(starts)) == 1


def test_a_program_that_hangs_is_ended_and_its_late_answer_is_no_other_text_s(voice, starts):
    voice.speak("one", REFERENCE, rng())
    assert voice._program is not None
    voice._program.timeout_s = 0.4
    with pytest.raises(DataError, match=r"no result within 0\.4 s"):
        voice.speak("hang", REFERENCE, rng())
    voice._program.timeout_s = 20.0
    with pytest.raises(ProcessLookupError):
        os.kill(pids(starts)[0], 0)
    assert len(voice.speak("two", REFERENCE, rng(), length_s=0.8)) / SAMPLE_RATE == pytest.approx(0.8, abs=0.03)


def test_the_program_ends_when_it_is_closed(voice, starts):
    voice.speak("one", REFERENCE, rng())
    voice.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pids(starts)[0], 0)


def test_a_program_that_is_not_there_is_told():
    with pytest.raises(DataError, match="a program that cannot be started"):
        PluginEngine("no-such-voice-program --serve").speak("nine", REFERENCE, rng())


def test_a_command_with_some_places_is_none_that_stays_alive():
    with pytest.raises(UsageError, match=r"none for \{out\}"):
        PluginEngine("say {text_file}")


def test_a_long_answer_and_two_answers_at_once_are_read_line_by_line():
    code = (
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    n = json.loads(line)['n']\n"
        "    print(json.dumps({'text': 'x' * n}) + '\\n[1, 2]\\nno object', flush=True)\n"
    )
    with LineProgram([sys.executable, "-c", code], "writer", 20.0) as program:
        assert [len(program.ask({"n": n})["text"]) for n in (200_000, 3, 70_000)] == [200_000, 3, 70_000]
