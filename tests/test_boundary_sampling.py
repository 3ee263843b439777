"""benchmarks/boundary_sampling.py: a fair comparison that goes on after a kill and writes tables into a document."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datasets import make_lavdf
from fakespan.data.example import Example
from fakespan.models import build_model
from programs import load_program

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def program() -> Any:
    return load_program("benchmarks", "boundary_sampling")


@pytest.fixture(scope="module")
def recipe(program: Any) -> Any:
    return program.Recipe(steps=2, batch_size=2, n_frames=25, max_duration=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lavdf(tmp_path_factory.mktemp("lavdf"), 2, 2, 4, seconds=1.0)


def test_both_trainings_begin_with_the_same_weights_and_take_the_same_clips(program: Any, recipe: Any) -> None:
    weights = []
    for sampling in program.SAMPLINGS:
        torch.manual_seed(3)
        weights.append(build_model(recipe.model(sampling)).state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_epoch_goes_through_every_clip_once(program: Any) -> None:
    epochs = [[k for step in range(4 * e, 4 * e + 4) for k in program.drawn(step, 12, 3, seed=1)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]
    assert program.drawn(5, 2, 8, seed=1) in ([0, 1], [1, 0])


def test_the_learning_rate_rises_and_falls(program: Any) -> None:
    shares = [program.warm_cosine(step, 100) for step in range(100)]
    assert max(shares) == 1
    assert np.argmax(shares) == 9
    assert all(a < b for a, b in itertools.pairwise(shares[:10]))
    assert all(a > b for a, b in itertools.pairwise(shares[10:]))
    assert 0 < shares[-1] < 0.01


def test_perfect_maps_lose_the_strictest_threshold_by_the_published_decoding(program: Any, recipe: Any) -> None:
    """A span of 16 frames is read as one of 15: IoU 15/16."""
    spans = [((0.04 * k, 0.64 + 0.04 * k),) for k in range(8)]
    clips = [Example(str(k), np.zeros((25, 96, 96, 3), np.uint8), np.zeros(0), s, s) for k, s in enumerate(spans)]
    numbers = program.rate_targets(clips, recipe)["fused"]
    assert numbers["aligned"]["AP@0.95"] > 80  # a perfect result of n labels gets 1 - 1/n, as published
    assert numbers["published"]["AP@0.75"] > 80
    assert numbers["published"]["AP@0.95"] == 0
    assert numbers["published"]["AR@10"] < numbers["aligned"]["AR@10"]


@pytest.mark.slow
def test_the_experiment_writes_its_tables_into_the_document(
    program: Any, recipe: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "report.md"
    document.write_text("before\n" + "\nold\n".join(program.MARKS) + "\nafter\n", encoding="utf-8")
    order = ["--out", str(tmp_path / "out"), "--data", str(data), "--seeds", "4"]
    n_threads = torch.get_num_threads()
    try:
        program.main([*order, "--write", str(document)], recipe)
    finally:
        torch.set_num_threads(n_threads)

    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert all(f"| {s} | {d} |" in text for s in program.SAMPLINGS for d in program.DECODINGS)

    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [r["about"]["sampling"] for r in results["runs"]] == ["reference", "bmn"]
    assert all(len(r["losses"]) == 2 and np.isfinite(r["losses"]).all() for r in results["runs"])
    assert set(results["runs"][0]["numbers"]) == set(results["targets"]) == set(program.MAPS)

    monkeypatch.setattr(program, "train", None)  # all is there
    program.main([*order, "--write", str(document)], recipe)
    assert document.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_losses(
    program: Any, recipe: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = program.load(data, recipe)
    longer = dataclasses.replace(recipe, steps=3)
    whole = program.run(tmp_path / "whole", clips, longer, 0, "bmn")
    monkeypatch.setattr(program, "SAVE_EVERY", 2)
    step = program.train_step
    calls = []

    def killed(*given: Any) -> float:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return step(*given)

    monkeypatch.setattr(program, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        program.run(tmp_path / "parts", clips, longer, 0, "bmn")
    monkeypatch.setattr(program, "train_step", step)
    parts = program.run(tmp_path / "parts", clips, longer, 0, "bmn")
    assert parts["losses"] == whole["losses"]
    assert parts["numbers"] == whole["numbers"]


def test_a_document_without_marks_is_left_alone(program: Any) -> None:
    with pytest.raises(ValueError, match="results: begin"):
        program.insert("nothing here", "block")


def test_the_document_has_the_marks(program: Any) -> None:
    text = (ROOT / "docs" / "boundary-sampling.md").read_text(encoding="utf-8")
    assert text.count(program.MARKS[0]) == text.count(program.MARKS[1]) == 1
    assert program.insert(text, "new").count("new") >= 1
