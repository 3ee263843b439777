"""Hostile model files are refused in one line, within a second of CPU time and 200 MB, and none runs code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

import hostile_models
from golden_cases import GOLDEN

LOADABLE = {"laughs_epoch.ckpt"}  # good weights; what is odd in it is dropped


def test_hostile_model_files_are_refused_within_their_limits(tmp_path: Path, tiny_path: Path) -> None:
    published = torch.load(GOLDEN / "lightning_batfd_tiny.ckpt", weights_only=True)
    files = hostile_models.write_all(tmp_path, tiny_path.read_bytes(), published)
    program = [sys.executable, hostile_models.__file__, tiny_path, *files]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(files), f"{files[len(told)].name} ended the process: {done.stderr[-300:]}"
    assert {t["file"] for t in told if t["error"] == "none"} == LOADABLE
    assert [t for t in told if t["error"] not in {"none", "CheckpointError"}] == []
    assert [t for t in told if "\n" in t["message"] or len(t["message"]) > 700] == []
    assert not (tmp_path / "harm").exists()
