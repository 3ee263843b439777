"""What is particular to LAV-DF, and what damaged metadata does to a loader."""

from __future__ import annotations

import builtins
import gc
import json
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import lavdf_entry, write_json
from fakespan.data.entries import Unusable, read_json, tidy_name
from fakespan.data.manifest import Manifest, load_manifest
from fakespan.errors import DataError


def lavdf(root: Path, *entries: object) -> Manifest:
    """A set of one good clip and these entries."""
    good = lavdf_entry("test/good.mp4", "test", "real", None, 2.0)
    write_json(root / "metadata.min.json", [good, *entries])
    return load_manifest(f"lavdf:{root}")


def entry(**changes: object) -> dict[str, object]:
    return {**lavdf_entry("test/000001.mp4", "test", "both", None, 2.0), "fake_periods": [[0.5, 1.0]], **changes}


def only(manifest: Manifest):
    """The clip beside the good one."""
    return next(s for s in manifest.samples if s.name != "test/good.mp4")


def test_lavdf_a_clip_lasts_as_long_as_its_picture(tmp_path):
    sample = only(lavdf(tmp_path, entry(video_frames=103, duration=4.224)))
    assert sample.duration_s == 103 / 25
    assert sample.n_frames == 103
    assert sample.facts["duration"] == 4.224


def test_lavdf_the_length_of_the_sound_is_taken_where_frames_are_not_said(tmp_path):
    sample = only(lavdf(tmp_path, entry(video_frames=None, duration=4.224)))
    assert (sample.duration_s, sample.n_frames) == (4.224, None)


@pytest.mark.parametrize(
    ("audio", "video", "modality"), [(True, False, "audio"), (False, True, "visual"), (True, True, "both")]
)
def test_lavdf_every_span_has_the_modality_of_its_clip(tmp_path, audio, video, modality):
    spans = [[0.2, 0.4], [1.0, 1.5]]
    sample = only(lavdf(tmp_path, entry(modify_audio=audio, modify_video=video, fake_periods=spans, n_fakes=2)))
    assert [s.modality for s in sample.segments] == [modality] * 2
    assert sample.spans == ((0.2, 0.4), (1.0, 1.5))


def test_lavdf_the_short_metadata_is_read_first(tmp_path):
    write_json(tmp_path / "metadata.json", [lavdf_entry("test/long.mp4", "test", "real", None, 2.0)])
    assert [s.name for s in load_manifest(f"lavdf:{tmp_path}").samples] == ["test/long.mp4"]
    write_json(tmp_path / "metadata.min.json", [lavdf_entry("test/short.mp4", "test", "real", None, 2.0)])
    assert [s.name for s in load_manifest(f"lavdf:{tmp_path}").samples] == ["test/short.mp4"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"n_fakes": 3}, "label"),
        ({"modify_audio": False, "modify_video": False}, "label"),
        ({"fake_periods": [], "n_fakes": 0}, "label"),
        ({"original": "../elsewhere.mp4"}, "original"),
    ],
)
def test_lavdf_what_is_odd_is_told_and_the_clip_is_kept(tmp_path, changes, kind):
    manifest = lavdf(tmp_path, entry(**changes))
    assert [(p.kind, p.subject) for p in manifest.problems] == [(kind, "test/000001.mp4")]
    assert len(manifest.samples) == 2


BAD_ENTRIES = {
    "no object": 7,
    "nothing": None,
    "a list": [],
    "no name": {k: v for k, v in entry().items() if k != "file"},
    "a number for a name": entry(file=12),
    "a folder for a name": entry(file="./"),
    "no split": entry(split=None),
    "an unknown split": entry(split="holdout"),
    "no spans": entry(fake_periods=None),
    "spans in words": entry(fake_periods=[["a", "b"]]),
    "spans of three": entry(fake_periods=[[0, 1, 2]]),
    "spans that are no pairs": entry(fake_periods=[0.5, 1.0]),
    "a span that is true": entry(fake_periods=[[True, 1.0]]),
    "a span that ends before it begins": entry(fake_periods=[[1.0, 0.5]]),
    "an endless span": entry(fake_periods=[[0.0, 10**400]]),
    "frames in words": entry(video_frames="many"),
    "a part of a frame": entry(video_frames=2.5),
    "less than no frames": entry(video_frames=-1),
    "no length": entry(video_frames=None, duration=None),
}


@pytest.mark.parametrize("bad", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
@pytest.mark.parametrize("has_orjson", [True, False])
def test_an_entry_that_cannot_be_used_is_one_problem(tmp_path, monkeypatch, bad, has_orjson):
    if not has_orjson:
        without_orjson(monkeypatch)
    manifest = lavdf(tmp_path, bad, entry(file="test/000002.mp4"))
    assert [s.name for s in manifest.samples] == ["test/good.mp4", "test/000002.mp4"]
    assert len(manifest.problems) == 1
    assert manifest.problems[0].message.endswith("it is skipped")


def without_orjson(monkeypatch) -> None:
    importing = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "orjson":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_numbers_that_json_does_not_know_are_a_problem_of_their_entry(tmp_path):
    text = json.dumps([entry(file="test/good.mp4"), entry(fake_periods=[[0.0, float("nan")]], duration=float("inf"))])
    (tmp_path / "metadata.json").write_text(text)
    manifest = load_manifest(f"lavdf:{tmp_path}")
    assert [(p.kind, p.subject) for p in manifest.problems] == [("span", "test/000001.mp4")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "complete JSON"),
        (b'[{"file": "a.mp4"', "complete JSON"),
        (b"\x00\xff\xfe", "complete JSON"),
        (b"{}", "a list with one entry"),
        (b'"a"', "a list with one entry"),
        (b"[" * 100_000, "complete JSON"),
        (b"[]", "at least one usable clip"),
    ],
)
@pytest.mark.parametrize("has_orjson", [True, False])
def test_a_damaged_file_is_refused_as_a_whole(tmp_path, monkeypatch, content, words, has_orjson):
    if not has_orjson:
        without_orjson(monkeypatch)
    (tmp_path / "metadata.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_manifest(f"lavdf:{tmp_path}")


def test_a_mark_before_the_text_does_no_harm(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json") == [1]


def test_a_clip_named_twice_counts_once(tmp_path):
    manifest = lavdf(tmp_path, entry(), entry(), entry(fake_periods=[[0.1, 0.2]]))
    assert len(manifest.samples) == 2
    assert only(manifest).spans == ((0.5, 1.0),)
    assert [p.message.split(";")[0] for p in manifest.problems] == [
        "duplicate entry with the same content",
        "duplicate entry with another content",
    ]


def test_loading_leaves_the_search_for_garbage_as_it_was(tmp_path):
    lavdf(tmp_path)
    assert gc.isenabled()


@pytest.mark.parametrize("raw", ["\ud800.mp4", "test/\udc80.mp4"])
def test_half_a_character_is_no_name(raw):
    """JSON may hold it, but neither a digest of names nor a Parquet file can."""
    with pytest.raises(Unusable, match="is not a file name"):
        tidy_name(raw)


@given(st.text(alphabet=st.sampled_from("ab./\\:\0 C"), max_size=12) | st.text(max_size=8))
def test_a_tidy_name_never_leaves_its_folder(raw):
    try:
        name = tidy_name(raw)
    except Unusable:
        return
    path = PurePosixPath(name)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "\\" not in name
    assert not name.split("/")[0].endswith(":")
    assert tidy_name(name) == name
