"""Files of the command line: folders that are scanned, outputs that cannot be written, results in one folder."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clips import tone, write_clip
from fakespan.localizer import Localizer
from fakespan.report.export import read_json, write_json
from fakespan.types import Scan, Source
from ordinary_user import ordinary_user
from scans import forged

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scan(call: Call, tiny_path: Path) -> Call:
    """`fakespan scan` with the tiny network."""
    return lambda *arguments: call("scan", "--model", tiny_path, "--device", "cpu", *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "many"


def voice(path: Path, hertz: float = 200.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = tone(0.3, 16_000, hz=hertz)
    made = write_clip(path.with_suffix(".wav"), sound=sound, sound_rate=16_000, audio_codec="pcm_s16le")
    return made.rename(path)


def scanned(out: str) -> list[str]:
    return [Path(json.loads(line)["file"]).name for line in out.splitlines()]


# -- folders


def test_a_folder_scan_tells_what_it_leaves_out(scan: Call, folder: Path) -> None:
    for name in ("a.qt", "b.3g2", "deep/c.DIVX"):
        voice(folder / name)
    for name in ("notes.txt", "deep/more.txt", "raw", "table.json"):
        (folder / name).write_text("no media")
    (folder / "link").symlink_to(folder / "deep")
    code, out, err = scan(folder, "--json")
    assert (code, scanned(out)) == (0, ["a.qt", "b.3g2", "c.DIVX"])
    (line,) = err.splitlines()
    assert "left out 5 " in line
    for kind in ("2 .txt", "1 .json", "1 without a suffix", "1 linked folder"):
        assert kind in line


def test_a_file_that_is_named_twice_is_scanned_once(scan: Call, folder: Path) -> None:
    first, second = voice(folder / "a.wav"), voice(folder / "b.wav")
    code, out, err = scan(second, folder, folder / "." / "b.wav", "--json")
    assert (code, scanned(out)) == (0, ["b.wav", first.name])
    assert "left out 2 that are named twice" in err


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_scanned(scan: Call, folder: Path) -> None:
    voice(folder / "a.wav")
    voice(folder / "closed" / "b.wav")
    (folder / "closed").chmod(0)
    with ordinary_user():
        code, out, err = scan(folder, "--json")
        inside = scan(folder / "closed" / "b.wav")
    (folder / "closed").chmod(0o700)
    assert (code, scanned(out)) == (1, ["a.wav"])
    assert err.startswith(f"fakespan: {folder / 'closed'}: expected a folder that can be read, got permission denied;")
    assert err.count("\n") == 1
    assert inside[0] == 1
    assert inside[2].count("\n") == 1
    assert "permission denied" in inside[2]


def test_a_file_that_cannot_be_read_is_told_without_asking_for_a_report(scan: Call, tmp_path: Path) -> None:
    path = voice(tmp_path / "a.wav")
    path.chmod(0)
    with ordinary_user():
        code, _, err = scan(path)
    assert code == 1
    assert err == f"fakespan: {path}: expected a media file, got permission denied; check its permissions\n"


def test_a_folder_nested_beyond_the_longest_path_is_told(
    scan: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice(folder / "a.wav")
    with monkeypatch.context() as moves:
        moves.chdir(folder)
        for _ in range(25):
            os.mkdir("x" * 200)
            moves.chdir("x" * 200)
    code, out, err = scan(folder, "--json")
    assert (code, scanned(out)) == (1, ["a.wav"])
    assert err.count("\n") == 1
    assert "got file name too long;" in err


# -- outputs that cannot be written


@pytest.mark.parametrize("arguments", [["--version"], ["scan", "--help"], ["report", "RESULT"], ["info", "CLIP"]])
def test_a_full_disk_behind_the_output_is_told_in_one_line(tmp_path: Path, arguments: list[str]) -> None:
    write_json(forged(), tmp_path / "a.json")
    files = {"RESULT": str(tmp_path / "a.json"), "CLIP": str(voice(tmp_path / "a.wav"))}
    command = [sys.executable, "-m", "fakespan", *(files.get(a, a) for a in arguments)]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "got no space left on device" in done.stderr


def test_a_folder_that_may_not_be_written_is_told_before_the_scan(
    scan: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Localizer, path: Path, **options: object) -> Scan:
        raise AssertionError("scanned before the folder was tried")

    monkeypatch.setattr(Localizer, "scan", fail)
    (tmp_path / "out").mkdir(mode=0o500)
    with ordinary_user():
        code, out, err = scan(voice(tmp_path / "a.wav"), "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.endswith("out: expected a folder to write to, got permission denied; change --out\n")


def test_a_table_of_somebody_else_is_told_before_the_scan(
    scan: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Localizer, "scan", None)
    (tmp_path / "results.csv").write_text("name,grade\nx,1\n")
    code, _, err = scan(voice(tmp_path / "a.wav"), "--out", tmp_path, "-f", "csv")
    assert code == 2
    assert "expected a table of fakespan to add to, got columns grade, name" in err


# -- options without effect


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-f", "csv"], "--format: expected --out with it"),
        (["--embed"], "--embed: expected --out with it"),
        (["--reference", "x.mp4"], "--reference: expected --out with it"),
        (["--reference", "no.mp4", "--out", "OUT"], "no.mp4: expected a media file"),
        (["--embed", "-f", "json", "--out", "OUT"], "--embed: expected --format html with it, got json"),
    ],
)
def test_an_option_without_effect_is_wrong_usage(scan: Call, tmp_path: Path, options: list[str], said: str) -> None:
    code, out, err = scan(voice(tmp_path / "a.wav"), *(str(tmp_path / "out") if o == "OUT" else o for o in options))
    assert (code, out) == (2, "")
    assert err.startswith(f"fakespan: {said}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [["--split", "test"], ["--limit", "1"], ["--quick"], ["--workers", "1"]])
def test_options_of_a_data_set_are_refused_for_a_file(call: Call, tmp_path: Path, options: list[str]) -> None:
    code, out, err = call("info", voice(tmp_path / "a.wav"), *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"fakespan: {options[0]}: expected --data with it")


# -- results in one folder


def test_a_later_run_on_another_file_of_that_name_keeps_the_first_result(scan: Call, tmp_path: Path) -> None:
    first, second, out = voice(tmp_path / "1" / "a.wav"), voice(tmp_path / "2" / "a.wav", 300.0), tmp_path / "out"
    formats = ["-f", "json", "-f", "html", "-f", "csv"]
    for file in (first, second, second, first):
        assert scan(file, "--out", out, *formats)[0] == 0
    results = {Path(read_json(path).file): path.stem for path in out.glob("*.json")}
    assert set(results) == {first, second}
    assert results[first] == "a"
    assert {path.stem for path in out.glob("*.html")} == set(results.values())
    rows = list(csv.DictReader((out / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["file"] for row in rows} == {str(first), str(second)}
    assert len({(row["file"], row["segment"]) for row in rows}) == len(rows)


def test_files_of_one_name_in_one_run_get_a_result_each(scan: Call, tmp_path: Path) -> None:
    files = [voice(tmp_path / str(k) / "a.wav", 200.0 + 50 * (k % 2)) for k in range(3)]  # the third is a copy
    assert scan(*files, "--out", tmp_path / "out", "-f", "json")[0] == 0
    results = {read_json(path).file for path in (tmp_path / "out").glob("*.json")}
    assert results == {str(file) for file in files}


def test_runs_at_the_same_time_share_a_table(tmp_path: Path) -> None:
    runs = [list(saved(tmp_path / f"run{k}", k)) for k in range(3)]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "fakespan",
        "--quiet",
        "report",
        "--out",
        tmp_path / "out",
        "-f",
        "csv",
        "-f",
        "json",
    ]
    processes = [subprocess.Popen([*command, *files]) for files in runs]
    assert [process.wait() for process in processes] == [0, 0, 0]
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8") as table:
        files = {row["file"] for row in csv.DictReader(table)}
    assert files == {read_json(path).file for run in runs for path in run}
    assert {read_json(path).file for path in (tmp_path / "out").glob("*.json")} == files


def saved(folder: Path, run: int) -> Iterator[Path]:
    """Results of ten files, of which each run has one of the same name."""
    folder.mkdir()
    for k in range(10):
        source = Source("clip.mp4", 1, hashlib.sha256(f"{run} {k}".encode()).hexdigest())
        path = folder / f"{k}.json"
        write_json(dataclasses.replace(forged(file=f"run{run}/clip{k}.mp4"), source=source), path)
        yield path
