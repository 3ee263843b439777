"""`examples/pairs/sounds.py`: a bank lists each recording once, beside its original, and keeps speakers apart."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fakespan.practice.sound_bank import SoundBank, load_sound_bank
from programs import load_program
from sound_banks import speech_like, write_wav

sounds: Any = load_program("examples/pairs", "sounds")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Of each of 40 speakers a genuine utterance, a vocoded, a spoken and an enhanced one."""
    folder = tmp_path / "clips" / "neural_voice"
    lines = []
    for k in range(40):
        for system, kind, label, family in (
            ("real", "copysyn", "real", "real"),
            ("hifigan", "copysyn", "fake", "gan"),
            ("tts", "tts", "fake", "vits"),
            ("denoised", "enhanced", "real_processed", "enh"),
        ):
            path = folder / "copysyn" / f"u{k}" / f"{system}.wav"
            write_wav(path.with_name("real.flac") if system == "real" else path, speech_like(8000, k))
            name = path.with_name("real.flac") if system == "real" else path
            line = {
                "path": str(name.relative_to(folder)),
                "kind": kind,
                "label": label,
                "family": family,
                "system": system,
                "repo": "a/b",
                "speaker": f"s{k}",
                "seconds": 0.5,
            }
            lines.append(json.dumps(line))
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "clips"


def build(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> list[dict[str, Any]]:
    monkeypatch.setattr(sys, "argv", ["sounds.py", "--out", str(out), *arguments])
    sounds.main()
    return [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]


def test_twins_stand_beside_their_originals_and_speakers_are_in_one_split(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = build(monkeypatch, tmp_path / "bank", "--clips", str(clips))
    assert {row["kind"] for row in rows} == {"real", "twin", "voice", "benign"}
    assert len({row["path"] for row in rows}) == len(rows) == 160
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["speaker"], set()).add(row["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert {"train", "validation"} == set.union(*splits.values())
    bank = SoundBank.of(load_sound_bank([tmp_path / "bank"]))
    assert all(real.speaker == twin.speaker for real, twin in (*bank.twins, *bank.benign))
    assert len(bank.twins) == len(bank.benign) == len(bank.reals)


def test_a_fold_leaves_a_family_out(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = build(monkeypatch, tmp_path / "bank", "--clips", str(clips), "--leave-out", "gan")
    assert "gan" not in {row["family"] for row in rows}
    assert "twin" not in {row["kind"] for row in rows}


def test_missing_parts_are_said(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build(monkeypatch, tmp_path / "bank", "--clips", str(clips), "--zoo", str(tmp_path / "none"))
    assert "zoo: no such folder, skipped" in capsys.readouterr().out


def test_a_fold_and_what_it_left_out_share_no_speaker_and_the_fold_lacks_systems(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = build(monkeypatch, tmp_path / "kept", "--clips", str(clips), "--fold", "1")
    left_out = build(monkeypatch, tmp_path / "left", "--clips", str(clips), "--fold", "1", "--left-out")
    speakers, hidden = ({row["speaker"] for row in rows} for rows in (kept, left_out))
    assert speakers.isdisjoint(hidden)
    assert len(speakers | hidden) == 40 > len(speakers) > len(hidden) > 0
    assert "hifigan" not in {row["system"].rpartition(":")[2] for row in kept}
    assert {row["kind"] for row in left_out} == {"real", "twin"}
    assert SoundBank.of(load_sound_bank([tmp_path / "left"]), "left out").twins


def test_what_was_left_out_belongs_to_a_fold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        build(monkeypatch, tmp_path / "bank", "--left-out")
