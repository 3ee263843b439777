"""Bulk scans with real worker processes: side by side on this machine, and on Ray."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from clips import tone, write_clip
from fakespan.bulk.engines import on_ray
from fakespan.bulk.listing import Item
from fakespan.bulk.outcome import Outcome
from fakespan.bulk.worker import Setup
from fakespan.errors import MediaError, UsageError
from fakespan.types import Scan
from scans import forged
from test_bulk import STUB

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """Three sounds and a file that is none."""
    folder = tmp_path / "voices"
    folder.mkdir()
    for hertz in (200, 300, 400):
        sound = tone(0.5, 16_000, hz=hertz)
        write_clip(folder / f"{hertz}.wav", sound=sound, sound_rate=16_000, audio_codec="pcm_s16le")
    (folder / "none.wav").write_text("text")
    return folder


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster on this machine, which the tests share."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_two_processes_find_what_one_finds(call: Call, voices: Path, tiny_path: Path, tmp_path: Path) -> None:
    found = {}
    for workers in (1, 2):
        arguments = ("scan", voices, "--model", tiny_path, "--workers", workers, "--json", "--out", tmp_path / "out")
        code, out, err = call(*arguments)
        assert code == 1
        assert "none.wav: expected a media file, got a text file" in err
        scans = [Scan.from_dict(json.loads(line)) for line in out.splitlines()]
        found[workers] = sorted(scans, key=lambda scan: scan.file)
    assert found[1] == found[2]
    assert len(found[1]) == 3


def test_a_wrong_model_is_told_once(call: Call, voices: Path) -> None:
    code, _, err = call("scan", voices, "--model", "nothing", "--workers", 2)
    assert code == 2
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_ray_scans_and_a_killing_file_costs_nothing_else(ray: Any, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.mp4").write_text("kill" if number == 3 else f"content {number}")
    items = [Item(str(tmp_path / f"{number}.mp4")) for number in range(6)]
    setup = Setup(options={"log": str(tmp_path / "log.txt"), "scan": forged().to_dict()}, program=(STUB,))
    outcomes = {Path(outcome.item.name).stem: outcome for outcome in on_ray(setup, 2)(items, frozenset())}
    assert {name for name, outcome in outcomes.items() if outcome.state == "failed"} == {"3"}
    assert "ended the worker process 2 times" in str(outcomes["3"].error)
    assert sum(outcome.scan is not None for outcome in outcomes.values()) == 5
    with pytest.raises(UsageError, match="--model: expected a model"):
        list(on_ray(Setup("missing", program=(STUB,)), 1)(items, frozenset()))
    with pytest.raises(UsageError, match="ask for less"):
        list(on_ray(setup, cpus=1000)(items, frozenset()))


@pytest.mark.slow
def test_bulk_ends_like_a_scan_and_can_be_repeated(
    ray: Any, call: Call, voices: Path, tiny_path: Path, tmp_path: Path
) -> None:
    write_clip(voices / "short.wav", sound=tone(0.2, 16_000), sound_rate=16_000, audio_codec="pcm_s16le")
    arguments = ("bulk", voices, "--out", tmp_path / "table", "--model", tiny_path, "--workers", 1, "--start", "0:00.3")
    code, out, err = call(*arguments)
    assert code == 1
    assert "none.wav: expected a media file, got a text file" in err
    assert "short.wav: expected a file that ends after 0.30 s" in err
    assert "5 files in 0:0" in out  # Ray may have a line of its own before
    assert "The table has 5 files: 3 scanned," in out
    assert pyarrow.dataset.dataset(tmp_path / "table" / "scans").count_rows() == 3
    (voices / "none.wav").unlink()
    code, out, err = call(*arguments, "--json")
    record = json.loads(out.splitlines()[-1])
    assert (code, record["skipped"], record["done"]) == (1, 4, 0)  # the table has failures
    code, _, err = call(*arguments[:-2])
    assert (code, "start_s 0.3, now None" in err) == (2, True)


def test_bulk_gives_its_workers_what_was_chosen(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Setup] = []
    error = MediaError("a.mp4", expected="a video", got="none", remedy="none")
    failed = Outcome(Item("a.mp4"), "failed", error=error)  # something to write: only then the settings bind the table

    def engine_of(setup: Setup, *_: object, **__: object) -> Callable[..., Iterator[Any]]:
        given.append(setup)
        return lambda items, known: (outcome for outcome in [failed])

    monkeypatch.setattr("fakespan.bulk.engines.on_ray", engine_of)
    table, chosen = tmp_path / "table", ("--start", "0:02", "--end", "5.5", "--backend", "onnx")
    assert call("bulk", tmp_path, "--out", table, *chosen)[0] == 1
    assert (given[0].options["start_s"], given[0].options["end_s"], given[0].backend) == (2.0, 5.5, "onnx")
    code, _, err = call("bulk", tmp_path, "--out", table, *chosen[:-2])
    assert (code, "backend 'onnx', now None" in err) == (2, True)


def test_bulk_refuses_ranges_that_are_none(call: Call, tmp_path: Path) -> None:
    code, _, err = call("bulk", tmp_path, "--out", tmp_path / "table", "--start", "7", "--end", "0:05")
    assert (code, "end: expected a time after the start" in err) == (2, True)
    assert not (tmp_path / "table").exists()
