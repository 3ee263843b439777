"""docs/verdict.md: its programs run as written, its table is what they print, its promises about refusals hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import TINY
from fakespan.boundary_map import iou_map_target
from fakespan.checkpoint import Checkpoint, load_head
from fakespan.config import ModelConfig, PostConfig, VerdictConfig, load_toml
from fakespan.data.example import Example
from fakespan.data.sets import ClipSet
from fakespan.localizer import Localizer
from fakespan.models import build_model
from fakespan.types import Sample, Segment
from fakespan.verdict.maps import make_maps

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
ROAD, LENGTHS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
MODEL = ModelConfig(**{**vars(TINY), "n_frames": 512, "max_duration": 40})


def noise(split: str, k: int) -> tuple[Sample, Example]:
    """A clip of half a second; every second one is a fake, and louder."""
    rng, n, is_fake = np.random.default_rng([len(split), k]), 12, k % 2 == 1
    name, segments = f"{split}{k}.mp4", (Segment(0.0, 0.48, 1.0, "both"),) if k % 2 else ()
    faces = rng.integers(0, 256, (n, 96, 96, 3), dtype=np.uint8)
    sound = rng.normal(0, 0.2 if is_fake else 0.02, 640 * n).astype(np.float32)
    return Sample(name, Path(name), split, 0.48, segments), Example(name, faces, sound)


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """maps/train, maps/validation and maps/test of a random network of BA-TFD's D and T."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        localizer = Localizer(Checkpoint("random", MODEL, PostConfig(), build_model(MODEL)), "cpu")
    for split, n in (("train", 8), ("validation", 6), ("test", 4)):
        clips = [noise(split, k) for k in range(n)]
        by_name = {example.name: example for _, example in clips}
        made = ClipSet(
            "dfdc:noise", tuple(sample for sample, _ in clips), lambda sample, found=by_name: found[sample.name]
        )
        make_maps(made, localizer, tmp_path / "maps" / split)
    yield tmp_path / "maps"
    torch.set_num_threads(before)


def printed(program: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    exec(compile(program, "docs/verdict.md", "exec"), {})
    return capsys.readouterr().out.splitlines()


def test_both_ways_run_as_written(maps: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(maps.parent)
    lines = printed(ROAD, capsys)
    assert len(lines) == 4 + 4
    for k, line in enumerate(lines[:4]):
        assert re.fullmatch(rf"test{k}\.mp4 (fake|real) [01]\.\d+", line)
    for name, line in zip(("maximum", "mlp") * 2, lines[4:], strict=True):
        assert re.fullmatch(rf"{name} [\d.e-]+ (True|False)", line)
    head = load_head(maps.parent / "head.safetensors")
    assert (head.model.max_duration, head.model.n_frames) == (40, 512)
    assert head.config == VerdictConfig()
    assert load_toml(ROOT / "configs" / "verdict.toml")["verdict"]["rows"] == head.config.rows == 20


def test_the_table_of_lengths_is_what_its_program_prints(capsys) -> None:
    lines = printed(LENGTHS, capsys)
    after = DOCUMENT.split(LENGTHS, 1)[1]
    header, *rows = lines
    table = [line for line in after.splitlines() if line.startswith("|")][: len(lines) + 1]
    assert table[0] == header
    assert table[2:] == rows
    assert [row.split(" | ")[0] for row in rows] == ["| 2 s", "| 5 s", "| 10 s", "| 20 s"]


@pytest.mark.parametrize("clock", ["pad", "stretch"])
@pytest.mark.parametrize(("seconds", "longest"), [(2, 40), (5, 100), (10, 40), (10, 100), (10, 256), (20, 256)])
def test_no_target_of_a_whole_clip_is_larger_than_the_longest_spans_share_of_it(clock, seconds, longest) -> None:
    """Worked out by hand: the longest span that the map knows lies in the clip, and shares its own length with it."""
    n, n_padded = (25 * seconds, 512) if clock == "pad" else (100, 100)
    longest = min(longest, n_padded)
    target = iou_map_target([(0, n / 25)], n, n_padded, longest)
    assert float(target.max()) == pytest.approx(min(longest, n) / n, abs=1e-6)
