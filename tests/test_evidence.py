"""What a result records about its own making: enough to repeat it, and nothing about who made it."""

from __future__ import annotations

import dataclasses
import getpass
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from clips import spoken, write_clip
from fakespan.config import PostConfig
from fakespan.errors import DataError
from fakespan.localizer import Localizer, load_model
from fakespan.localizer.evidence import config_text
from fakespan.report.export import json_text, read_json
from fakespan.report.html import render_html
from fakespan.types import Scan
from scans import forged, recorded


@pytest.fixture(scope="module")
def localizer(tiny_path: Path) -> Localizer:
    return load_model(tiny_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "voice.wav"
    return write_clip(path, sound=spoken(1.5), sound_rate=16_000, audio_codec="pcm_s16le")


@pytest.fixture(scope="module")
def scanned(localizer: Localizer, clip: Path) -> Scan:
    return localizer.scan(clip, threshold=0.25, audio_track=1)


def test_a_scan_records_what_it_takes_to_repeat_it(scanned: Scan, tiny_path: Path, localizer: Localizer) -> None:
    evidence = scanned.evidence
    assert evidence is not None
    assert evidence.model_file is not None
    assert evidence.model_file.sha256 == hashlib.sha256(tiny_path.read_bytes()).hexdigest()
    assert evidence.model_file.size_bytes == tiny_path.stat().st_size
    options = evidence.options
    assert (options.threshold, options.video_track, options.audio_track) == (0.25, None, 1)
    assert {"Python", "av", "numpy", "torch"} <= {library.name for library in evidence.libraries}
    text = config_text(localizer.model, dataclasses.replace(localizer.post, threshold=0.25))
    assert evidence.config_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert evidence.config_size_bytes == len(text)


def test_another_config_has_another_digest(localizer: Localizer) -> None:
    other = dataclasses.replace(localizer.model, max_duration=9)
    assert len({config_text(model, PostConfig()) for model in (localizer.model, other)}) == 2


def test_it_names_neither_user_nor_computer(scanned: Scan) -> None:
    told = json.dumps(scanned.to_dict()["evidence"])
    assert platform.node() not in told
    assert getpass.getuser() not in told


def test_only_the_time_differs_between_two_scans(scanned: Scan, localizer: Localizer, clip: Path) -> None:
    again = localizer.scan(clip, threshold=0.25, audio_track=1)
    assert again == scanned

    def timeless(scan: Scan) -> dict[str, Any]:
        record = scan.to_dict()
        del record["evidence"]["scanned_at"]
        return record

    assert timeless(again) == timeless(scanned)


def test_json_gives_the_evidence_back_and_the_page_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json_text(recorded()))
    scan = read_json(path)
    assert scan == recorded()
    evidence = scan.evidence
    assert evidence is not None
    assert evidence.scanned_at == "2026-01-02T03:04:05+00:00"
    page = render_html(scan)
    for text in (evidence.scanned_at, evidence.config_sha256, "torch 2.6", "Linux x86_64", "b" * 64):
        assert text in page
    assert "Scanned at" not in render_html(forged())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config_sha256",), "../../etc"),
        (("config_size_bytes",), -1),
        (("options", "faces"), "all"),
        (("options", "threshold"), 7),
        (("model_file", "sha256"), "x" * 64),
        (("libraries",), [{"name": "torch"}]),
    ],
)
def test_evidence_that_cannot_be_is_refused(place: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    record = recorded().to_dict()
    inner = record["evidence"]
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path = tmp_path / "result.json"
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=place[-1]):
        read_json(path)
