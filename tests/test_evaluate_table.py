"""From maps to proposals, which clips go together, and how the table looks."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fakespan.boundary_map import decode
from fakespan.config import PostConfig
from fakespan.data.example import Example
from fakespan.evaluate.predict import map_proposals, plan
from fakespan.localizer import ClipMaps
from fakespan.scoring.table import Row, Table

COLUMNS = ("AP@0.5", "AP@0.95", "AUC")
FULL = Row("fused", "full", 8, 6, {"AP@0.5": 0.79154, "AP@0.95": 0.0024, "AUC": math.nan}, {"AP@0.5": (0.71, 0.8)})
VISUAL = Row("fused", "visual", 6, 4, {"AP@0.5": 1.0})


def example(n_frames: int, start_s: float = 0.0) -> Example:
    return Example("a", np.zeros((n_frames, 1, 1, 3), np.uint8), np.zeros(0, np.float32), start_s=start_s)


def peak_map(shape: tuple[int, int], cell: tuple[int, int]) -> np.ndarray:
    scores = np.full(shape, 0.01, np.float32)
    scores[cell] = 0.9
    return scores


# -- from maps to proposals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decoding", "end"), [("aligned", 15), ("published", 14)])
def test_times_are_those_of_the_file(decoding, end):
    maps = ClipMaps(25.0, peak_map((8, 50), (4, 10)), visual=peak_map((8, 50), (4, 20)))
    found = map_proposals(maps, example(50, start_s=3.0), PostConfig(decoding=decoding))
    assert found["fused"][0] == pytest.approx((0.9, 3 + 10 / 25, 3 + end / 25))
    assert found["visual"][0, 1] == pytest.approx(3 + 20 / 25)
    assert found["audio"].shape == (0, 3)
    assert len(found["fused"]) == 101


def test_a_stretched_map_is_told_in_the_clips_own_seconds():
    maps = ClipMaps(25 * 100 / 333, peak_map((30, 100), (9, 30)))  # a frame of the network lasts 3.33 of the file
    found = map_proposals(maps, example(333), PostConfig())["fused"]
    assert found[0] == pytest.approx((0.9, 30 * 3.33 / 25, 40 * 3.33 / 25))


def test_the_published_stretched_decoding_is_the_baselines():
    rng = np.random.default_rng(0)
    scores = rng.random((30, 100)).astype(np.float32)
    found = map_proposals(ClipMaps(25 * 100 / 333, scores), example(333), PostConfig(decoding="published"))["fused"]
    frames = found[:, 1:] * 25
    np.testing.assert_allclose(frames, np.round(frames), atol=1e-6)  # whole frames of the file, rounded down
    cells = decode(scores, 100, "published")
    best = cells[np.argsort(-cells[:, 0])][:100]
    assert len(found) == 99  # the 100 best cells, of which the published loop leaves one
    wanted = {(int(b / 100 * 333), int(e / 100 * 333)) for _, b, e in best}
    assert {(int(b), int(e)) for b, e in frames.round()} <= wanted


@given(st.lists(st.floats(0.1, 20), max_size=200), st.integers(1, 9))
def test_a_plan_holds_every_clip_once_and_nothing_too_large(durations, batch_size):
    batches = plan(durations, batch_size)
    assert sorted(k for batch in batches for k in batch) == list(range(len(durations)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    if batch_size == 1:
        assert [k for (k,) in batches] == list(range(len(durations)))


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_table_of_the_terminal_is_80_columns_wide():
    columns = ("AP@0.5", "AP@0.75", "AP@0.95", "AR@100", "AR@50", "AR@20", "AR@10", "AUC")
    row = Row("visual", "visual", 26_100, 30_000, dict.fromkeys(columns, 1.0), dict.fromkeys(columns, (0.98, 1.0)))
    table = Table(columns, (row, row))
    text_file = io.StringIO()
    console = Console(width=80, file=text_file)
    console.print(table.render())
    text = text_file.getvalue()
    assert "…" not in text
    assert all(name in text.splitlines()[0] for name in columns)
    assert text.count("100.00") == 2 * 8 * 2
    assert table.counted == "visual: 26100 clips, 30000 spans"


def test_the_terminal_shows_what_is_known():
    text_file = io.StringIO()
    console = Console(width=80, file=text_file)
    console.print(Table(COLUMNS, (FULL, VISUAL)).render())
    lines = [line.split() for line in text_file.getvalue().splitlines()[2:]]
    assert lines == [
        ["fused", "full", "79.15", "0.24", "-"],
        ["low", "71.00"],
        ["high", "80.00"],
        ["visual", "100.00", "-", "-"],
    ]


def test_markdown_and_csv_hold_the_same():
    table = Table(COLUMNS, (FULL, VISUAL))
    assert table.to_markdown().splitlines() == [
        "| map | subset | clips | spans | AP@0.5 | AP@0.95 | AUC |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        "| fused | full | 8 | 6 | 79.15 (71.00 to 80.00) | 0.24 | - |",
        "| fused | visual | 6 | 4 | 100.00 | - | - |",
    ]
    first, second = csv.DictReader(io.StringIO(table.to_csv()))
    assert (first["AP@0.5"], first["AP@0.5 low"], first["AUC"]) == ("79.1540", "71.0000", "")
    assert (second["AP@0.5"], second["AP@0.5 low"], second["AP@0.95"]) == ("100.0000", "", "")
    assert FULL.to_dict()["AUC"] is None
    assert FULL.to_dict()["95%"] == {"AP@0.5": [0.71, 0.8]}
