"""Practice forgeries as a set to train on, and the real clips they are made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fakespan.data.example import Example
from fakespan.errors import ConfigError, DataError, UsageError
from fakespan.forge.bank import Clip
from fakespan.forge.practice import PracticeConfig
from fakespan.train import (
    ClipsConfig,
    PracticeSet,
    find_clips,
    load_clips,
    load_run_config,
    open_data,
    practice_data,
    train,
)
from fakespan.train import data as data_module
from fakespan.train import practice as practice_module
from tiny_training import losses, tiny_run

RUN = dataclasses.replace(tiny_run(), practice=PracticeConfig(n_frames=16, mean_span_s=0.25, std_span_s=0.05))


def clip(k: int) -> Clip:
    rng = np.random.default_rng(k)
    faces = np.repeat(rng.integers(60, 200, (1, 32, 32, 3), np.uint8), 24, axis=0)
    return Clip(f"folder{k % 2}/{k}.mp4", str(k), faces, (0.1 * rng.standard_normal(24 * 640)).astype(np.float32))


CLIPS = [clip(0), clip(1), clip(2)]


def test_an_example_depends_on_the_seed_and_its_number_alone():
    examples = PracticeSet(CLIPS, RUN.practice, 1, 10)
    later = PracticeSet(CLIPS, RUN.practice, 1, 99)
    assert (len(examples), len(later)) == (10, 99)
    other = PracticeSet(CLIPS, RUN.practice, 2, 10)
    _ = later[7]
    np.testing.assert_array_equal(examples[3].faces, later[3].faces)
    np.testing.assert_array_equal(examples[3].sound, later[3].sound)
    assert not np.array_equal(examples[3].sound, other[3].sound)


def test_folders_are_drawn_with_equal_chance(monkeypatch):
    monkeypatch.setattr(practice_module, "make_example", lambda clips, which, practice, rng, framing: clips[which].name)
    names = [Clip(f"many/{k}", "", np.zeros(0), np.zeros(0)) for k in range(9)]
    drawn = PracticeSet([*names, Clip("few/0", "", np.zeros(0), np.zeros(0))], RUN.practice, 0, 400)
    share = np.mean([str(drawn[k]).startswith("few") for k in range(400)])
    assert 0.4 < share < 0.6


# --- clips ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.mp4", "a/2.mp4", "a/3.mp4", "b/4.mpg", "b/4.align", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def found(root: Path, **patterns) -> dict[str, list[str]]:
    splits = find_clips(root, ClipsConfig(**patterns))
    return {split: [p.relative_to(root).as_posix() for p in paths] for split, paths in splits.items()}


def test_what_later_splits_name_is_not_trained_on(folder):
    splits = found(folder, train=("a/*", "b/*"), validation=("a/2*",), test=("a/3*",))
    assert splits == {"train": ["a/1.mp4", "b/4.mpg"], "validation": ["a/2.mp4"], "test": ["a/3.mp4"]}


def test_folders_and_label_files_are_no_clips(folder):
    assert found(folder, train=("**/*",))["train"] == ["a/1.mp4", "a/2.mp4", "a/3.mp4", "b/4.mpg"]


@pytest.mark.parametrize("pattern", ["c/*", "b/*.txt"])
def test_a_pattern_without_clips_is_refused(folder, pattern):
    with pytest.raises(DataError, match=r"fit .* \(train\)"):
        found(folder, train=("a/*", pattern))


def test_a_clip_in_validation_and_test_is_refused(folder):
    with pytest.raises(DataError, match=r"2\.mp4: expected a clip in one split only"):
        found(folder, train=("a/*",), validation=("a/2*",), test=("a/[23]*",))


def test_a_split_without_clips_is_named(folder, tmp_path):
    run = dataclasses.replace(RUN, clips=ClipsConfig(train=("a/*",)))
    with pytest.raises(DataError, match="clips for validation"):
        load_clips(run, folder, tmp_path / "cache", ("train", "validation"))


def test_clips_are_loaded_split_by_split_with_progress(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(practice_module, "load_bank", lambda files, cache, told: [path.name for path in told(files)])
    run = dataclasses.replace(RUN, clips=ClipsConfig(train=("a/*",), validation=("b/*",)))
    told = []
    clips = load_clips(run, folder, tmp_path, ("train", "validation"), lambda *what: told.append(what))
    assert clips == {"train": ["1.mp4", "2.mp4", "3.mp4"], "validation": ["4.mpg"]}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


# --- config ---


def test_a_config_file_is_read_and_a_misspelt_key_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[train]\nn_steps = 3\n[practice]\nkinds = [1, 1, 0, 0]\n')
    run = load_run_config(path)
    assert (run.name, run.train.n_steps, run.practice.kinds) == ("x", 3, (1, 1, 0, 0))
    path.write_text("[train]\nn_step = 3\n")
    with pytest.raises(ConfigError, match="n_steps"):
        load_run_config(path)


def test_a_run_on_practice_forgeries_takes_one_after_the_other(tmp_path, monkeypatch):
    made = []

    def noted(clips, which, practice, rng, framing):
        made.append(clips[which].name)
        return Example(clips[which].name, np.zeros((16, 96, 96, 3), np.uint8), np.zeros(16 * 640, np.float32))

    monkeypatch.setattr(practice_module, "make_example", noted)
    data = practice_data(RUN, CLIPS, CLIPS[:1])
    assert (data.is_endless, len(data.validation), len(data.threshold)) == (True, 64, 320)
    train(RUN, dataclasses.replace(data, validation=None), tmp_path)
    n_made = len(made)
    expected = PracticeSet(CLIPS, RUN.practice, RUN.train.seed, 99)
    _ = [expected[k] for k in range(n_made)]
    assert made[:n_made] == made[n_made:]
    assert n_made == 12
    assert np.isfinite(losses(tmp_path)).all()


@pytest.mark.slow
def test_real_practice_forgeries_can_be_learnt_from_and_repeated(tmp_path):
    short = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, n_steps=2))
    for name in ("a", "b"):
        train(short, practice_data(short, CLIPS), tmp_path / name)
    np.testing.assert_array_equal(losses(tmp_path / "a"), losses(tmp_path / "b"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("practice:nowhere", "a folder of genuine clips"),
        ("lavfd:x", "lavdf:FOLDER or .* or practice:FOLDER"),
        ("x", "--data"),
    ],
)
def test_a_source_that_is_none_is_told(tmp_path, source, said):
    with pytest.raises(UsageError, match=said):
        open_data(source, RUN, tmp_path)


def test_the_folder_of_practice_clips_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "load_clips", lambda *_: {"train": CLIPS, "validation": CLIPS[:1]})
    data = open_data(f"practice:{tmp_path}", RUN, tmp_path)
    assert data.source == f"practice:{tmp_path}"
    assert isinstance(data.train, PracticeSet)
    assert data.train.clips == CLIPS
    assert isinstance(data.validation, PracticeSet)
    assert data.validation.clips == CLIPS[:1]
