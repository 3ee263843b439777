"""The command line: what is printed, written and returned; a bad input is one line, and the others are done."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clips import tone, write_clip, write_frames_at
from fakespan import cli
from fakespan.localizer import Localizer
from fakespan.report.export import write_json
from fakespan.types import FORMAT, Scan
from scans import clean, forged

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def scan(call, tiny_path):
    """`fakespan scan` with the tiny network."""
    return lambda *arguments: call("scan", "--model", tiny_path, "--device", "cpu", *arguments)


@pytest.fixture
def voice(tmp_path):
    return write_clip(tmp_path / "voice.wav", sound=tone(1.0, 16_000), sound_rate=16_000, audio_codec="pcm_s16le")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- what it prints and writes ----------------------------------------------------------------------------------------


def test_a_scan_is_shown(scan, voice):
    code, out, err = scan(voice)
    assert (code, err) == (0, "")
    assert "voice.wav" in out
    assert "model tiny" in out
    assert "note: no picture" in out


def test_json_is_one_record_a_line_and_nothing_else(scan, voice, tmp_path):
    other = write_clip(tmp_path / "z\u00fc\U0001f3ac.wav", sound=tone(0.5), audio_codec="pcm_s16le")
    code, out, err = scan(voice, other, "--json", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["file"] for record in records] == [str(voice), str(other)]
    assert all(record["format"] == FORMAT for record in records)
    assert Scan.from_dict(records[0]).model == "tiny"
    content = voice.read_bytes()
    expected = {"name": "voice.wav", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert records[0]["source"] == expected


def test_out_writes_every_format(scan, voice, tmp_path):
    folder = tmp_path / "new" / "folder"
    formats = [part for name in ("json", "csv", "vtt", "svg", "html") for part in ("-f", name)]
    code, out, _ = scan(voice, "--out", folder, *formats)
    assert code == 0
    assert names(folder) == {"voice.json", "results.csv", "voice.vtt", "voice.svg", "voice.html"}
    assert all(name in out for name in names(folder))
    assert json.loads((folder / "voice.json").read_text())["file"] == str(voice)
    assert str(voice) in (folder / "results.csv").read_text()
    assert (folder / "voice.vtt").read_text().startswith("WEBVTT")
    assert "<html" in (folder / "voice.html").read_text()


def test_a_folder_stands_for_the_media_files_in_it(scan, tmp_path):
    for name in ("b.wav", "deep/a.WAV", "c.txt"):
        path = tmp_path / "many" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no media") if name == "c.txt" else write_clip(
            path.with_suffix(".wav"), sound=tone(0.3), audio_codec="pcm_s16le"
        ).rename(path)
    code, out, _ = scan(tmp_path / "many", "--json")
    assert code == 0
    assert [Path(json.loads(line)["file"]).name for line in out.splitlines()] == ["b.wav", "a.WAV"]


def test_options_reach_the_localizer(scan, voice, monkeypatch):
    seen = {}

    def look(self, path, **options):
        seen.update(options)
        return clean(file=str(path))

    monkeypatch.setattr(Localizer, "scan", look)
    assert (
        scan(voice, "--faces", "whole", "--threshold", "0.25", "--decoding", "published", "--audio-track", "2")[0] == 0
    )
    seen.pop("progress")
    assert seen == {
        "faces": "whole",
        "threshold": 0.25,
        "decoding": "published",
        "video_track": None,
        "audio_track": 2,
        "sound": "speech",
        "start_s": None,
        "end_s": None,
        "prior": None,
    }


def test_a_published_checkpoint_scans(call, voice):
    code, out, err = call(
        "scan", voice, "--model", GOLDEN / "lightning_batfd_tiny.ckpt", *("--device", "cpu", "--sound", "all", "--json")
    )
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["model"] == "lightning_batfd_tiny"
    assert len(record["curves"][0]["values"]) == 25


def test_a_published_checkpoint_scans_faces(call, tmp_path):
    path = write_clip(
        tmp_path / "face.mkv",
        [np.full((96, 96, 3), 90, np.uint8)] * 12,
        np.arange(12) / 25,
        sound=tone(0.48),
        audio_codec="pcm_s16le",
    )
    code, out, err = call(
        "scan", path, "--faces", "whole", "--model", GOLDEN / "lightning_batfd_tiny.ckpt", "--device", "cpu", "--json"
    )
    assert (code, err) == (0, "")
    assert {curve["modality"] for curve in json.loads(out)["curves"]} == {"visual", "audio", "fused"}


def test_facts_of_files(call, voice, tiny_path):
    code, out, _ = call("info", voice)
    assert (code, json.loads(out)["sample_rate"]) == (0, 16_000)
    code, out, _ = call("info", tiny_path, "--json")
    assert (code, json.loads(out)["model"]["family"]) == (0, "small")
    assert out.count("\n") == 1
    code, out, _ = call("info", "small", "--json")
    assert (code, json.loads(out)["model"]["family"]) == (0, "experts")


def test_saved_results_are_shown_again(call, tmp_path):
    write_json(forged(), tmp_path / "a.json")
    write_json(clean(), tmp_path / "b.json")
    (tmp_path / "bad.json").write_text("[]")
    out_folder = tmp_path / "out"
    code, out, err = call("report", *(tmp_path / f"{n}.json" for n in ("a", "bad", "b")), "--out", out_folder)
    assert code == 1
    assert err.count("\n") == 1
    assert "bad.json: expected a fakespan result" in err
    assert "fakespan scan FILE --out DIR" in err
    assert names(out_folder) == {"interview.html", "interview-2.html"}
    assert "SUSPECTED FORGED" in out


def test_version_and_help(call):
    assert call("--version") == (0, f"fakespan {cli.__version__}\n", "")
    for command in ([], ["scan"], ["report"], ["info"], ["train"], ["evaluate"]):
        code, out, _ = call(*command, "--help")
        assert code == 0
        assert "Usage: fakespan" in out


# -- bad media --------------------------------------------------------------------------------------------------------


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    black = [np.zeros((64, 64, 3), np.uint8)]
    if kind == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("no media")
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("Dear reader,\n" * 50)
    elif kind == "truncated":
        write_frames_at(path, 25, 1.0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "no_frames":
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            output.start_encoding()
    elif kind == "one_frame":
        write_clip(path, black, [0.0])
    elif kind == "tiny":
        write_clip(path, [np.full((8, 8, 3), k, np.uint8) for k in range(30)], np.arange(30) / 25)
    elif kind == "black":
        write_clip(path, black * 30, np.arange(30) / 25)
    return path


@pytest.mark.parametrize(
    ("kind", "expected", "got"),
    [
        ("missing", "a media file", "no such file"),
        ("folder", "a folder with media files", "none in it"),
        ("empty", "a media file", "an empty file"),
        ("text", "a media file", "a text file"),
        ("truncated", "a media file", "cut short"),
        ("no_frames", "a picture or sound stream", "neither"),
    ],
)
def test_a_bad_file_is_one_line_and_the_others_are_done(scan, voice, tmp_path, *, kind, expected, got):
    bad, folder = bad_file(tmp_path, kind), tmp_path / "out"
    code, out, err = scan(bad, voice, "--json", "--out", folder)
    assert code == 1
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(voice)]
    (line,) = err.splitlines()
    assert line.startswith(f"fakespan: {bad}: expected {expected}")
    assert got in line
    assert "; " in line.split(", got ")[1]  # what to do
    assert names(folder) == {"voice.html", "voice.json"}


@pytest.mark.parametrize(
    ("kind", "options", "reasons"),
    [
        ("one_frame", (), {"picture_only", "too_short"}),
        ("tiny", (), {"no_face", "picture_only", "too_short"}),
        ("black", (), {"no_face", "picture_only", "too_short"}),
        ("black", ("--faces", "none"), {"picture_only", "too_short"}),
    ],
)
def test_a_file_with_neither_face_nor_sound_is_inconclusive(scan, tmp_path, kind, options, reasons):
    code, out, err = scan(bad_file(tmp_path, kind), "--json", *options)
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["outcome"], result["segments"], result["score"]) == ("inconclusive", [], 0.0)
    assert set(result["reasons"]) == reasons
    assert result["judged_share"]["either"] == 0.0
    assert result["duration_s"] > 0
    assert result["notes"][0].startswith("no sound and ")


@pytest.mark.parametrize("kind", ["tiny", "black", "one_frame"])
def test_odd_pictures_with_a_voice_are_judged_by_it(scan, tmp_path, kind):
    source = bad_file(tmp_path, kind)
    with av.open(str(source)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    path = write_clip(tmp_path / "x.mp4", pictures, np.arange(len(pictures)) / 25, sound=tone(1.0))
    code, out, err = scan(path, "--json")
    assert (code, err) == (0, "")
    assert any("no face" in note for note in json.loads(out)["notes"])


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"sound": np.zeros((1, 16_000), np.float32), "sound_rate": 16_000}, "digital silence"),
        ({"sound": tone(1.0, 48_000, n_channels=8), "sound_rate": 48_000, "layout": "7.1"}, "no picture"),
        ({"sound": tone(1.0, 8_000), "sound_rate": 8_000}, "no picture"),
    ],
)
def test_odd_sound_is_scanned(scan, tmp_path, options, note):
    path = write_clip(tmp_path / "x.wav", audio_codec="pcm_s16le", **options)
    code, out, err = scan(path, "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["duration_s"] == pytest.approx(1.0, abs=0.05)
    assert any(note in text for text in record["notes"])


def test_an_error_that_nobody_foresaw_is_one_line_too(scan, voice, monkeypatch):
    def fail(self, path, **options):
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(Localizer, "scan", fail)
    code, out, err = scan(voice)
    assert (code, out) == (1, "")
    said = f"fakespan: {voice}: expected a usable file, got RuntimeError: out of memory; please report this"
    assert err.startswith(said)
    assert err.count("\n") == 1
    code, _, err = scan(voice, "--debug")
    assert code == 1
    assert "Traceback" in err
    assert "in fail" in err


def test_hostile_names_stay_on_one_line(scan):
    code, _, err = scan("a\nb\x1b[31m.mp4")
    assert code == 1
    assert err.count("\n") == 1
    assert "\x1b" not in err


# -- bad models and configs -------------------------------------------------------------------------------------------


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def bad_model(folder: Path, kind: str, tiny_path: Path) -> Path:
    path = folder / f"{kind}.ckpt"
    if kind == "damaged":
        path = folder / "damaged.safetensors"
        path.write_bytes(tiny_path.read_bytes()[:-100])
    elif kind == "malicious":
        path.write_bytes(pickle.dumps({"state_dict": Malicious(folder / "harm")}, protocol=2))
    elif kind == "other":
        torch.save({"state_dict": {"layer1.weight": torch.zeros(2)}, "hyper_parameters": {}}, path)
    elif kind == "stranger":
        path = folder / "stranger.safetensors"
        save_file({"weight": torch.zeros(3)}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "got"),
    [
        ("missing", "No such file"),
        ("damaged", "a damaged one"),
        ("malicious", "a plain pickle; save it with torch 1.6 or newer if you trust it"),
        ("other", "a checkpoint of another network"),
        ("stranger", "safetensors of another program"),
    ],
)
def test_a_bad_model_is_one_line(call, voice, tmp_path, tiny_path, *, kind, got):
    path = bad_model(tmp_path, kind, tiny_path)
    code, out, err = call("scan", voice, "--model", path, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"fakespan: {path}: expected ")
    assert got in line
    assert not (tmp_path / "harm").exists()
    assert names(tmp_path / "out") == set()
    assert call("info", path)[0] == 1


def test_an_unknown_config_key_is_one_line(call, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[model]\nfamly = 'small'\n")
    code, out, err = call("train", path, "--data", f"lavdf:{tmp_path}", "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "got the key 'famly'; did you mean family?" in line
    assert not (tmp_path / "run").exists()


def test_debug_tells_where_it_came_from(call, tmp_path):
    code, _, err = call("info", tmp_path / "none.mp4", "--debug")
    assert code == 1
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("fakespan: ")
    assert call("--debug", "info", tmp_path / "none.mp4")[0] == 1


# -- wrong usage, and leaving early -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus"], "No such option: --bogus"),
        ([], "Missing argument"),
        (["x.mp4", "--threshold", "2"], "--threshold"),
        (["x.mp4", "--faces", "some"], "--faces"),
        (["x.mp4", "--model", "enormous"], "expected"),
        (["x.mp4", "--device", "abacus"], "--device"),
        ([""], "command line: expected a value, file or folder, got an empty argument"),
        (["x.mp4", "--out", ""], "--out: expected"),
        (["x.mp4", "--out="], "--out: expected"),
    ],
)
def test_wrong_usage_is_told(call, tiny_path, arguments, said):
    model = [] if "--model" in arguments else ["--model", tiny_path]
    code, out, err = call("scan", *arguments, *model)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_folder_that_cannot_be_made_is_told_before_the_work(scan, voice):
    code, out, err = scan(voice, "--out", voice / "out")
    assert (code, out) == (2, "")
    assert "expected a folder to write to" in err


def test_a_report_never_replaces_the_scanned_file(scan, voice):
    as_vtt = voice.rename(voice.with_suffix(".vtt"))
    before = as_vtt.read_bytes()
    code, _, err = scan(as_vtt, "--out", as_vtt.parent, "-f", "vtt")
    assert (code, as_vtt.read_bytes()) == (0, before)
    (written,) = as_vtt.parent.glob("voice-*.vtt")
    assert written.read_text().startswith("WEBVTT")
    assert "voice.*: results of another file" in err


def test_stopping_keeps_what_is_done(scan, voice, tmp_path, monkeypatch):
    real_scan, n_calls = Localizer.scan, []

    def stop_at_the_second(self, path, **options):
        n_calls.append(path)
        if len(n_calls) == 2:
            raise KeyboardInterrupt
        return real_scan(self, path, **options)

    monkeypatch.setattr(Localizer, "scan", stop_at_the_second)
    others = [shutil.copy(voice, tmp_path / f"{k}.wav") for k in range(2)]
    code, _, err = scan(voice, *others, "--out", tmp_path / "out", "-f", "json", "-f", "csv")
    assert code == 130
    assert "Traceback" not in err
    assert names(tmp_path / "out") == {"voice.json", "results.csv"}
    assert len(n_calls) == 2


def test_help_loads_nothing_heavy():
    program = (
        "import sys; sys.argv = ['fakespan', 'scan', '--help']\n"
        "from fakespan import cli\n"
        "try: cli.main()\n"
        "finally: print('loaded', {'torch', 'av', 'cv2', 'numpy', 'rich.console', 'jinja2'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded set()"
    assert "Usage: fakespan scan" in done.stdout


def test_a_closed_pipe_is_no_failure_to_tell(tmp_path):
    for k in range(40):
        write_json(forged(), tmp_path / f"{k}.json")
    command = [sys.executable, "-m", "fakespan", "report", *sorted(tmp_path.glob("*.json")), "--out", tmp_path / "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_reader_of_json_who_leaves_is_no_failure_to_tell(scan, voice, monkeypatch):
    def leave(result):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("fakespan.cli.scan._print_json", leave)
    out, err = sys.stdout, sys.stderr
    try:
        code, _, said = scan(voice, "--json")
    finally:
        sys.stdout, sys.stderr = out, err
    assert (code, said) == (1, "")
