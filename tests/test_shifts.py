"""The sound is judged at several shifts within a frame, so that a score does not depend on where its frames begin."""

import dataclasses

import pytest
import torch

import fakespan
from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.errors import ConfigError
from fakespan.localizer.shifts import _shifted, audio_branch
from fakespan.media.decode import read_sound
from fakespan.media.features import sound_input
from fakespan.models.outputs import Branch
from remade import SAMPLE


@pytest.fixture(scope="module")
def model():
    return fakespan.load_model("small", "cpu")


@pytest.fixture(scope="module")
def sound():
    wave = read_sound(SAMPLE)
    return torch.from_numpy(wave[: len(wave) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME])[None]


def top(model, sound, n_shifts):
    """The highest score of the sound alone."""
    config = dataclasses.replace(model.model, sound_shifts=n_shifts)
    with torch.inference_mode():
        return float(audio_branch(model.network, config, sound).map.max())


def test_a_delay_within_a_frame_hardly_changes_the_score(model, sound):
    def spread(n_shifts):
        delayed = [torch.cat([sound[:, :n].flip(1), sound[:, : sound.shape[1] - n]], 1) for n in (0, 80, 160, 240, 400)]
        tops = [top(model, one, n_shifts) for one in delayed]
        return max(tops) - min(tops)

    assert spread(5) < 0.6 * spread(1)


def test_one_shift_is_the_network_itself(model, sound):
    config = dataclasses.replace(model.model, sound_shifts=1)
    with torch.inference_mode():
        plain = model.network.encode_audio(sound_input("texture", sound))
        branch = audio_branch(model.network, config, sound)
    assert torch.equal(branch.map, plain.map)
    assert torch.equal(branch.logits, plain.logits)


def test_shifts_are_spread_evenly_around_the_sound():
    starts = []

    class Recorder:
        def encode_audio(self, shown, n_frames=None):
            starts.append(int(shown[0].argmax()))
            frames = torch.zeros(1, 1, 50)
            return Branch(frames, frames, frames, frames.sigmoid())

    click = torch.zeros(1, 50 * SAMPLES_PER_FRAME)
    click[0, 16_000] = 1.0
    config = ModelConfig(family="experts", audio_encoder="texture", sound_shifts=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fakespan.localizer.shifts.sound_input", lambda encoder, sound: sound)
        audio_branch(Recorder(), config, click)
    assert [start - 16_000 for start in starts] == [256, 128, 0, -128, -256]


@pytest.mark.parametrize(("family", "n_shifts"), [("experts", 0), ("experts", 17), ("batfd", 2)])
def test_impossible_numbers_of_shifts_are_refused(family, n_shifts):
    with pytest.raises(ConfigError, match="sound_shifts"):
        ModelConfig(family=family, sound_shifts=n_shifts)


def test_what_a_shift_leaves_open_is_filled_by_reflection():
    sound = torch.arange(5)[None]
    assert _shifted(sound, 2).tolist() == [[2, 3, 4, 4, 3]]
    assert _shifted(sound, -2).tolist() == [[1, 0, 0, 1, 2]]
    assert _shifted(sound, 0) is sound
