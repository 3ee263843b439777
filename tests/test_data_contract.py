"""What every loader of a published set does, whatever the layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import toy_set
from datasets import make_avdeepfake1m, make_dfdc, make_forgerynet, make_lavdf, write_json
from fakespan.data.inspect import inspect
from fakespan.data.loaders import LOADERS
from fakespan.data.manifest import Manifest, load_manifest
from fakespan.data.sets import open_set
from fakespan.errors import DataError, UsageError

REAL_PART = Path(__file__).parents[1] / ".." / "shared" / "clips" / "dfdc_part"
Rename = Callable[[str], str]


def edit_lavdf(root: Path, rename: Rename, extra: Mapping[str, Any]) -> None:
    for name in ("metadata.json", "metadata.min.json"):
        entries = json.loads((root / name).read_text())
        write_json(root / name, [{**e, **extra, "file": rename(e["file"])} for e in entries])


def edit_avdeepfake1m(root: Path, rename: Rename, extra: Mapping[str, Any]) -> None:
    for name in ("train_metadata.json", "val_metadata.json"):
        entries = json.loads((root / name).read_text())
        write_json(root / name, [{**e, **extra, "file": rename(e["file"])} for e in entries])
    lines = (root / "test_files.txt").read_text().split()
    (root / "test_files.txt").write_text("\n".join(map(rename, lines)))


def edit_dfdc(root: Path, rename: Rename, extra: Mapping[str, Any]) -> None:
    for path in root.glob("*/metadata.json"):
        entries = json.loads(path.read_text())
        write_json(path, {rename(name): {**facts, **extra} for name, facts in entries.items()})
    for path in root.glob("*/labels.csv"):
        header, *rows = path.read_text().split()
        cells = [row.split(",") for row in rows]
        lines = [
            ",".join([header, *extra]),
            *(",".join([rename(c[0]), c[1], *map(str, extra.values())]) for c in cells),
        ]
        path.write_text("\n".join(lines))


def edit_forgerynet(root: Path, rename: Rename, extra: Mapping[str, Any]) -> None:
    """The list has no fields to add to."""
    for path in root.glob("*/video_list.txt"):
        lines = [line.split() for line in path.read_text().splitlines()]
        path.write_text("\n".join(" ".join([n, rename(name), *rest]) for n, name, *rest in lines))


@dataclass(frozen=True)
class Case:
    """A layout: how a tiny set is made in it, what is in it, and how its metadata is changed."""

    kind: str
    make: Callable[[Path], Path]
    edit: Callable[[Path, Rename, Mapping[str, Any]], None] | None
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (split, kind): clips


CASES = {
    "lavdf": Case(
        "lavdf",
        lambda root: make_lavdf(root, 4, 2, 2, seconds=1.0),
        edit_lavdf,
        {("train", kind): 1 for kind in ("real", "audio", "visual", "both")}
        | {(split, kind): 1 for split in ("validation", "test") for kind in ("real", "audio")},
    ),
    "avdeepfake1m": Case(
        "avdeepfake1m",
        lambda root: make_avdeepfake1m(root, 4, 2, 1, seconds=1.0),
        edit_avdeepfake1m,
        {("train", kind): 1 for kind in ("real", "audio", "visual", "both")}
        | {("validation", "real"): 1, ("validation", "audio"): 1, ("test", "real"): 1},
    ),
    "dfdc": Case(
        "dfdc",
        lambda root: make_dfdc(root, 2, 1, 1, n_test=2, n_validation=1),
        edit_dfdc,
        {
            ("train", "real"): 2,
            ("train", "both"): 2,
            ("validation", "real"): 1,
            ("test", "real"): 1,
            ("test", "both"): 1,
        },
    ),
    "forgerynet": Case(
        "forgerynet",
        make_forgerynet,
        edit_forgerynet,
        {(split, kind): 1 for split in ("train", "validation") for kind in ("real", "visual")},
    ),
    "a set that is added": Case("toy", toy_set.make, toy_set.edit, toy_set.COUNTS),
}
ADAPTABLE = list(CASES)
if REAL_PART.is_dir():
    CASES["a part of DFDC itself"] = Case(
        "dfdc", lambda root: REAL_PART, None, {("train", "real"): 1, ("train", "both"): 1, ("validation", "both"): 1}
    )


@pytest.fixture(scope="module", autouse=True)
def a_loader_of_nobodys():
    """Adding a line to the table of loaders is all that the rest of fakespan needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LOADERS, "toy", toy_set.LOADER)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a case's set, made once."""
    done: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in done:
            done[name] = CASES[name].make(tmp_path_factory.mktemp("sets") / name)
        return done[name]

    return folder


@pytest.fixture
def changed(made, tmp_path):
    """A set's copy with its metadata changed, loaded."""

    def load(name: str, rename: Rename = lambda name: name, extra: Mapping[str, Any] | None = None) -> Manifest:
        root = tmp_path / "copy"
        shutil.copytree(made(name), root, ignore=shutil.ignore_patterns("*.mp4"))
        edit = CASES[name].edit
        assert edit is not None
        edit(root, rename, extra or {})
        return load_manifest(f"{CASES[name].kind}:{root}")

    return load


def loaded(name: str, made) -> Manifest:
    return load_manifest(f"{CASES[name].kind}:{made(name)}")


def test_there_is_a_case_for_every_loader():
    assert {case.kind for case in CASES.values()} == set(LOADERS)


