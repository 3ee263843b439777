"""Pictures of an evaluation, and the example of docs/scoring.md as written."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from fakespan.errors import MissingExtraError, UsageError
from fakespan.report.plots import plot_precision_recall, plot_recall, plot_scores

DOCUMENT = Path(__file__).parents[1] / "docs" / "scoring.md"


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", header[16:])


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plot_precision_recall(path, {0.5: ([0.1, 0.2], [1, 0.5]), 0.95: ([], [])}),
        lambda path: plot_recall(path, [1, 10, 100], [0.1, 0.5, 0.9]),
        lambda path: plot_scores(path, np.random.default_rng(0).random(50), [0.9, 2.0]),
        lambda path: plot_scores(path, [], [0.5]),
    ],
)
def test_a_picture_is_written_in_one_step(tmp_path, draw):
    path = tmp_path / "new" / "plot.png"
    assert draw(path) == path
    assert size_of(path) == (900, 600)
    assert [p.name for p in path.parent.iterdir()] == ["plot.png"]


def test_what_cannot_be_written_and_what_is_not_installed_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="folder that may be written to"):
        plot_recall(tmp_path / "file" / "plot.png", [1], [1])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"fakespan\[train\]"):
        plot_recall(tmp_path / "plot.png", [1], [1])
    assert not (tmp_path / "plot.png").exists()


def test_the_document_prints_what_it_says(tmp_path, monkeypatch, capsys):
    found = re.search(r"<!-- example -->\n```python\n(.*?)```\n.*?```text\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    program, expected = found.groups()
    monkeypatch.chdir(tmp_path)
    exec(compile(program, str(DOCUMENT), "exec"), {})  # our own document
    assert capsys.readouterr().out == expected
