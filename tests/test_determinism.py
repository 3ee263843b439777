"""The short form of the campaign on determinism: three scans of 3.4 s by each backend; see campaigns/determinism.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from campaigns.determinism import MOST_APART, Recorder, Result
from fakespan.localizer import load_model
from remux import without_packets


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_scans_are_the_same_and_threads_change_them_by_rounding_alone(
    tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    path = without_packets(tmp_path / "begin.mkv", 3.4, 9.0)

    def scanned(n_threads: int) -> Result:
        torch.set_num_threads(n_threads)
        monkeypatch.setenv("OMP_NUM_THREADS", str(n_threads))
        localizer = load_model(tiny_path if backend == "torch" else "small", backend=backend)
        localizer.decoder_threads = n_threads
        return Recorder(localizer).scan(path)

    first = scanned(1)
    assert first.answers
    assert first.equals(scanned(1))
    assert first.apart(scanned(2)) <= MOST_APART
