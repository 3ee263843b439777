"""benchmarks/verdict_length.py: variants that differ in the map alone, numbers that survive a kill, a table of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets import make_dfdc
from fakespan.config import to_mapping
from fakespan.train import load_run_config
from programs import load_program


@pytest.fixture(scope="module")
def program() -> Any:
    return load_program("benchmarks", "verdict_length")


def test_the_variants_differ_in_the_map_alone(program: Any) -> None:
    runs = {name: to_mapping(load_run_config(program.CONFIG, changes)) for name, changes in program.VARIANTS.items()}
    sizes = {name: (run["model"]["clock"], run["model"]["max_duration"]) for name, run in runs.items()}
    assert [sizes[name] for name in program.THREE] == [("pad", 40), ("pad", 256), ("stretch", 100)]
    for run in runs.values():
        for key in ("clock", "n_frames", "max_duration"):
            del run["model"][key]
    assert all(runs[name] == runs["stretch100"] for name in program.THREE)


@pytest.mark.slow
def test_it_measures_writes_and_goes_on(program: Any, tmp_path: Path, monkeypatch, capsys) -> None:
    """What is shown has no face: the sound alone is judged, and says nothing."""
    data = make_dfdc(tmp_path / "DFDC", 1, 2, 1, n_validation=2, n_test=4, seconds=0.6)
    options = ["--data", f"dfdc:{data}", "--work", tmp_path / "work", "--out", tmp_path / "numbers.json", "--steps", 1]
    options += ["--variants", "pad40", "stretch100", "--workers", 0, "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["verdict_length.py", *map(str, options)])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        program.main()
        first = capsys.readouterr().out
        found = json.loads((tmp_path / "numbers.json").read_text())["results"]
        with monkeypatch.context() as nothing_is_trained:
            nothing_is_trained.setattr(program, "train", None)
            program.main()
    finally:
        torch.set_num_threads(before)
    assert capsys.readouterr().out == first
    assert json.loads((tmp_path / "numbers.json").read_text())["results"] == found
    assert [(f["variant"], f["largest_target"], f["clips"], f["fake"]) for f in found] == [
        ("pad40", 1.0, 4, 2),
        ("stretch100", 1.0, 4, 2),
    ]
    header, rule, *rows = [line for line in first.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in (header, rule, *rows)} == {header.count("|")}
    assert [row.split(" | ")[0] for row in rows] == ["| pad40", "| stretch100"]
