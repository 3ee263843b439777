"""What `inspect` counts, and that it finds each kind of problem and stops at none."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import lavdf_entry, make_dfdc, make_forgerynet, make_lavdf, write_json, write_test_clip
from fakespan.cli import main
from fakespan.data import inspect as inspecting
from fakespan.data.file_check import check_file
from fakespan.data.inspect import Report, Summary, inspect
from fakespan.data.manifest import Manifest, load_manifest
from fakespan.types import Sample, Segment


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_lavdf(tmp_path_factory.mktemp("lavdf"), 4, 1, 1, seconds=1.0)


@pytest.fixture
def root(original, tmp_path):
    """A copy of a sound set, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "set"))


def edited(root: Path, name: str, **changes: object) -> None:
    path = root / "metadata.min.json"
    entries = json.loads(path.read_text())
    write_json(path, [{**e, **changes} if e["file"] == name else e for e in entries])


def found(root: Path, **options: object) -> dict[str, list[str]]:
    """Kind of problem: the clips that have it."""
    problems: dict[str, list[str]] = {}
    for p in inspect(load_manifest(f"lavdf:{root}"), **options).problems:
        problems.setdefault(p.kind, []).append(p.subject)
    return problems


def test_clips_are_counted_by_split_and_by_what_was_forged(root):
    report = inspect(load_manifest(f"lavdf:{root}"))
    nothing = {"real": 0, "audio": 0, "visual": 0, "both": 0, "unlabelled": 0}
    assert report.counts == {
        "train": {**nothing, "real": 1, "audio": 1, "visual": 1, "both": 1},
        "validation": {**nothing, "real": 1},
        "test": {**nothing, "real": 1},
    }
    assert report.n_clips == report.n_opened == 6
    assert report.spans_per_clip == {0: 3, 1: 3}
    assert report.problems == ()


def test_statistics_are_those_of_the_metadata(tmp_path):
    spans = [[], [[0.0, 1.0]], [[1.0, 2.0], [2.0, 2.5]]]
    entries = [
        {**lavdf_entry(f"test/{k}.mp4", "test", "both", None, 4.0), "fake_periods": s, "n_fakes": len(s)}
        for k, s in enumerate(spans)
    ]
    write_json(tmp_path / "metadata.json", entries)
    report = inspect(load_manifest(f"lavdf:{tmp_path}"), probe=False)
    assert report.duration_s == Summary(4.0, 4.0, 4.0, 4.0, 4.0, 4.0)
    assert report.span_s is not None
    assert (report.span_s.minimum, report.span_s.median, report.span_s.maximum) == (0.5, 1.0, 1.0)
    assert report.span_s.mean == pytest.approx(2.5 / 3)
    assert report.spans_per_clip == {0: 1, 1: 1, 2: 1}
    assert report.forged_share == pytest.approx(2.5 / 12)


def test_clips_without_labels_count_as_nothing():
    samples = (
        Sample("a", Path("a"), "test", 0.0, facts={"labelled": False}),
        Sample("b", Path("b"), "test", 2.0, (Segment(0.0, 1.0, 1.0, "audio"),)),
    )
    report = inspect(Manifest("x", "avdeepfake1m", Path(), samples), probe=False)
    assert report.counts["test"] == {"real": 0, "audio": 1, "visual": 0, "both": 0, "unlabelled": 1}
    assert report.forged_share == 0.5
    assert report.duration_s is not None
    assert report.duration_s.minimum == 2.0


whole_spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted).map(tuple), max_size=5)


@given(whole_spans, st.integers(1, 30))
def test_forged_time_counts_every_instant_once(spans, length):
    sample = Sample(
        "a", Path("a"), "test", float(length), tuple(Segment(float(a), float(b), 1.0, "both") for a, b in spans)
    )
    slow = sum(any(a <= second < b for a, b in spans) for second in range(length))
    assert inspecting._covered_s(sample) == pytest.approx(slow)


