"""Signatures and verification: any change of a result is seen, and so is a file or model that it is not of."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clips import spoken, write_clip
from fakespan.errors import DataError, MissingExtraError, UsageError
from fakespan.evidence.keys import create_keys, private_key, public_key
from fakespan.evidence.signing import is_signed_by, sign
from fakespan.evidence.verifying import is_same
from fakespan.localizer import load_model
from fakespan.report.export import WRITERS, json_text, read_json
from fakespan.types import Segment
from little_room import little_room
from scans import HOSTILE_NAME, forged, recorded

Call = Callable[..., tuple[int, str, str]]
KEY = Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key; the public one lies beside it."""
    path = tmp_path_factory.mktemp("keys") / "desk.pem"
    create_keys(path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "voice.wav"
    return write_clip(path, sound=spoken(1.5), sound_rate=16_000, audio_codec="pcm_s16le")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, clip: Path, tiny_path: Path, keys: Path) -> Path:
    """The signed result of the clip."""
    path = tmp_path_factory.mktemp("results") / "voice.json"
    WRITERS["json"](sign(load_model(tiny_path).scan(clip), private_key(keys)), path)
    return path


# -- keys


def test_a_private_key_is_its_owners_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "desk.pem"
    public, _ = create_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes(), public.read_bytes()
    with pytest.raises(UsageError, match="never replaced"):
        create_keys(path)
    public.unlink()
    with pytest.raises(UsageError, match="never replaced"):
        create_keys(path)
    assert path.read_bytes() == before[0]
    assert not public.exists()


@pytest.mark.parametrize("room", [20, 115])  # less than the public key, and than the private one
def test_a_full_disk_leaves_no_half_a_key(room: int, tmp_path: Path) -> None:
    with little_room(room), pytest.raises(UsageError, match="expected a file that can be written"):
        create_keys(tmp_path / "desk.pem")
    assert not list(tmp_path.iterdir())
    create_keys(tmp_path / "desk.pem")


@pytest.mark.parametrize("folder", [".", "/", ""])
def test_a_folder_is_no_name_for_a_key(folder: str) -> None:
    with pytest.raises(UsageError, match="a new file for a key, got a folder"):
        create_keys(Path(folder))


