"""Training on a few made clips: it runs, it repeats itself, and it stops where it must."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from fakespan.checkpoint import load_checkpoint
from fakespan.config import ModelConfig, PostConfig, from_mapping
from fakespan.data.dataset import Example
from fakespan.errors import ConfigError, DataError, FakespanError
from fakespan.forge.bank import Clip
from fakespan.forge.practice import PracticeConfig
from fakespan.train import (
    ClipsConfig,
    PracticeSet,
    RunConfig,
    TrainConfig,
    find_clips,
    fit_threshold,
    load_clips,
    load_run_config,
    train,
)
from fakespan.train import practice as practice_module
from fakespan.train import run as run_module

N_STEPS = 6
RUN = RunConfig(
    name="tiny",
    model=ModelConfig(
        family="small",
        video_encoder="frames",
        audio_encoder="mel",
        n_frames=32,
        max_duration=8,
        n_samples=4,
        n_features=8,
        video_widths=(8, 8, 8),
        audio_widths=(8, 8, 8),
        boundary_widths=(8, 8),
    ),
    practice=PracticeConfig(n_frames=16, mean_span_s=0.25, std_span_s=0.05),
    train=TrainConfig(n_steps=N_STEPS, batch_size=2, warmup_steps=2, n_workers=0),
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clip(k: int) -> Clip:
    rng = np.random.default_rng(k)
    faces = np.repeat(rng.integers(60, 200, (1, 32, 32, 3), np.uint8), 24, axis=0)
    return Clip(f"folder{k % 2}/{k}.mp4", str(k), faces, (0.1 * rng.standard_normal(24 * 640)).astype(np.float32))


CLIPS = [clip(0), clip(1), clip(2)]


def losses(folder: Path) -> np.ndarray:
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    return np.array([[float(row[name]) for name in ("total", "fused", "visual", "audio")] for row in rows])


@pytest.mark.slow
def test_a_run_logs_every_step_and_can_be_repeated(tmp_path):
    told = []
    path = train(RUN, CLIPS, tmp_path / "a", lambda *what: told.append(what))
    assert path == tmp_path / "a" / "tiny.safetensors"
    assert [(step, total) for step, total, _ in told] == [(k, N_STEPS) for k in range(1, N_STEPS + 1)]
    first = losses(tmp_path / "a")
    assert first.shape == (N_STEPS, 4)
    assert np.isfinite(first).all()

    train(RUN, CLIPS, tmp_path / "again")
    np.testing.assert_array_equal(losses(tmp_path / "again"), first)
    other = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, seed=2, n_steps=2))
    train(other, CLIPS, tmp_path / "other")
    assert not np.array_equal(losses(tmp_path / "other"), first[:2])

    checkpoint = load_checkpoint(path)
    assert (checkpoint.name, checkpoint.model, checkpoint.notes["step"]) == ("tiny", RUN.model, N_STEPS)
    assert from_mapping(RunConfig, checkpoint.notes["config"]) == RUN


@pytest.mark.slow
def test_time_that_runs_out_ends_a_run_with_a_checkpoint(tmp_path):
    hurried = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, time_limit_min=1e-6))
    path = train(hurried, CLIPS, tmp_path)
    assert len(losses(tmp_path)) == 1
    assert load_checkpoint(path).notes["step"] == 1


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_clips(tmp_path, monkeypatch):
    def broken(clips, which, practice, rng):
        return Example(clips[which].name, np.zeros((16, 96, 96, 3), np.uint8), np.full(16 * 640, np.nan, np.float32))

    monkeypatch.setattr(practice_module, "make_example", broken)
    with pytest.raises(FakespanError, match=r"step 1: expected a finite loss, got nan on folder\d/\d.mp4, folder"):
        train(RUN, CLIPS, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.slow
def test_the_threshold_is_fitted_and_written_into_the_file(tmp_path, monkeypatch):
    short = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, n_steps=1))
    path = train(short, CLIPS, tmp_path)
    before = load_checkpoint(path)
    monkeypatch.setattr(run_module, "N_VALIDATION", 8)
    monkeypatch.setattr(run_module, "pick_threshold", lambda localizer, examples: len(examples) / 100)
    after = fit_threshold(path, short, CLIPS)
    assert before.post.threshold == PostConfig().threshold
    assert load_checkpoint(path).post == after.post == dataclasses.replace(RUN.post, threshold=0.08)
    assert after.notes == before.notes
    for name, value in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[name], value)


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
    monkeypatch.setattr(practice_module, "make_example", lambda clips, which, practice, rng: clips[which].name)
    names = [Clip(f"many/{k}", "", np.zeros(0), np.zeros(0)) for k in range(9)]
    drawn = PracticeSet([*names, Clip("few/0", "", np.zeros(0), np.zeros(0))], RUN.practice, 0, 400)
    share = np.mean([drawn[k].startswith("few") for k in range(400)])
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


@pytest.mark.parametrize(
    "options", [{"n_steps": 0}, {"batch_size": 0}, {"n_workers": -1}, {"learning_rate": 0.0}, {"average": 1.0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match="train." + next(iter(options))):
        TrainConfig(**options)


def test_a_config_file_is_read_and_a_misspelt_key_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[train]\nn_steps = 3\n[practice]\nkinds = [1, 1, 0, 0]\n')
    run = load_run_config(path)
    assert (run.name, run.train.n_steps, run.practice.kinds) == ("x", 3, (1, 1, 0, 0))
    path.write_text("[train]\nn_step = 3\n")
    with pytest.raises(ConfigError, match="n_steps"):
        load_run_config(path)


def test_the_shipped_config_can_be_loaded():
    run = load_run_config(Path(__file__).parent.parent / "configs" / "small.toml")
    assert run.model.family == "small"