@pytest.mark.parametrize("name", CASES)
def test_every_clip_is_there_once_under_a_tidy_name(name, made):
    manifest = loaded(name, made)
    names = [s.name for s in manifest.samples]
    assert len(names) == len(set(names)) == sum(CASES[name].counts.values())
    assert all("\\" not in n and not n.startswith("/") and ".." not in n for n in names)
    assert all(s.path.is_file() for s in manifest.samples)
    assert manifest.problems == ()


@pytest.mark.parametrize("name", CASES)
def test_splits_and_kinds_are_those_of_the_set(name, made):
    manifest = loaded(name, made)
    counts: dict[tuple[str, str], int] = {}
    for s in manifest.samples:
        counts[s.split, s.kind] = counts.get((s.split, s.kind), 0) + 1
    assert counts == dict(CASES[name].counts)


@pytest.mark.parametrize("name", CASES)
def test_spans_lie_within_the_clip(name, made):
    for s in loaded(name, made).samples:
        assert all(0 <= span.start_s < span.end_s <= s.duration_s and span.score == 1.0 for span in s.segments)


@pytest.mark.parametrize("name", CASES)
def test_a_split_a_subset_and_a_limit_can_be_chosen(name, made):
    manifest = loaded(name, made)
    everything = manifest.samples
    assert manifest.choose() == everything
    assert manifest.choose("dev") == manifest.choose("val") == manifest.choose("validation")
    assert manifest.choose("train") == tuple(s for s in everything if s.split == "train")
    assert manifest.choose(subset="visual") == tuple(s for s in everything if s.kind != "audio")
    assert manifest.choose(subset="audio") == tuple(s for s in everything if s.kind != "visual")
    assert manifest.choose("train", limit=1) == manifest.choose("train")[:1]
    assert manifest.choose(limit=10**6) == everything


@pytest.mark.parametrize("wrong", [{"split": "holdout"}, {"subset": "smell"}, {"limit": 0}])
def test_a_choice_that_does_not_exist_is_refused(wrong, made):
    with pytest.raises(UsageError):
        loaded("lavdf", made).choose(**wrong)


@pytest.mark.parametrize("name", CASES)
def test_the_folder_is_left_as_it_was(name, made):
    root = made(name)

    def listing() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [root, *root.rglob("*")]}

    before = listing()
    inspect(loaded(name, made))
    assert listing() == before


@pytest.mark.parametrize("name", CASES)
def test_a_sound_set_is_inspected_without_a_problem_of_its_files(name, made):
    kinds = {p.kind for p in inspect(loaded(name, made)).problems}
    allowed = {"original"} if CASES[name].edit is None else {"length"} if name == "dfdc" else set()  # 1 s clips, not 10
    assert kinds <= allowed


@pytest.mark.parametrize("name", ADAPTABLE)
def test_fields_that_it_does_not_know_are_passed_over(name, made, changed):
    manifest = changed(name, extra={"new_field": 7, "camera": "b"})
    assert [s.name for s in manifest.samples] == [s.name for s in loaded(name, made).samples]
    assert manifest.problems == ()


@pytest.mark.parametrize("name", ADAPTABLE)
def test_backslashes_and_slashes_name_the_same_clip(name, made, changed):
    manifest = changed(name, rename=lambda n: ".\\" + n.replace("/", "\\"))
    expected = loaded(name, made)
    assert [s.name for s in manifest.samples] == [s.name for s in expected.samples]
    assert [s.path.relative_to(manifest.root) for s in manifest.samples] == [
        s.path.relative_to(expected.root) for s in expected.samples
    ]


@pytest.mark.parametrize("evil", ["../../secret.mp4", "/etc/secret.mp4", "C:\\secret.mp4", "a/../../../secret.mp4"])
@pytest.mark.parametrize("name", ADAPTABLE)
def test_a_name_that_leaves_the_folder_is_a_problem_and_the_others_load(name, evil, made, changed):
    victim = loaded(name, made).samples[0].name
    manifest = changed(name, rename=lambda n: evil if n == victim else n)
    assert [p.kind for p in manifest.problems if p.subject == evil] == ["name"]
    assert len(manifest.samples) == len(loaded(name, made).samples) - 1
    assert all(s.path.resolve().is_relative_to(manifest.root.resolve()) for s in manifest.samples)


@pytest.mark.parametrize("name", ADAPTABLE)
def test_a_set_of_which_nothing_can_be_used_is_refused(name, changed):
    with pytest.raises(DataError, match="at least one usable clip"):
        changed(name, rename=lambda n: "../" + n)


@pytest.mark.parametrize("kind", [*LOADERS, "toy"])
def test_a_folder_without_the_sets_files_is_refused(kind, tmp_path):
    with pytest.raises(DataError, match="give the folder"):
        load_manifest(f"{kind}:{tmp_path}")
    with pytest.raises(DataError, match="check the path"):
        load_manifest(f"{kind}:{tmp_path / 'none'}")


@pytest.mark.parametrize("source", ["lavdf", "lavdf:", "vhs:/data", ""])
def test_a_source_of_another_form_is_refused(source):
    with pytest.raises(UsageError, match="lavdf:ROOT"):
        load_manifest(source)


def test_a_set_that_is_added_opens_as_clips(made):
    clips = open_set(f"toy:{made('a set that is added')}", "train")
    assert [clips.name(k) for k in range(len(clips))] == ["a/real.mp4", "a/fake.mp4"]
    assert clips[1].visual_spans == ((0.2, 0.6),)
    assert len(clips[1].faces) == 25
