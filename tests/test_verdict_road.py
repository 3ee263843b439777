"""The whole road to one label a video, by the command line: train, maps, verdict fit, verdict test, join, scan.

On a set in DFDC's layout whose fakes are seen at a glance: the picture of a fake is its original's negative.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets import make_dfdc
from fakespan.checkpoint import load_head
from fakespan.data.sets import open_set
from fakespan.train import config_text
from fakespan.verdict.maps import open_maps
from tiny_training import SMALL, tiny_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

SPLITS = ("train", "validation", "test")
MODEL = dataclasses.replace(SMALL, n_frames=16, max_duration=16, clock="stretch")
HEAD = """
[verdict]
rows = 4
columns = 4
widths = [8, 4]
restarts = 2
epochs = 40
batch_size = 8
learning_rate = 1e-2
"""
Call = Callable[..., tuple[int, str, str]]


def wanted(answer: tuple[int, str, str]) -> str:
    """What was printed, of a command that went well."""
    code, out, err = answer
    assert (code, err) == (0, "")
    return out


@pytest.fixture
def road(call: Call, tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """The folder of everything, the set, and the numbers of `verdict test`."""
    data = make_dfdc(tmp_path / "DFDC", 2, 4, 1, n_validation=8, n_test=10, seconds=0.8)
    run = tiny_run(MODEL, n_steps=60, batch_size=4, warmup_steps=5, learning_rate=5e-3, average=0.0)
    (tmp_path / "tiny.toml").write_text(config_text(run), encoding="utf-8")
    (tmp_path / "head.toml").write_text(HEAD, encoding="utf-8")
    source = ("--data", f"dfdc:{data}", "--faces", "whole", "--device", "cpu")
    wanted(call("train", tmp_path / "tiny.toml", *source, "--out", tmp_path / "run"))
    model, maps = tmp_path / "run" / "tiny.safetensors", {split: tmp_path / "maps" / split for split in SPLITS}
    for split in SPLITS:
        wanted(call("maps", *source, "--split", split, "--model", model, "--out", maps[split], "--workers", 0))
    fit = ("--train", maps["train"], "--val", maps["validation"], "--config", tmp_path / "head.toml")
    wanted(call("verdict", "fit", *fit, "--out", tmp_path / "head.safetensors"))
    test = ("--maps", maps["test"], "--head", tmp_path / "head.safetensors", "--bootstrap", 0)
    rated = json.loads(wanted(call("verdict", "test", *test, "--json")))
    joined = ("--model", model, "--out", tmp_path / "joined.safetensors")
    wanted(call("verdict", "join", tmp_path / "head.safetensors", *joined))
    return tmp_path, data, rated


def test_from_a_set_to_a_calibrated_probability(call: Call, road: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, data, rated = road
    assert (rated["split"], rated["clips"], rated["fake"]) == ("test", 10, 5)
    ways = {way["way"]: way["values"] for way in rated["ways"]}
    for way in ("maximum", "mlp"):  # five and five clips: chance is 0.5
        assert ways[way]["AUC"] > 0.8, rated
        assert ways[way]["balanced accuracy"] > 0.7, rated

    head, stored = load_head(folder / "head.safetensors"), open_maps(folder / "maps" / "test")
    assert head.notes["train"]["clips"] == 16
    assert head.notes["validation"]["clips"] == 8
    for k, sample in enumerate(open_set(f"dfdc:{data}", "test").samples[:4]):
        assert stored.entries[k].name == sample.name
        scan = ("scan", sample.path, "--model", folder / "joined.safetensors", "--faces", "whole", "--sound", "all")
        said = json.loads(wanted(call(*scan, "--json")))["verdict"]
        score = head.score(stored.fused(k))
        assert said["way"] == "mlp"
        assert said["score"] == pytest.approx(score, abs=5e-3)  # stored maps are float16
        assert said["probability"] == pytest.approx(head.probability(score), abs=0.01)
        assert said["threshold"] == pytest.approx(head.fit_of("mlp").threshold, abs=1e-4)
        text = " ".join(wanted(call(*scan)).split())
        assert "whole video: forged with probability" in text
        assert f"from {said['threshold']:.2f} on" in text