def test_everything_that_is_wrong_is_found_in_one_go(root):
    (root / "train/000000.mp4").unlink()
    (root / "train/000001.mp4").write_text("not a video")
    clip = (root / "train/000002.mp4").read_bytes()
    (root / "train/000002.mp4").write_bytes(clip[: len(clip) // 2])
    write_test_clip(root / "train/000003.mp4", 1.0, sound=False)
    edited(root, "dev/000000.mp4", video_frames=40)
    write_test_clip(root / "test/000000.mp4", 1.0)
    edited(root, "test/000000.mp4", fake_periods=[[0.2, 0.6], [0.5, 1.5], [0.9, 0.9]], n_fakes=3, modify_audio=True)
    assert found(root) == {
        "missing": ["train/000000.mp4"],
        "unreadable": ["train/000001.mp4"],
        "cut short": ["train/000002.mp4"],
        "no sound": ["train/000003.mp4"],
        "frames": ["dev/000000.mp4"],
        "span outside": ["test/000000.mp4"],
        "empty span": ["test/000000.mp4"],
        "overlap": ["test/000000.mp4"],
    }


@pytest.mark.parametrize(("n_frames", "is_told"), [(24, False), (25, False), (26, False), (27, True), (23, True)])
def test_one_frame_more_or_less_is_no_problem(root, n_frames, is_told):
    edited(root, "train/000000.mp4", video_frames=n_frames)
    assert ("frames" in found(root)) == is_told


def test_a_clip_without_picture_is_told(root):
    from clips import tone, write_clip

    write_clip(root / "sound.m4a", sound=tone(1.0, 16_000), sound_rate=16_000)
    os.replace(root / "sound.m4a", root / "train/000000.mp4")
    assert found(root) == {"no picture": ["train/000000.mp4"]}


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"#EXTM3U\nhttp://localhost/a.ts\n"])
def test_a_file_that_is_no_video_is_unreadable(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert check_file(path).error_kind == "unreadable"
    assert check_file(tmp_path).error_kind == "unreadable"
    assert check_file(tmp_path / "none.mp4").error_kind == "missing"


def test_originals_must_be_in_the_set_and_in_the_same_split(root):
    edited(root, "train/000001.mp4", original="train/gone.mp4")
    edited(root, "train/000002.mp4", original="test/000000.mp4")
    assert found(root, probe=False) == {"original": ["train/000001.mp4"], "leak": ["train/000002.mp4"]}


def test_spans_of_different_streams_may_share_time():
    def problems(one: str, other: str) -> list[str]:
        spans = (Segment(0.0, 1.0, 1.0, one), Segment(0.5, 1.5, 1.0, other))
        manifest = Manifest("x", "avdeepfake1m", Path(), (Sample("a", Path("a"), "test", 2.0, spans),))
        return [p.kind for p in inspect(manifest, probe=False).problems]

    assert problems("audio", "visual") == []
    assert problems("audio", "audio") == problems("audio", "both") == ["overlap"]


def test_dfdc_lengths_other_than_ten_seconds_are_told(tmp_path):
    report = inspect(load_manifest(f"dfdc:{make_dfdc(tmp_path, 1, 1, 1, n_test=0)}"))
    assert [(p.kind, p.message) for p in report.problems] == [("length", "1.00 s, clips of this set count as 10 s")] * 2


def test_forgerynet_stretches_beyond_the_video_are_told_and_silence_is_not(tmp_path):
    root = make_forgerynet(tmp_path, 1, 1, n_frames=20)
    (root / "Validation/video_list.txt").write_text(
        (root / "Validation/video_list.txt").read_text().replace(" 0 20 0 ", " 0 60 0 ")
    )
    report = inspect(load_manifest(f"forgerynet:{root}"))
    assert [(p.kind, p.message) for p in report.problems] == [("frames", "20 frames, the list describes 0 to 60")]


def test_processes_find_what_one_finds(root, monkeypatch):
    monkeypatch.setattr(inspecting, "_CHUNK", 2)
    (root / "train/000001.mp4").write_text("not a video")
    manifest = load_manifest(f"lavdf:{root}")
    steps: list[tuple[int, int]] = []
    many = inspect(manifest, n_workers=2, progress=lambda done, total: steps.append((done, total)))
    assert many == inspect(manifest)
    assert steps == [(2, 6), (4, 6), (6, 6)]


def test_a_file_that_kills_its_process_is_one_problem(root, monkeypatch):
    """The pool that breaks is a stand-in: what is left must be looked at file by file."""

    class Broken:
        def __init__(self, *args, **kwargs) -> None: ...
        def __enter__(self):
            return self

        def __exit__(self, *args) -> None: ...
        def map(self, work, chunks):
            raise inspecting.BrokenProcessPool
            yield

        def submit(self, work, path):
            if path.name == "000001.mp4":
                raise inspecting.BrokenProcessPool
            return type("Future", (), {"result": lambda self: work(path)})()

    monkeypatch.setattr(inspecting, "_CHUNK", 2)
    monkeypatch.setattr(inspecting, "ProcessPoolExecutor", Broken)
    assert found(root, n_workers=2) == {"unreadable": ["train/000001.mp4"]}


def call(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fakespan", *map(str, words)])
    try:
        main()
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_prints_tables_and_problems(root, monkeypatch, capsys):
    (root / "train/000000.mp4").unlink()
    code, out, err = call(monkeypatch, capsys, "info", "--data", f"lavdf:{root}", "--workers", "1")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["train", "1", "1", "1", "1", "4"] in lines
    assert ["all", "3", "1", "1", "1", "6"] in lines
    assert ["clips", *["1.00"] * 6] in lines
    assert "missing: 1" in out
    assert "train/000000.mp4: there is no such file" in out


def test_the_command_prints_json_with_every_problem(root, monkeypatch, capsys):
    for k in range(4):
        (root / f"train/{k:06d}.mp4").unlink()
    monkeypatch.setattr("fakespan.cli.info.SHOWN", 1)
    words = ("info", "--data", f"lavdf:{root}", "--split", "train", "--workers", "1")
    record = json.loads(call(monkeypatch, capsys, *words, "--json")[1])
    assert (record["n_clips"], record["n_opened"], len(record["problems"])) == (4, 4, 4)
    assert record["counts"]["train"]["audio"] == 1
    assert "and 3 more; --json lists all" in call(monkeypatch, capsys, *words)[1]


def test_the_command_opens_no_file_when_it_shall_be_quick(root, monkeypatch, capsys):
    shutil.rmtree(root / "train")
    words = ("info", "--data", f"lavdf:{root}", "--quick", "--limit", "2")
    code, out, _ = call(monkeypatch, capsys, *words)
    assert code == 0
    assert "2 clips, no files opened" in out
    assert "no problems found" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["info"], 2, "expected a FILE or --data KIND:ROOT, got neither"),
        (["info", "a.mp4", "--data", "lavdf:x"], 2, "got both"),
        (["info", "--data", "vhs:x"], 2, "lavdf:ROOT"),
        (["info", "--data", "lavdf:x"], 1, "the folder of a lavdf set"),
    ],
)
def test_the_command_says_in_a_line_what_is_wrong(monkeypatch, capsys, words, code, message):
    got, _, err = call(monkeypatch, capsys, *words)
    assert got == code
    assert message in err
    assert err.count("\n") == 1


