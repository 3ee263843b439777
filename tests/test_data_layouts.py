"""What is particular to AV-Deepfake1M, DFDC and ForgeryNet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from datasets import avdeepfake1m_entry, make_avdeepfake1m, make_dfdc, make_forgerynet, write_json
from fakespan.data.clip import read_example
from fakespan.data.dfdc import held_out
from fakespan.data.manifest import Manifest, is_labelled, load_manifest
from fakespan.errors import DataError

HELD_OUT = [1, 5, 13, 14, 21, 29, 38, 55]  # numbers of originals


# AV-Deepfake1M


def deepfake(root: Path, **changes: object) -> Manifest:
    entry = {**avdeepfake1m_entry("train", "both", "id0/a/0", 2.0), **changes}
    write_json(root / "train_metadata.json", [entry])
    return load_manifest(f"avdeepfake1m:{root}")


@pytest.mark.parametrize("facts_in", ["folder", "beside"])
def test_avdeepfake1m_facts_may_be_in_the_list_in_a_folder_or_beside_the_video(tmp_path, facts_in):
    listed = load_manifest(f"avdeepfake1m:{make_avdeepfake1m(tmp_path / 'a', seconds=0.4)}")
    apart = load_manifest(f"avdeepfake1m:{make_avdeepfake1m(tmp_path / 'b', seconds=0.4, facts_in=facts_in)}")
    assert [(s.name, s.segments, s.facts) for s in listed.samples] == [
        (s.name, s.segments, s.facts) for s in apart.samples
    ]
    assert apart.problems == ()


def test_avdeepfake1m_a_clip_without_facts_anywhere_is_a_problem(tmp_path):
    root = make_avdeepfake1m(tmp_path, seconds=0.4, facts_in="folder")
    first, second, *_ = sorted((root / "train_metadata").rglob("*.json"))
    first.unlink()
    second.write_text("{")
    manifest = load_manifest(f"avdeepfake1m:{root}")
    assert [p.kind for p in manifest.problems] == ["entry", "entry"]
    assert len(manifest.choose("train")) == 2


def test_avdeepfake1m_a_list_of_names_is_enough_where_each_clip_has_its_facts(tmp_path):
    root = make_avdeepfake1m(tmp_path, seconds=0.4, facts_in="folder")
    names = [e["file"] for e in json.loads((root / "train_metadata.json").read_text())]
    write_json(root / "train_metadata.json", names)
    assert [s.name for s in load_manifest(f"avdeepfake1m:{root}").choose("train")] == names


def test_avdeepfake1m_each_span_has_the_modality_of_the_lists_that_it_overlaps(tmp_path):
    manifest = deepfake(
        tmp_path,
        fake_segments=[[0.1, 0.3], [0.5, 0.7], [1.0, 1.4], [1.6, 1.8]],
        audio_fake_segments=[[0.1, 0.3], [1.0, 1.2]],
        visual_fake_segments=[[0.5, 0.7], [1.1, 1.4]],
    )
    (sample,) = manifest.samples
    assert [s.modality for s in sample.segments] == ["audio", "visual", "both", "both"]  # the last: as modify_type says
    assert manifest.problems == ()


def test_avdeepfake1m_a_span_that_only_one_stream_knows_is_added_and_told(tmp_path):
    manifest = deepfake(
        tmp_path, fake_segments=[[0.1, 0.3]], audio_fake_segments=[[0.1, 0.3], [1.0, 1.2]], visual_fake_segments=[]
    )
    (sample,) = manifest.samples
    assert [(s.start_s, s.modality) for s in sample.segments] == [(0.1, "audio"), (1.0, "audio")]
    assert [p.kind for p in manifest.problems] == ["span"]


@pytest.mark.parametrize("stream", ["audio", "visual"])
def test_avdeepfake1m_a_span_repeated_in_the_untouched_stream_is_not_believed(tmp_path, stream):
    spans = [[0.1, 0.3]]
    manifest = deepfake(
        tmp_path,
        modify_type=f"{stream}_modified",
        fake_segments=spans,
        audio_fake_segments=spans,
        visual_fake_segments=spans,
    )
    assert manifest.samples[0].kind == stream
    assert [p.kind for p in manifest.problems] == ["modality"]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"modify_type": ["real"]}, ["label"]),
        ({"modify_type": "real"}, ["label"]),
        ({"modify_type": None}, []),
        ({"fake_segments": [], "audio_fake_segments": [], "visual_fake_segments": []}, ["label"]),
        ({"split": "val"}, ["split"]),
        ({"audio_fake_segments": None}, []),
    ],
)
def test_avdeepfake1m_what_is_odd_is_told_and_the_clip_is_kept(tmp_path, changes, kinds):
    manifest = deepfake(tmp_path, **changes)
    assert [p.kind for p in manifest.problems] == kinds
    assert [s.split for s in manifest.samples] == ["train"]


def test_avdeepfake1m_a_test_clip_without_labels_is_not_real(tmp_path):
    make_avdeepfake1m(tmp_path, 1, 0, 2, seconds=0.4)
    manifest = load_manifest(f"avdeepfake1m:{tmp_path}")
    assert [is_labelled(s) for s in manifest.choose("test")] == [False, False]
    assert [is_labelled(s) for s in manifest.choose("train")] == [True]
    assert all(s.path == tmp_path / "test" / s.name for s in manifest.choose("test"))


def test_avdeepfake1m_the_method_is_the_voice_model(tmp_path):
    assert deepfake(tmp_path).samples[0].facts["method"] == "yourtts"


# DFDC


def test_dfdc_a_fake_is_forged_from_begin_to_end(tmp_path):
    make_dfdc(tmp_path, 1, 1, 1, n_test=0, seconds=0.4)
    manifest = load_manifest(f"dfdc:{tmp_path / 'dfdc_train_part_0'}")
    assert {s.name: s.spans for s in manifest.samples} == {"real00.mp4": (), "fake000.mp4": ((0.0, 10.0),)}
    assert {s.duration_s for s in manifest.samples} == {10.0}


def part(folder: Path, originals: list[str]) -> None:
    entries: dict[str, dict[str, str | None]] = {name: {"label": "REAL", "split": "train"} for name in originals}
    for name in originals:
        entries |= {f"{k}{name}": {"label": "FAKE", "split": "train", "original": name} for k in range(4)}
    write_json(folder / "metadata.json", entries)


def test_dfdc_a_tenth_of_the_originals_and_all_that_was_made_of_them_is_held_out(tmp_path):
    for k in range(4):
        part(tmp_path / f"dfdc_train_part_{k}", [f"o{k}_{i}.mp4" for i in range(200)])
    manifest = load_manifest(f"dfdc:{tmp_path}")
    split = {s.name: s.split for s in manifest.samples}
    assert all(split[s.original] == s.split for s in manifest.samples if s.original)
    assert 50 <= len([s for s in manifest.choose("validation") if not s.original]) <= 110  # of 800; three deviations
    assert {s.split for s in manifest.samples} == {"train", "validation"}


def test_dfdc_the_sets_own_validation_folder_is_used_when_it_is_there(tmp_path):
    part(tmp_path / "train" / "dfdc_train_part_0", [f"o{i}.mp4" for i in range(50)])
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "labels.csv").write_text("filename,label\nv.mp4,1\n")
    manifest = load_manifest(f"dfdc:{tmp_path}")
    assert [s.name for s in manifest.choose("validation")] == ["v.mp4"]
    assert len(manifest.choose("train")) == 250


def test_dfdc_parts_come_in_the_order_of_their_numbers(tmp_path):
    for k in (10, 9, 1):
        part(tmp_path / f"dfdc_train_part_{k}", [f"o{k}.mp4"])
    names = [s.name for s in load_manifest(f"dfdc:{tmp_path}").samples if not s.is_fake]
    assert names == ["o1.mp4", "o9.mp4", "o10.mp4"]


@pytest.mark.parametrize("table", ["labels.csv", "metadata.csv"])
@pytest.mark.parametrize("videos", ["", "videos"])
def test_dfdc_a_labels_file_may_have_its_videos_in_a_folder(tmp_path, table, videos):
    folder = tmp_path / "test"
    (folder / videos).mkdir(parents=True)
    (folder / table).write_text("filename,label\na.mp4,1\nb.mp4,0\nc.mp4,FAKE\n")
    samples = load_manifest(f"dfdc:{tmp_path}").samples
    assert [(s.name, s.is_fake, s.split) for s in samples] == [
        ("a.mp4", True, "test"),
        ("b.mp4", False, "test"),
        ("c.mp4", True, "test"),
    ]
    assert all(s.path == folder / videos / s.name for s in samples)


@pytest.mark.parametrize("text", ["", "name,fake\na.mp4,1\n", "filename\na.mp4\n", "\0\0"])
def test_dfdc_a_labels_file_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError):
        load_manifest(f"dfdc:{tmp_path}")


@pytest.mark.parametrize("facts", [7, {}, {"label": "MAYBE"}, {"label": None}, {"label": "FAKE", "split": 3}, "FAKE"])
def test_dfdc_an_entry_without_a_label_is_one_problem(tmp_path, facts):
    write_json(tmp_path / "metadata.json", {"a.mp4": facts, "b.mp4": {"label": "REAL", "split": "train"}})
    manifest = load_manifest(f"dfdc:{tmp_path}")
    assert [s.name for s in manifest.samples] == ["b.mp4"]
    assert [p.subject for p in manifest.problems] == ["a.mp4"]


def test_dfdc_an_unusable_original_is_told(tmp_path):
    write_json(tmp_path / "metadata.json", {"a.mp4": {"label": "FAKE", "original": ["x"]}})
    assert [p.kind for p in load_manifest(f"dfdc:{tmp_path}").problems] == ["original"]


def test_dfdc_what_is_held_out_never_changes():
    assert [k for k in range(60) if held_out(f"{k}.mp4")] == HELD_OUT


# ForgeryNet


def forgery(root: Path, *lines: str) -> Manifest:
    (root / "Validation").mkdir(exist_ok=True)
    (root / "Validation" / "video_list.txt").write_text("\n".join(lines) + "\n")
    return load_manifest(f"forgerynet:{root}")


def test_forgerynet_a_line_gives_stretches_of_frames(tmp_path):
    manifest = forgery(tmp_path, "3 val_video_release/4/7f/71/video.mp4 0 10 0 10 35 1 45 30 0 1 2 4")
    (sample,) = manifest.samples
    assert sample.spans == sample.visual_spans == ((0.4, 1.8),)
    assert (sample.split, sample.duration_s, sample.kind) == ("validation", 3.0, "visual")
    assert sample.path == tmp_path / "Validation" / "video" / "val_video_release/4/7f/71/video.mp4"
    assert sample.facts["method"] == "BlendFace"
    assert sample.facts["annotated_frames"] == (0, 75)


def test_forgerynet_a_list_may_describe_a_stretch_of_the_video(tmp_path):
    (sample,) = forgery(tmp_path, "2 a/video.mp4 79 17 1 96 64 0 1 2 1").samples
    assert sample.spans == ((79 / 25, 96 / 25),)
    assert sample.facts["annotated_frames"] == (79, 160)


def test_forgerynet_a_name_alone_is_a_clip_without_labels(tmp_path):
    (sample,) = forgery(tmp_path, "test/a.mp4").samples
    assert not is_labelled(sample)


def test_forgerynet_frames_are_read_one_by_one_so_that_the_truth_fits_to_the_frame(tmp_path):
    root = make_forgerynet(tmp_path, 2, 0, n_frames=50, fps=30.0)  # every second one with the frames 10 to 30 negative
    example = read_example(load_manifest(f"forgerynet:{root}").samples[1], faces="whole")
    bright = example.faces[:, 0, 0].mean(axis=1) > 128
    assert example.visual_spans == ((10 / 25, 30 / 25),)
    assert np.flatnonzero(bright).tolist() == list(range(10, 30))
    assert (len(bright), example.has_sound, example.has_picture) == (50, False, True)


def test_forgerynet_what_is_not_annotated_is_not_read(tmp_path):
    root = make_forgerynet(tmp_path, 2, 0, n_frames=50, fps=30.0)
    path = root / "Training" / "video_list.txt"
    path.write_text(path.read_text().replace("3 ", "2 ").replace(" 0 10 0 10 20 1 30 20 0 ", " 5 5 0 10 20 1 "))
    example = read_example(load_manifest(f"forgerynet:{root}").samples[1], faces="whole")
    bright = example.faces[:, 0, 0].mean(axis=1) > 128
    assert example.start_s == 5 / 25
    assert np.flatnonzero(bright).tolist() == list(range(5, 25))
    assert len(bright) == 25
    assert example.visual_spans[0] == pytest.approx((5 / 25, 1.0))


@pytest.mark.parametrize(
    "line",
    [
        "2 a.mp4 0 10 0 1 2 4",
        "1 a.mp4 0 ten 0 0 0 16",
        "1 a.mp4 0 -10 0 0 0 16",
        "1 a.mp4 0 99999999999 0 0 0 16",
        "x a.mp4 0 10 0 0 0 16",
        "1 a.mp4 1",
        "1 ../a.mp4 0 10 0 0 0 16",
        "1 a.mp4 0 10 0 1 2 4",
    ],
)
def test_forgerynet_a_line_that_cannot_be_used_is_one_problem(tmp_path, line):
    manifest = forgery(tmp_path, line, "1 b.mp4 0 10 0 0 0 16")
    assert [s.name for s in manifest.samples] == ["b.mp4"]
    assert len(manifest.problems) == 1
