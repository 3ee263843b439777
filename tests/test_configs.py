"""Every shipped config loads, builds its network, and refuses what it does not know."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from fakespan.config import VerdictConfig, from_mapping, load_toml, to_mapping
from fakespan.errors import ConfigError
from fakespan.models import build_model
from fakespan.train import RunConfig, TrainingData, load_run_config, train
from fakespan.train.schedule import base_rate
from golden_cases import golden_case
from tiny_training import SIZES, TinySet, rows

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(path for path in FOLDER.glob("*.toml") if path.stem != "verdict")  # runs; that one is of a head


def parameter_sizes(model) -> dict[str, int]:
    with torch.device("meta"):
        return {name: p.numel() for name, p in build_model(model).named_parameters()}


def test_there_are_configs():
    assert {path.stem for path in CONFIGS} >= {
        *("small", "batfd", "batfd_plus", "batfd_avdeepfake1m", "batfd_dfdc", "batfd_dfdc_stretch", "small_dfdc")
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_builds_its_network(path):
    run = load_run_config(path)
    assert run.name == path.stem
    assert path.stem.startswith(run.model.family) or run.model.family == "experts"
    assert sum(parameter_sizes(run.model).values()) > 100_000
    assert from_mapping(RunConfig, to_mapping(run)) == run


@pytest.mark.parametrize("name", ["batfd", "batfd_plus"])
def test_the_published_networks_have_their_published_sizes(name):
    run = load_run_config(next(path for path in CONFIGS if path.stem == name))
    # weights and biases of the published network; buffers (sampling tables, running statistics) are no parameters
    published = golden_case(f"{name}_default").shapes
    buffers = ("running_mean", "running_var", "num_batches_tracked", "sample_mask", "comp_boundary_generator")
    wanted = sum(
        torch.Size(shape).numel() for key, shape in published.items() if not any(part in key for part in buffers)
    )
    assert sum(parameter_sizes(run.model).values()) == wanted


def run_of(name: str, *changes: str) -> RunConfig:
    return load_run_config(next(path for path in CONFIGS if path.stem == name), changes)


@pytest.mark.parametrize(("name", "schedule"), [("batfd", ("plateau", 0.5)), ("batfd_plus", ("exponential", 0.992))])
def test_the_published_networks_are_trained_as_published(name, schedule):
    """Papers' sections on training, and `lr 1e-5 x total batch / 4`; the run stops below a rate of 1e-7."""
    options = run_of(name).train
    assert (options.optimizer, options.betas, options.weight_decay) == ("adam", (0.5, 0.9), 1e-4)
    assert (options.schedule, options.lr_factor) == schedule
    assert (options.n_steps, options.n_epochs, options.min_learning_rate) == (0, 500, 1e-7)
    assert base_rate(options, 32) == pytest.approx(8e-5)
    assert (options.average, options.clip_norm, options.keep) == (0, 0, "best")


def test_av_deepfake1m_is_trained_at_the_clock_of_its_baseline():
    model = run_of("batfd_avdeepfake1m").model
    assert (model.n_frames, model.max_duration, model.clock) == (100, 30, "stretch")


def test_ba_tfd_for_dfdc_is_ba_tfd_with_a_map_that_knows_long_spans_where_it_is_stretched():
    """The paper trains DFDC like LAV-DF; what differs is the remedy for length."""
    published, plain, stretched = (run_of(name) for name in ("batfd", "batfd_dfdc", "batfd_dfdc_stretch"))
    assert dataclasses.replace(plain, name="batfd") == published
    assert (plain.model.n_frames, plain.model.max_duration, plain.model.clock) == (512, 40, "pad")
    sizes = {"n_frames": 100, "max_duration": 100, "clock": "stretch"}
    assert stretched.model == dataclasses.replace(published.model, **sizes)
    assert stretched.train == dataclasses.replace(published.train, save_memory=stretched.train.save_memory)
    assert run_of("batfd_dfdc", "model.max_duration=256").model.max_duration == 256
    assert run_of("small_dfdc").model.max_duration == run_of("small_dfdc").model.n_frames


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["bmn", "reference"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_trains_once_its_sizes_are_cut(tmp_path, path, sampling):
    """Sizes, clips and steps of a moment; the rest is the config's."""
    run = load_run_config(path, [f"model.sampling={sampling}", "train.n_epochs=1", "train.n_workers=0"])
    sizes = {**SIZES, "video_widths": (4, 4, 8, 8), "audio_widths": (8, 8, 2)}
    if run.model.family == "batfd_plus":
        sizes |= {"video_encoder": "c3d", "audio_encoder": "cnn"}
    if run.model.family == "small":
        sizes |= {"audio_widths": (8, 8, 8)}
    run = dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, **sizes),
        train=dataclasses.replace(run.train, clips_per_epoch=2, batch_size=2),
    )
    train(run, TrainingData("tiny", TinySet(2, lengths=(11,)), TinySet(1), ()), tmp_path)
    (row,) = rows(tmp_path)
    (epoch,) = rows(tmp_path, "epochs.csv")
    assert all(math.isfinite(value) for value in (*row.values(), *epoch.values()))


def test_the_small_model_is_small():
    run = load_run_config(next(path for path in CONFIGS if path.stem == "small"))
    n_parameters = sum(parameter_sizes(run.model).values())
    assert n_parameters < 3_000_000
    assert 4 * n_parameters < 8_000_000  # bytes of the file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nmax_durations = 3", r"the key 'max_durations'; did you mean max_duration\?"),
        ("[trian]\nseed = 1", r"the key 'trian'; did you mean train\?"),
        ("zzz = 1", r"the key 'zzz'; known keys are name, model"),
        ("[model]\nfamily = 'smal'", "one of batfd, batfd_plus, small"),
        ("[train]\nn_steps = 'many'", r"train\.n_steps: expected a value of type int, got 'many'"),
        ("[post]\nthreshold = 2", r"threshold: expected a number in 0\.\.1, got 2"),
        ("name = ", "a TOML file"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, text, said):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_run_config(path)


def test_a_missing_config_is_told(tmp_path):
    with pytest.raises(ConfigError, match="see configs/ for examples"):
        load_toml(tmp_path / "none.toml")


def test_the_verdict_config_is_what_a_head_has_anyway():
    """So a user reads in the file what happens without it."""
    tables = load_toml(FOLDER / "verdict.toml")
    assert list(tables) == ["verdict"]
    assert set(tables["verdict"]) == {field.name for field in dataclasses.fields(VerdictConfig)}
    assert from_mapping(VerdictConfig, tables["verdict"], "verdict") == VerdictConfig()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("row", 3, r"the key 'row'; did you mean rows\?"),
        ("rows", 0, "rows: expected a number of at least 1, got 0"),
        ("widths", [8], r"verdict\.widths: expected 2 values"),
        ("widths", [8, 0], "widths: expected positive widths"),
        ("dropout", 1.0, "dropout: expected a number from 0 to below 1"),
        ("seed", -1, "seed: expected a number of at least 0"),
        ("learning_rate", float("nan"), "learning_rate: expected a number above 0"),
        ("weight_decay", -0.1, "weight_decay: expected a number of at least 0"),
    ],
)
def test_what_a_head_cannot_be_is_told(key, value, said):
    with pytest.raises(ConfigError, match=said):
        from_mapping(VerdictConfig, {key: value}, "verdict")
