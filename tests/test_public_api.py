"""The names that other programs rely on; importing has no effects."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import fakespan
from fakespan import UsageError, errors
from fakespan.localizer.options import Choices, ScanOptions
from fakespan.types import FORMAT, Scan, Segment
from scans import audio_only, clean, forged

ERRORS = set(errors.__all__)
PUBLIC = {"Localizer", "Scan", "Segment", "__version__", "load_model", "metrics", "scan"} | ERRORS


def test_the_public_names_are_these():
    assert set(fakespan.__all__) == set(dir(fakespan)) == PUBLIC
    for name in PUBLIC:
        assert getattr(fakespan, name) is not None


def test_every_error_can_be_caught_by_its_public_name(tmp_path):
    assert all(issubclass(getattr(fakespan, name), fakespan.FakespanError) for name in ERRORS)
    with pytest.raises(fakespan.CheckpointError):
        fakespan.load_model(tmp_path / "missing.safetensors")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sacn'"):
        _ = fakespan.sacn


def test_names_are_where_they_belong():
    assert fakespan.Segment is Segment
    assert fakespan.Scan is Scan
    assert {"average_precision", "average_recall", "auc"} <= set(dir(fakespan.metrics))


def test_calls_take_what_the_documentation_says():
    assert list(inspect.signature(fakespan.scan).parameters)[:3] == ["path", "model", "device"]
    assert inspect.signature(fakespan.scan).parameters["model"].default == "small"
    assert list(inspect.signature(fakespan.load_model).parameters) == ["model", "device", "backend"]
    assert list(inspect.signature(fakespan.Localizer.predict).parameters) == ["self", "video", "audio"]
    options = inspect.signature(fakespan.Localizer.scan).parameters
    assert set(options) == {"self", "path", "threshold", "decoding", "progress", "choices"}
    choices = ["faces", "sound", "start_s", "end_s", "video_track", "audio_track", "prior"]
    assert list(get_type_hints(Choices)) == [field.name for field in dataclasses.fields(ScanOptions)] == choices


def test_importing_loads_nothing_heavy_and_scan_stays_a_function():
    program = (
        "import sys, fakespan\n"
        "heavy = {'torch', 'av', 'cv2', 'typer', 'numpy', 'rich', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "fakespan.Segment(0.0, 1.0, 0.5, 'both'), fakespan.scan, fakespan.load_model\n"
        "import fakespan.cli, fakespan.localizer\n"
        "print(type(fakespan.scan).__name__, callable(fakespan.load_model))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "function True"]


def test_the_package_is_typed():
    assert files("fakespan").joinpath("py.typed").is_file()


def test_the_version_is_that_of_the_project():
    import tomllib

    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    source = (root / project["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert f'\n__version__ = "{fakespan.__version__}"\n' in source


@pytest.mark.parametrize("scan", [forged(), clean(), audio_only()])
def test_a_scan_survives_the_way_through_json(scan):
    record = json.loads(json.dumps(scan.to_dict(), allow_nan=False))
    assert record["format"] == FORMAT
    assert record["is_fake"] is scan.is_fake
    assert Scan.from_dict(record) == scan


def test_fields_of_a_newer_version_are_passed_over():
    record = json.loads(json.dumps(forged().to_dict()))
    for part in (record, record["media"], record["segments"][0], record["tracks"][0], record["curves"][0]):
        part["news"] = 1
    assert Scan.from_dict(record) == forged()


def test_optional_fields_may_be_missing_and_others_not():
    record = json.loads(json.dumps(forged().to_dict()))
    del record["segments"][0]["track"]
    assert Scan.from_dict(record).segments[0].track is None
    del record["segments"][0]["score"]
    with pytest.raises(KeyError, match="score"):
        Scan.from_dict(record)
    with pytest.raises(ValueError, match="expected a record of format"):
        Scan.from_dict({**forged().to_dict(), "format": "fakespan.scan/2"})


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        forged().score = 1.0
    with pytest.raises(ValueError, match="must not end"):
        Segment(2.0, 1.0, 0.5, "both")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"end_s": 0.0}, r"end: expected a time after the start \(0 s\), got 0 s"),
        ({"start_s": 2.0, "end_s": 2.0}, r"end: expected a time after the start \(2 s\), got 2 s"),
        ({"video_track": 0}, "video_track: expected the number of a track, from 1, got 0"),
        ({"audio_track": -1}, "audio_track: expected the number of a track, from 1, got -1"),
    ],
)
def test_a_choice_that_asks_for_nothing_is_refused(choices: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ScanOptions(**choices)