def test_names_cannot_move_the_cursor(root, monkeypatch, capsys):
    edited(root, "train/000000.mp4", file="train/\x1b[2J.mp4")
    assert "\x1b[2J" not in call(monkeypatch, capsys, "info", "--data", f"lavdf:{root}", "--workers", "1")[1]


def test_a_report_is_plain_values(root):
    report = inspect(load_manifest(f"lavdf:{root}"), probe=False)
    assert isinstance(report, Report)
    assert json.loads(json.dumps(report.to_dict()))["spans_per_clip"] == {"0": 3, "1": 3}


def test_a_summary_is_that_of_numpy():
    values = list(np.random.default_rng(0).uniform(0, 9, 101))
    summary = Summary.of(values)
    assert summary is not None
    assert (summary.p05, summary.p95) == pytest.approx(tuple(np.percentile(values, [5, 95])))
    assert Summary.of([]) is None


def test_the_document_explains_every_kind_of_problem():
    root = Path(__file__).parents[1]
    modules = ("entries", "manifest", "lavdf", "avdeepfake1m", "dfdc", "forgerynet", "inspect", "file_check")
    sources = "".join((root / f"src/fakespan/data/{m}.py").read_text(encoding="utf-8") for m in modules)
    kinds = set(re.findall(r'(?:Problem|\.note|Unusable|FileCheck)\(\s*"([a-z ]+)"', sources))
    document = (root / "docs/data.md").read_text(encoding="utf-8")
    assert {"span outside", "modality", "missing", "entry"} <= kinds
    assert {kind for kind in kinds if f"`{kind}`" not in document} == set()
