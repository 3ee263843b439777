"""The program that makes a data set in LAV-DF's layout: its plan, and what it writes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakespan.config import FPS, SAMPLE_RATE
from fakespan.data.manifest import load_manifest
from fakespan.data.sets import open_set
from programs import load_program

PUBLISHED = {
    *("file", "n_fakes", "fake_periods", "duration", "original", "modify_video", "modify_audio", "split"),
    *("video_frames", "audio_channels", "audio_frames"),
}
OPTIONS = {"count": 4, "seed": 5, "size": 96, "seconds": 2.0}


@pytest.fixture(scope="module")
def program() -> Any:
    return load_program("examples", "make_set")


@pytest.fixture(scope="module")
def made(program: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    program.make_set(folder, program.Options(**OPTIONS))
    return folder


def _entries(folder: Path, name: str = "metadata.json") -> list[dict[str, Any]]:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _kind(entry: dict[str, Any]) -> str:
    return {(0, 0): "real", (1, 0): "audio", (0, 1): "visual", (1, 1): "both"}[
        entry["modify_audio"], entry["modify_video"]
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 30, 61, 600])
def test_a_plan_names_every_clip_once_and_keeps_a_take_in_one_split(program: Any, count: int) -> None:
    takes = program.plan(count, seed=3)
    files = [entry.file for take in takes for entry in take.entries]
    assert len(files) == len(set(files)) == count
    assert len({take.seed for take in takes}) == len(takes)
    for take in takes:
        assert Counter(entry.kind for entry in take.entries).most_common(1)[0][1] == 1
        assert take.original in files
        assert {entry.file.split("/")[0] for entry in take.entries} == {take.split}


def test_a_plan_has_the_shares_of_lavdf_and_of_the_splits(program: Any) -> None:
    takes = program.plan(600, seed=0)
    kinds = Counter(entry.kind for take in takes for entry in take.entries)
    assert {kind: round(100 * n / 600) for kind, n in kinds.items()} == pytest.approx(
        {"real": 27, "audio": 24, "visual": 25, "both": 24}, abs=0.5
    )
    splits = Counter(take.split for take in takes)
    assert [round(splits[split] / len(takes), 2) for split in ("train", "dev", "test")] == [0.6, 0.2, 0.2]


@pytest.mark.parametrize("n_takes", [3, 4, 7])
def test_three_takes_are_enough_for_three_splits(program: Any, n_takes: int) -> None:
    assert len({take.split for take in program.plan(4 * n_takes, seed=n_takes)}) == 3


def test_equal_seeds_give_equal_plans(program: Any) -> None:
    assert program.plan(40, 1) == program.plan(40, 1) != program.plan(40, 2)


@pytest.mark.slow
def test_the_fields_are_the_published_ones(made: Path) -> None:
    whole, least = _entries(made), _entries(made, "metadata.min.json")
    assert [set(entry) for entry in least] == [PUBLISHED] * 4
    assert [{field: entry[field] for field in PUBLISHED} for entry in whole] == least
    assert sorted(_kind(entry) for entry in whole) == ["audio", "both", "real", "visual"]
    for entry in whole:
        assert (entry["original"] is None) == (entry["n_fakes"] == 0) == (entry["fake_periods"] == [])
        assert entry["duration"] == entry["video_frames"] / 25 == entry["audio_frames"] / 16_000 == OPTIONS["seconds"]
        for start_s, end_s in entry["fake_periods"]:
            assert 0 < start_s < end_s < entry["duration"]


@pytest.mark.slow
def test_the_files_play_and_are_as_long_as_stated(made: Path) -> None:
    manifest = load_manifest(f"lavdf:{made}")
    assert manifest.problems == ()
    clips = open_set(f"lavdf:{made}")
    for k, sample in enumerate(clips.samples):
        example = clips[k]
        assert len(example.faces) == sample.n_frames == OPTIONS["seconds"] * FPS
        assert example.has_picture
        assert example.has_sound
        assert np.sqrt(np.mean(example.sound**2)) > 0.01
        assert example.spans == sample.spans


@pytest.mark.slow
def test_a_forged_clip_differs_from_its_real_twin_inside_the_span(made: Path) -> None:
    clips = open_set(f"lavdf:{made}")
    of_kind = {sample.kind: clips[k] for k, sample in enumerate(clips.samples)}
    real = of_kind.pop("real")
    for example in of_kind.values():
        assert _changes_inside(_mouth(example.faces) - _mouth(real.faces), FPS, example.visual_spans)
        assert _changes_inside(example.sound - real.sound, SAMPLE_RATE, example.audio_spans)


def _mouth(faces: np.ndarray) -> np.ndarray:
    """Brightness of the lower face in large blocks, which coding noise does not change."""
    return faces[:, 48:80, 24:72].astype(np.float32).mean(-1).reshape(-1, 4, 8, 4, 12).mean((2, 4))


def _changes_inside(change: np.ndarray, rate: float, spans: tuple[tuple[float, float], ...]) -> bool:
    """Whether a difference lies in the spans: without a span it is small everywhere."""
    power = np.abs(change).reshape(len(change), -1).mean(1)
    is_inside = np.zeros(len(power), bool)
    for start_s, end_s in spans:
        is_inside[int(start_s * rate) : int(end_s * rate)] = True
    if not spans:
        return bool(power.max() < 1.5)
    return bool(power[is_inside].mean() > 3 * power[~is_inside].mean())


@pytest.mark.slow
def test_what_is_there_is_kept_and_what_lacks_is_made_again(
    program: Any, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _entries(made)
    times = {path: path.stat().st_mtime_ns for path in made.glob("*/*.mp4")}
    (made / "metadata.json").unlink()
    with monkeypatch.context() as without_speech:
        without_speech.setattr(program, "make_pair", None)
        program.make_set(made, program.Options(**OPTIONS))
    assert {path: path.stat().st_mtime_ns for path in made.glob("*/*.mp4")} == times
    assert _entries(made) == before

    damaged = made / before[0]["file"]
    whole = damaged.stat().st_size
    damaged.write_bytes(damaged.read_bytes()[:1000])
    program.make_set(made, program.Options(**OPTIONS))
    assert damaged.stat().st_size == pytest.approx(whole, rel=0.2)
    assert _entries(made) == before
    assert not list(made.rglob(".*-*.mp4"))


@pytest.mark.slow
def test_a_folder_holds_one_set_only(program: Any, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(made), "--count", "5"]) == 1
    assert "another folder" in capsys.readouterr().err


def test_the_window_holds_the_span_wherever_it_lies(program: Any) -> None:
    for seed in range(200):
        start_s = np.random.default_rng(seed).uniform(0.2, 5.0)
        truth = {"video_frames": 160, "fake_periods": [[start_s, start_s + 0.9]]}
        window = program._window(truth, seed, 2.0)
        assert window.stop - window.start == 50
        assert 0 <= window.start / 25 < start_s
        assert start_s + 0.9 < window.stop / 25 <= 160 / 25
    assert program._window(truth, 0, None) == program._window(truth, 0, 60.0) == slice(0, 160)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(["--count", "0"], "count"), (["--size", "97"], "size"), (["--seconds", "1"], "seconds"), (["--seed=-1"], "seed")],
)
def test_wrong_options_are_refused(
    program: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], named: str
) -> None:
    assert program.main([str(tmp_path / "set"), *wrong]) == 1
    assert named in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_missing_speech_program_is_named(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert program.main([str(tmp_path), "--count", "1", "--seed", "7", "--workers", "1"]) == 1
    assert "apt install" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.mp4"))
