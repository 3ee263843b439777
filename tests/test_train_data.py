"""What --data of a training may name, and clips that banks give without end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fakespan.errors import ConfigError, DataError, UsageError
from fakespan.practice.sound import SoundRecipe
from fakespan.train import RunConfig, load_run_config, open_data, train
from sound_banks import TINY_EXPERTS, twins, write_bank
from tiny_training import changed, losses, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")

RUN: RunConfig = dataclasses.replace(tiny_run(TINY_EXPERTS, n_steps=2), sound=SoundRecipe(min_frames=16, max_frames=30))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers to train on, and one that is held out."""
    split = {"s0": "validation"}
    recordings = [dataclasses.replace(r, split=split.get(r.speaker, "train")) for r in twins(3, seconds=3.0)]
    return write_bank(tmp_path_factory.mktemp("bank"), recordings)


def test_a_sound_bank_gives_clips_without_end_and_no_threshold(bank):
    data = open_data(f"sound-bank:{bank}", RUN)
    assert (data.source, data.is_endless, len(data.threshold)) == (f"sound-bank:{bank}", True, 0)
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (1600, 192)
    for clips in (data.train, data.validation):
        assert clips[10_000].audio_spans == clips[10_000].audio_spans
        np.testing.assert_array_equal(clips[10_000].sound, clips[10_000].sound)
    assert not np.array_equal(data.train[0].sound, data.train[1].sound)


@pytest.mark.parametrize("kept", ["real", "twin"])
def test_a_bank_with_one_side_only_is_no_training_data(tmp_path, kept):
    write_bank(tmp_path, [r for r in twins(2, seconds=1.0) if r.kind == kept])
    with pytest.raises(DataError, match="recordings of generators to train on"):
        open_data(f"sound-bank:{tmp_path}", RUN)


def test_words_without_a_genuine_recording_are_no_training_data(tmp_path):
    write_bank(tmp_path, [dataclasses.replace(twins(1, seconds=1.0)[1], kind="voice", real="")])
    with pytest.raises(DataError, match="expected genuine recordings to train on, got none"):
        open_data(f"sound-bank:{tmp_path}", RUN)


def test_held_out_recordings_without_a_generator_are_no_validation(tmp_path):
    """Nothing could be found in them: no forged clip can be made."""
    recordings = twins(2, seconds=1.0)
    held_out = dataclasses.replace(recordings[0], name="held-out.wav", split="validation")
    write_bank(tmp_path, [*recordings, held_out])
    assert open_data(f"sound-bank:{tmp_path}", RUN).validation is None


def test_a_run_on_a_bank_is_the_same_again_and_with_another_seed_another(bank, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run = changed(RUN, seed=seed)
        train(run, dataclasses.replace(open_data(f"sound-bank:{bank}", run), validation=None), tmp_path / name)
    first, again, other = (losses(tmp_path / name) for name in "abc")
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("source", ["lavfd:x", "practice:x", "x", ""])
def test_a_source_of_no_known_kind_is_told(source):
    with pytest.raises(UsageError, match=r"--data: expected lavdf:FOLDER or .* or sound-bank:FOLDER"):
        open_data(source, RUN)


def test_a_config_file_is_read_and_a_misspelt_key_named(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\n[train]\nn_steps = 3\n[sound]\nmin_frames = 20\n')
    run = load_run_config(path)
    assert (run.name, run.train.n_steps, run.sound.min_frames) == ("x", 3, 20)
    path.write_text("[train]\nn_step = 3\n")
    with pytest.raises(ConfigError, match="n_steps"):
        load_run_config(path)
