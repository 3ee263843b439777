"""The clip that fakespan brings along, and the program that makes such clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fakespan.config import FPS, SAMPLE_RATE
from programs import load_program

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "src" / "fakespan" / "samples"
FILES = ("sample.mp4", "sample_real.mp4")


@pytest.fixture(scope="module")
def program() -> Any:
    return load_program("examples", "make_sample")


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return json.loads((SAMPLES / "sample.json").read_text(encoding="utf-8"))


def _pictures(name: str) -> list[np.ndarray]:
    with av.open(str(SAMPLES / name)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def _sound(name: str) -> np.ndarray:
    with av.open(str(SAMPLES / name)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def _coarse(picture: np.ndarray) -> np.ndarray:
    """Without the grain, which the codec draws differently each time."""
    return cv2.resize(picture.astype(np.float32), (40, 40), interpolation=cv2.INTER_AREA)


def test_the_bundled_files_are_small() -> None:
    assert sum((SAMPLES / name).stat().st_size for name in (*FILES, "sample.json")) < 1_000_000


def test_truth_lies_inside_the_clip(truth: dict[str, Any]) -> None:
    ((start_s, end_s),) = truth["fake_periods"]
    assert 0 < start_s < end_s < truth["duration"]
    assert 0.4 <= end_s - start_s <= 1.0
    assert 6 <= truth["duration"] <= 10
    assert (truth["modify_audio"], truth["modify_video"], truth["n_fakes"]) == (False, True, 1)
    assert truth["words_before"] in truth["text"]
    assert truth["words_after"] in truth["text_forged"]


@pytest.mark.parametrize("name", FILES)
def test_picture_and_sound_have_the_stated_length(name: str, truth: dict[str, Any]) -> None:
    pictures, sound = _pictures(name), _sound(name)
    assert len(pictures) == truth["video_frames"] == round(truth["duration"] * FPS)
    assert len(sound) / SAMPLE_RATE == pytest.approx(truth["duration"], abs=0.1)
    assert np.sqrt(np.mean(sound**2)) > 0.01


@pytest.mark.parametrize("name", FILES)
def test_a_face_is_found_in_the_picture(name: str) -> None:
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")  # type: ignore[attr-defined]
    found = [len(detector.detectMultiScale(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), 1.1, 5)) for p in _pictures(name)[::25]]
    assert min(found) >= 1


@pytest.mark.parametrize("name", FILES)
def test_silence_is_not_digital_zero(name: str) -> None:
    first_s = _sound(name)[SAMPLE_RATE // 20 : SAMPLE_RATE // 5]
    assert 1e-4 < np.std(first_s) < 1e-2


def test_the_bundled_clips_differ_most_inside_the_span(truth: dict[str, Any]) -> None:
    ((start_s, end_s),) = truth["fake_periods"]
    pairs = zip(*(_pictures(name) for name in FILES), strict=True)
    change = np.array([np.abs(_coarse(a) - _coarse(b)).max() for a, b in pairs])
    inside = np.zeros(len(change), bool)
    inside[int(start_s * FPS) : int(end_s * FPS)] = True
    assert np.median(change[inside]) > 3 * np.median(change[~inside])


def test_sentences_mark_one_swap_each(program: Any) -> None:
    lines = [program.parse(text) for text in program.FORGEABLE]
    assert len(lines) >= 40
    for line in lines:
        assert line.before[: line.first] == line.after[: line.first]
        assert line.before[line.first + line.n_before :] == line.after[line.first + line.n_after :]
        assert line.before != line.after


@pytest.mark.parametrize("engine", ["espeak-ng", "flite"])
@pytest.mark.slow
def test_only_the_span_is_forged(program: Any, engine: str) -> None:
    real, forged = program.make_pair(seed=3, engine=engine, size=96)
    ((start_s, end_s),) = forged.truth["fake_periods"]
    assert 0.4 <= end_s - start_s <= 1.0
    n_frames = forged.truth["video_frames"]
    assert forged.frames.shape == (n_frames, 96, 96, 3)
    assert forged.sound.shape == (n_frames * SAMPLE_RATE // FPS,)

    is_changed = (real.frames != forged.frames).any(axis=(1, 2, 3))
    assert list(np.flatnonzero(is_changed)) == list(range(int(start_s * FPS), int(end_s * FPS)))

    changed_s = np.flatnonzero(real.sound != forged.sound) / SAMPLE_RATE
    assert changed_s[0] == pytest.approx(start_s, abs=0.005)
    assert changed_s[-1] == pytest.approx(end_s, abs=0.005)
    assert len(changed_s) > 0.9 * (end_s - start_s) * SAMPLE_RATE

    assert real.truth["fake_periods"] == []
    assert all((a != b).any() for a, b in zip(real.frames, real.frames[1:], strict=False))
    assert np.abs(forged.sound).max() < 1


@pytest.mark.parametrize("kind", ["audio", "visual"])
@pytest.mark.slow
def test_one_modality_alone(program: Any, kind: str) -> None:
    real, forged = program.make_pair(seed=0, kind=kind, size=64)
    assert np.array_equal(real.frames, forged.frames) == (kind == "audio")
    assert np.array_equal(real.sound, forged.sound) == (kind == "visual")
    assert (forged.truth["modify_audio"], forged.truth["modify_video"]) == (kind == "audio", kind == "visual")


@pytest.mark.slow
def test_equal_seed_gives_an_equal_clip(program: Any) -> None:
    frames, sound, truth = program.make_clip(5, size=64)
    again_frames, again_sound, again_truth = program.make_clip(5, size=64)
    assert np.array_equal(frames, again_frames)
    assert np.array_equal(sound, again_sound)
    assert truth == again_truth
    assert not np.array_equal(sound[:1000], program.make_clip(6, size=64)[1][:1000])


@pytest.mark.slow
def test_the_program_makes_the_bundled_clip(program: Any, truth: dict[str, Any], tmp_path: Path) -> None:
    assert program.main(["--out", str(tmp_path), "--size", "64"]) == 0
    assert all((tmp_path / name).stat().st_size > 1000 for name in FILES)
    made = json.loads((tmp_path / "sample.json").read_text(encoding="utf-8"))
    assert made["text_forged"] == truth["text_forged"]
    assert np.allclose(made["fake_periods"], truth["fake_periods"], atol=0.1)  # speech programs differ by version


def test_a_missing_speech_program_is_named(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt install flite"):
        program.speak(("not", "spoken", "before"), program.Voice("flite", "slt"))


@pytest.mark.parametrize("wrong", [{"kind": "sound"}, {"engine": "festival"}, {"size": 63}])
def test_wrong_options_are_refused(program: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        program.make_pair(1, **wrong)


def test_the_mouth_closes_for_m_and_opens_for_a(program: Any) -> None:
    phones = [("pau", 0.0, 0.5), ("m", 0.5, 0.7), ("aa", 0.7, 1.0), ("uw", 1.0, 1.3)]
    closed, opened, rounded = program.mouth_track(phones, [0.57, 0.82, 1.12])
    assert closed[0] < 1
    assert opened[0] > 8
    assert rounded[1] < 0.85 < opened[1]
