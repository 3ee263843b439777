"""The program that makes a data set in DFDC's layout: its plan, and what it writes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakespan.data.dfdc import held_out
from fakespan.data.manifest import load_manifest
from fakespan.data.sets import open_set
from fakespan.media.probe import probe
from programs import load_program

OPTIONS = {"count": 6, "seed": 3, "size": 96, "seconds": 1.2}


@pytest.fixture(scope="module")
def program() -> Any:
    return load_program("examples", "make_dfdc")


@pytest.fixture(scope="module")
def made(program: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program.make_set(tmp_path_factory.mktemp("made"), program.Options(**OPTIONS))


def _truth(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each clip in its part's metadata."""
    found = {}
    for path in sorted(folder.glob("dfdc_train_part_*/metadata.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


# -- the plan


@pytest.mark.parametrize(
    ("count", "fakes_per_real"), [(1, 1), (2, 1), (3, 1), (6, 1), (7, 5), (90, 1), (91, 5), (64, 3)]
)
def test_a_plan_names_every_clip_once_and_keeps_a_take_together(program: Any, count: int, fakes_per_real: int) -> None:
    takes = program.plan(program.Options(count=count, fakes_per_real=fakes_per_real))
    files = [file for take in takes for file in take.files]
    assert len(set(files)) == len({Path(file).name for file in files}) == count
    assert len({take.seed for take in takes}) == len(takes)
    for take in takes:
        assert len(take.fakes) <= fakes_per_real
        assert {Path(file).parent.name for file in take.files} == {take.folder}
        assert (take.folder == "test") == (take.split == "test")


def test_the_loader_holds_out_what_the_plan_wants_for_validation(program: Any) -> None:
    takes = program.plan(program.Options(count=120))
    n_takes = Counter(take.split for take in takes)
    assert n_takes == {"train": 30, "validation": 15, "test": 15}
    for take in takes:
        if take.split != "test":
            assert held_out(take.original) == (take.split == "validation")


def test_the_shares_of_dfdc_can_be_had(program: Any) -> None:
    takes = program.plan(program.Options(count=600, fakes_per_real=5))
    assert (len(takes), {len(take.fakes) for take in takes}) == (100, {5})


def test_equal_options_give_equal_plans(program: Any) -> None:
    one, two, other = (program.plan(program.Options(count=40, seed=seed)) for seed in (1, 1, 2))
    assert one == two != other


# -- the set


@pytest.mark.slow
def test_the_set_loads_as_dfdc_does(made: Path) -> None:
    manifest = load_manifest(f"dfdc:{made}")
    assert manifest.problems == ()
    kinds = Counter((sample.split, sample.is_fake) for sample in manifest.samples)
    assert kinds == {(split, fake): 1 for split in ("train", "validation", "test") for fake in (False, True)}
    for name, facts in _truth(made).items():
        assert set(facts) == {"label", "split", "original"}
        assert facts["split"] == "train"
        assert (facts["label"] == "REAL") == (facts["original"] is None)
        assert facts["original"] in {None, *_truth(made)} - {name}
    with (made / "test" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [set(row) for row in rows] == [{"filename", "label"}] * 2
    assert sorted(row["label"] for row in rows) == ["0", "1"]


@pytest.mark.slow
def test_length_codec_and_loudness_do_not_tell_the_kinds_apart(made: Path) -> None:
    clips = open_set(f"dfdc:{made}", faces="whole")
    facts = [probe(sample.path) for sample in clips.samples]
    assert {(f.width, f.height, f.fps, f.video_codec, f.audio_codec, f.sample_rate) for f in facts} == {
        (96, 96, 30.0, "h264", "aac", 16_000)
    }
    assert len({round(f.duration_s, 2) for f in facts}) == 1
    assert {len(clips[k].faces) for k in range(6)} == {30}
    loudness = {s.name: np.sqrt(np.mean(clips[k].sound ** 2)) for k, s in enumerate(clips.samples)}
    for name, facts_of in _truth(made).items():
        if facts_of["original"]:
            assert loudness[name] == pytest.approx(loudness[facts_of["original"]], rel=0.05)


@pytest.mark.slow
def test_a_fake_has_another_face_in_every_frame_and_the_same_ground(made: Path) -> None:
    clips = open_set(f"dfdc:{made}", faces="whole")
    by_name = {sample.name: clips[k] for k, sample in enumerate(clips.samples)}
    for name, facts in _truth(made).items():
        if facts["label"] == "FAKE":
            fake, real = by_name[name], by_name[facts["original"]]
            change = np.abs(fake.faces.astype(np.float32) - real.faces).mean(-1)
            face, corner = change[:, 35:75, 30:66].mean((1, 2)), change[:, :12, :12].mean((1, 2))
            assert (face > 1.5 * corner).all()  # coding noise is everywhere
            assert face.min() > 1.5
            assert fake.spans == ((0.0, 1.2),)


def test_a_voice_is_changed_from_begin_to_end_at_the_same_level(program: Any) -> None:
    from sample_swap import swap_voice

    time_s = np.arange(32_000) / 16_000
    sound = sum(np.sin(2 * np.pi * 120 * k * time_s + k) / k for k in range(1, 20)).astype(np.float32) * 0.05
    for seed in range(6):
        swapped = swap_voice(sound, np.random.default_rng(seed))
        pieces = np.abs(swapped - sound).reshape(10, -1).max(1)
        assert swapped.shape == sound.shape
        assert pieces.min() > 0.01
        assert np.std(swapped) == pytest.approx(np.std(sound), rel=0.1)


@pytest.mark.slow
def test_what_is_there_is_kept_and_what_lacks_is_made_again(
    program: Any, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, clips = _truth(made), sorted(made.glob("*/*.mp4"))
    times = {path: path.stat().st_mtime_ns for path in clips}
    (made / "test" / "labels.csv").unlink()
    with monkeypatch.context() as without_speech:
        without_speech.setattr(program, "record", None)
        program.make_set(made, program.Options(**OPTIONS))
    assert {path: path.stat().st_mtime_ns for path in made.glob("*/*.mp4")} == times
    assert (made / "test" / "labels.csv").exists()

    whole = clips[0].read_bytes()
    clips[0].write_bytes(whole[:1000])
    program.make_set(made, program.Options(**OPTIONS))
    assert clips[0].read_bytes() == whole  # the same seed, the same clip
    assert _truth(made) == before
    assert sorted(made.glob("*/*.mp4")) == clips


@pytest.mark.slow
def test_a_folder_holds_one_set_only(program: Any, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(made), "--count", "5"]) == 1
    assert "another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--count", "0"], "count"), (["--size", "97"], "size"), (["--seconds", "0"], "seconds"),
        (["--seed=-1"], "seed"), (["--fps", "24"], "fps"), (["--fakes-per-real", "0"], "fakes_per_real"),
    ],
)  # fmt: skip
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
