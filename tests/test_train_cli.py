"""`fakespan train` on tiny sets in the published layouts: one command, one folder, one line for what is wrong."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from datasets import make_avdeepfake1m, make_dfdc, make_forgerynet, make_lavdf
from fakespan.checkpoint import load_checkpoint
from fakespan.train import config_text, load_run_config
from tiny_training import BATFD, losses, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")

MAKERS = {
    "lavdf": functools.partial(make_lavdf, seconds=0.4),
    "avdeepfake1m": functools.partial(make_avdeepfake1m, seconds=0.4),
    "dfdc": functools.partial(make_dfdc, n_parts=1, n_validation=2, seconds=0.4),
    "forgerynet": functools.partial(make_forgerynet, n_frames=40),
}


@pytest.fixture
def call(call, monkeypatch, tmp_path):
    """The command, run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return call


@pytest.fixture(scope="module")
def lavdf(tmp_path_factory) -> Path:
    return make_lavdf(tmp_path_factory.mktemp("lavdf"), n_train=4, n_validation=2, n_test=0, seconds=0.4)


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(config_text(tiny_run(n_steps=2)), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
def test_each_published_set_trains_with_one_command(call, config, tmp_path, kind):
    root = MAKERS[kind](tmp_path / "set")
    before = sorted(path for path in root.rglob("*"))
    changes = ["--set", "train.n_steps=1", "--set", "model.clock=stretch"] if kind == "avdeepfake1m" else []
    faces = [] if kind in {"lavdf", "avdeepfake1m"} else ["--faces", "whole"]  # what is shown here has no face
    code, out, err = call("train", config, "--data", f"{kind}:{root}", "--device", "cpu", *changes, *faces)
    assert (code, err) == (0, "")
    assert out.startswith("runs/tiny/tiny.safetensors: threshold 0.")
    assert "not fitted" not in out
    model = load_checkpoint(tmp_path / "runs" / "tiny" / "tiny.safetensors")
    assert model.notes["data"] == f"{kind}:{root.name}"  # and not where it lies: models are passed on
    assert 0 < model.post.threshold < 1
    assert len(losses(tmp_path / "runs" / "tiny")) == (1 if changes else 2)
    assert sorted(root.rglob("*")) == before  # nothing is written into a set's folder


def test_limit_subset_and_changes_reach_the_run(call, config, lavdf, tmp_path):
    options = ("--limit", 1, "--subset", "visual", "--set", "train.batch_size=1", "--precision", "bf16")
    code, _, err = call("train", config, "--data", f"lavdf:{lavdf}", "--out", "here", "--device", "cpu", *options)
    assert (code, err) == (0, "")
    run = load_run_config(tmp_path / "here" / "config.toml")
    assert (run.train.batch_size, run.train.precision) == (1, "bf16")
    assert np.isfinite(losses(tmp_path / "here")).all()


def test_a_folder_is_used_once_unless_resumed_or_overwritten(call, config, lavdf, tmp_path):
    command = ("train", config, "--data", f"lavdf:{lavdf}", "--device", "cpu")
    assert call(*command)[0] == 0
    code, out, err = call(*command)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "use --resume to continue it, --overwrite to start over, or another --out" in err
    assert call(*command, "--resume", "--set", "train.n_steps=3")[0] == 0
    assert len(losses(tmp_path / "runs" / "tiny")) == 3
    assert call(*command, "--overwrite")[0] == 0
    assert len(losses(tmp_path / "runs" / "tiny")) == 2


def test_without_a_real_validation_clip_the_threshold_stays(call, config, tmp_path):
    make_lavdf(tmp_path / "set", n_train=2, n_validation=0, n_test=0, seconds=0.4)
    code, out, _ = call("train", config, "--data", f"lavdf:{tmp_path / 'set'}", "--device", "cpu")
    assert code == 0
    assert "threshold 0.5, not fitted: there are no real validation clips" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "lavfd:x"], "lavdf:FOLDER or"),
        (["--data", "lavdf:nowhere"], "nowhere"),
        (["--set", "train.bach_size=1"], "did you mean batch_size?"),
        (["--device", "abacus"], "--device: expected auto, cpu, cuda"),
        (["--precision", "16", "--device", "cpu"], "--precision: expected a GPU"),
        (["--set", "train.schedule=plateau", "--limit", "1"], "runs/tiny"),
    ],
)
def test_what_cannot_be_trained_is_one_line(call, config, lavdf, tmp_path, *, options, said):
    data = [] if "--data" in options else ["--data", f"lavdf:{lavdf}"]
    if "runs/tiny" in said:
        (tmp_path / "runs").write_text("a file")
    code, out, err = call("train", config, *data, *options)
    assert (code in {1, 2}, out, len(err.splitlines())) == (True, "", 1)
    assert said in err
    assert not (tmp_path / "runs" / "tiny").exists()


def test_ba_tfd_with_published_sampling_trains_too(call, lavdf, tmp_path):
    path = tmp_path / "batfd.toml"
    path.write_text(config_text(tiny_run(BATFD, n_steps=1)), encoding="utf-8")
    code, _, err = call(
        "train", path, "--data", f"lavdf:{lavdf}", "--device", "cpu", "--set", "model.sampling=reference"
    )
    assert (code, err) == (0, "")
    assert load_checkpoint(tmp_path / "runs" / "tiny" / "tiny.safetensors").model.sampling == "reference"