def test_other_files_are_no_keys(keys: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no key")
    for read, path, got in (
        (private_key, keys.with_name("desk.pub.pem"), "a public key"),
        (public_key, keys, "a private key"),
        (private_key, other, "another file"),
        (public_key, tmp_path / "none.pem", "no such file"),
    ):
        with pytest.raises(UsageError, match=got):
            read(path)


# -- signatures


def test_any_change_of_a_signed_result_is_seen() -> None:
    record = json.loads(json_text(sign(recorded(), KEY)))
    assert is_signed_by(KEY.public_key(), record)
    assert not is_signed_by(Ed25519PrivateKey.generate().public_key(), record)
    for change in _changes(record):
        assert not is_signed_by(KEY.public_key(), change)


def _changes(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Every field of the record changed, one at a time, a field more, and a field less."""
    changed = [{**record, name: "other"} for name in record] + [{**record, "more": 1}]
    changed += [{key: value for key, value in record.items() if key != name} for name in record]
    deep = copy.deepcopy(record)
    deep["segments"][1]["end_s"] += 0.001
    deeper = copy.deepcopy(record)
    deeper["evidence"]["libraries"][0]["version"] += "1"
    return [*changed, deep, deeper]


def test_order_and_white_space_do_not_matter() -> None:
    record = json.loads(json_text(sign(recorded(), KEY)))
    backwards = json.dumps(dict(reversed(record.items())), indent=2)
    assert is_signed_by(KEY.public_key(), json.loads(backwards))


def test_a_signed_result_is_read_and_written_in_every_format(tmp_path: Path) -> None:
    scan = sign(recorded(file=HOSTILE_NAME), KEY)
    WRITERS["json"](scan, tmp_path / "a.json")
    again = read_json(tmp_path / "a.json")
    assert again == scan
    for name, write in WRITERS.items():
        write(again, tmp_path / f"out.{name}")
    assert is_signed_by(KEY.public_key(), json.loads((tmp_path / "out.json").read_bytes()))
    assert scan.signature is not None
    assert scan.signature.key_sha256 in (tmp_path / "out.html").read_text()


def test_a_name_without_canonical_json_is_refused() -> None:
    with pytest.raises(UsageError, match="rename"):
        sign(forged(file="\udcff.mp4"), KEY)


def test_a_field_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json_text(recorded()).replace('"score":0.93', '"score":0.1,"score":0.93', 1))
    with pytest.raises(DataError, match="'score' twice"):
        read_json(path)


@pytest.mark.parametrize("library", ["cryptography", "rfc8785"])
def test_a_missing_library_is_named(library: str, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"fakespan\[sign\]"):
        sign(recorded(), private_key(keys))


# -- verification


def test_a_result_is_verified_and_repeated(call: Call, result: Path, clip: Path, tiny_path: Path, keys: Path) -> None:
    public = keys.with_name("desk.pub.pem")
    code, out, _ = call("verify", result, clip, "--model", tiny_path, "--key", public, "--json")
    found = json.loads(out)
    assert (code, found["holds"]) == (0, True)
    assert {check["name"]: check["state"] for check in found["checks"]} == dict.fromkeys(
        ("signature", "file", "version", "model", "scan"), "holds"
    )


def test_what_does_not_hold_is_told(call: Call, result: Path, clip: Path, tiny_path: Path, tmp_path: Path) -> None:
    def states(*arguments: object) -> tuple[int, dict[str, str]]:
        code, out, _ = call("verify", *arguments, "--json", "--no-rescan")
        return code, {check["name"]: check["state"] for check in json.loads(out)["checks"]}

    other_clip, other_model = tmp_path / "other.wav", tmp_path / "other.safetensors"
    shutil.copy(clip, other_clip)
    shutil.copy(tiny_path, other_model)
    for path in (other_clip, other_model):
        with path.open("ab") as file:
            file.write(b"0")
    code, found = states(result, other_clip, "--model", tiny_path)
    assert (code, found["file"], found["signature"]) == (3, "differs", "not_checked")
    code, found = states(result, clip, "--model", other_model)
    assert (code, found["model"]) == (3, "differs")
    code, found = states(result, clip)  # the tiny model is not a shipped one
    assert (code, found["model"]) == (3, "not_checked")
    create_keys(tmp_path / "other.pem")
    code, found = states(result, clip, "--model", tiny_path, "--key", tmp_path / "other.pub.pem")
    assert (code, found["signature"], found["file"]) == (3, "differs", "holds")


def test_a_result_of_older_versions_does_not_hold(call: Call, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json_text(forged()))
    code, out, _ = call("verify", path, clip, "--no-rescan")
    assert code == 3
    assert "older version" in out


def test_a_changed_finding_is_seen_without_a_signature(
    call: Call, result: Path, clip: Path, tiny_path: Path, tmp_path: Path
) -> None:
    record = json.loads(result.read_bytes())
    record["segments"] = [{"start_s": 0.1, "end_s": 0.4, "score": 0.9, "modality": "audio"}]
    path = tmp_path / "forged.json"
    path.write_text(json.dumps(record))
    code, out, _ = call("verify", path, clip, "--model", tiny_path)
    assert code == 3
    assert "DIFFERS      scan" in out
    assert "0.10-0.40 s (audio, 0.90)" in out


def test_scans_are_the_same_within_a_frame_and_rounding() -> None:
    def moved(by_s: float, score: float = 0.0) -> Any:
        first, *others = recorded().segments
        near = Segment(first.start_s + by_s, first.end_s, first.score - score, first.modality, first.track)
        return dataclasses.replace(recorded(), segments=(near, *others))

    assert is_same(recorded(), moved(0.04))
    assert is_same(recorded(), moved(0.0, 0.009))
    assert not is_same(recorded(), moved(0.08))
    assert not is_same(recorded(), moved(0.0, 0.02))
    assert not is_same(recorded(), dataclasses.replace(recorded(), segments=()))
    assert not is_same(recorded(), dataclasses.replace(recorded(), score=recorded().score - 0.02))


def test_a_difference_of_exactly_the_tolerance_is_within_it() -> None:
    def scored(score: float) -> Any:
        return dataclasses.replace(recorded(), score=score, segments=(Segment(1.0, 2.0, score, "visual"),))

    assert is_same(scored(0.87), scored(0.86))  # 0.87 - 0.86 > 0.01 in binary
    assert not is_same(scored(0.87), scored(0.8599))


def test_segments_that_change_places_within_a_frame_are_the_same() -> None:
    def of_two_faces(start_s: float) -> Any:
        short, long = Segment(start_s, 2.0, 0.8, "visual", 0), Segment(1.04, 5.0, 0.9, "visual", 1)
        return dataclasses.replace(recorded(), segments=(short, long))

    assert is_same(of_two_faces(1.0), of_two_faces(1.04))
    assert is_same(of_two_faces(1.04), of_two_faces(1.08))
    assert not is_same(of_two_faces(1.0), of_two_faces(1.08))
    twice = dataclasses.replace(recorded(), segments=of_two_faces(1.0).segments[:1] * 2)
    assert not is_same(of_two_faces(1.0), twice)


def test_results_are_signed_where_they_are_made_and_where_they_are_written_again(
    call: Call, clip: Path, tiny_path: Path, keys: Path, tmp_path: Path
) -> None:
    public = public_key(keys.with_name("desk.pub.pem"))
    code, out, _ = call("scan", clip, "--model", tiny_path, "--sign", keys, "--json")
    assert code == 0
    assert is_signed_by(public, json.loads(out))
    (tmp_path / "plain.json").write_text(json_text(recorded()))
    code, out, _ = call("report", tmp_path / "plain.json", "--sign", keys, "--out", tmp_path, "-f", "json", "--json")
    assert code == 0
    assert is_signed_by(public, json.loads(out))


def test_a_bad_key_is_refused_before_the_scan(call: Call, clip: Path, tmp_path: Path) -> None:
    code, _, err = call("scan", clip, "--sign", tmp_path / "none.pem", "--out", tmp_path / "out")
    assert code == 2
    assert "no such file" in err
