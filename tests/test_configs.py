"""Every shipped config loads, builds its network, and refuses what it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fakespan.config import from_mapping, load_toml, to_mapping
from fakespan.errors import ConfigError
from fakespan.models import build_model
from fakespan.train import RunConfig, load_run_config
from golden_cases import golden_case

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


def parameter_sizes(model) -> dict[str, int]:
    with torch.device("meta"):
        return {name: p.numel() for name, p in build_model(model).named_parameters()}


def test_there_are_configs():
    assert {path.stem for path in CONFIGS} >= {"small", "batfd", "batfd_plus"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_builds_its_network(path):
    run = load_run_config(path)
    assert run.name == run.model.family == path.stem
    assert sum(parameter_sizes(run.model).values()) > 100_000
    assert run.practice.n_frames <= run.model.n_frames
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
