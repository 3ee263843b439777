"""Stored maps: what is read is what the network said, whatever happened while they were written."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import TINY
from datasets import make_dfdc
from fakespan.checkpoint import Checkpoint
from fakespan.config import ModelConfig, PostConfig
from fakespan.data.example import Example
from fakespan.data.sets import ClipSet, open_set
from fakespan.errors import DataError, FakespanError
from fakespan.localizer import Clip, ClipMaps, Localizer, load_model
from fakespan.models import build_model
from fakespan.models.digest import weights_digest
from fakespan.types import Sample, Segment
from fakespan.verdict import maps as maps_module
from fakespan.verdict.maps import Made, MapOptions, make_maps, make_split_maps, open_maps
from fakespan.verdict.maps_format import PARTS, Damage, MapEntry, entry_of, line_of
from fakespan.verdict.maps_writer import MapWriter, header_for

pytestmark = pytest.mark.usefixtures("one_thread")

DOCUMENT = Path(__file__).parents[1] / "docs" / "maps.md"
FILES = ("maps.json", "index.jsonl", *(f"{part}.f16" for part in PARTS))
HALF = 2.5e-4  # how far float16 is off in 0..1
D = TINY.max_duration


def localizer_of(model: ModelConfig = TINY, seed: int = 0) -> Localizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(model)
    return Localizer(Checkpoint("random", model, PostConfig(), network), "cpu")


@pytest.fixture(scope="module")
def tiny(one_thread) -> Localizer:
    return localizer_of()


@pytest.fixture(scope="module")
def dfdc(tmp_path_factory) -> Path:
    return make_dfdc(tmp_path_factory.mktemp("dfdc") / "DFDC", n_parts=1, n_real=2, n_fake=1, n_test=0, seconds=0.6)


def noise(name: str, n_frames: int, seed: int, *, seen: bool = True, heard: bool = True) -> Example:
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 256, (n_frames, 96, 96, 3), dtype=np.uint8)
    sound = rng.normal(0, 0.1, 640 * n_frames).astype(np.float32)
    return Example(name, faces, sound, has_picture=seen, has_sound=heard)


def sample(name: str, seconds: float, *, fake: bool = False, original: str | None = None, **facts: object) -> Sample:
    segments = (Segment(0.0, seconds, 1.0, "both"),) if fake else ()
    return Sample(name, Path(name), "train", seconds, segments, original, facts=facts)


EXAMPLES = (
    noise("real.mp4", 12, 0),
    noise("fake.mp4", 9, 1),
    noise("silent.mp4", 12, 2, heard=False),
    noise("blind.mp4", 5, 3, seen=False),
    noise("long.mp4", 100, 4),  # of windows: T is 64
    noise("short.mp4", 1, 5),
)


class Reader:
    """Reads the examples; those that are broken cannot be read."""

    def __init__(self, broken: Sequence[str] = (), fatal: str = ""):
        self.by_name, self.broken, self.fatal, self.n_read = {e.name: e for e in EXAMPLES}, broken, fatal, 0

    def __call__(self, sample: Sample) -> Example:
        self.n_read += 1
        if sample.name == self.fatal:
            raise KeyboardInterrupt
        if sample.name in self.broken:
            raise DataError(sample.name, expected="a clip", got="rubbish", remedy="take it out")
        return self.by_name[sample.name]


def clips(reader: Reader | None = None, source: str = "dfdc:/data/noise", **changes: object) -> ClipSet:
    samples = tuple(
        dataclasses.replace(
            sample(
                e.name,
                len(e.faces) / 25,
                fake=e.name != "real.mp4",
                original=None if e.name == "real.mp4" else "real.mp4",
            ),
            **changes,
        )
        for e in EXAMPLES
    )
    return ClipSet(source, samples, reader or Reader())


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> Path:
    """The maps of the examples, made without a stop, in batches of two."""
    folder = tmp_path_factory.mktemp("whole") / "maps"
    make_maps(clips(), tiny, folder, batch_size=2)
    return folder


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Everything that is there."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def clip_of(example: Example) -> Clip:
    n, faces, sound = len(example.faces), example.faces, example.sound
    return Clip(n, faces if example.has_picture else None, sound if example.has_sound else None)


# -- what is read is what was said ------------------------------------------------------------------------------------


def test_each_clip_has_the_maps_and_the_curves_that_the_network_gives(tiny, whole):
    maps = open_maps(whole)
    said = tiny.judge([clip_of(e) for e in EXAMPLES], 2)
    assert [entry.name for entry in maps.entries] == [e.name for e in EXAMPLES]
    for k, answer in enumerate(said):
        assert maps.fused(k).shape == (D, len(EXAMPLES[k].faces))
        assert maps.fused(k).dtype == np.float32
        np.testing.assert_allclose(maps.fused(k), answer.score, atol=HALF)
        for found, wanted in ((maps.visual(k), answer.visual), (maps.audio(k), answer.audio)):
            assert (found is None) == (wanted is None)
            if wanted is not None:
                np.testing.assert_allclose(found, wanted, atol=HALF)
        for row, wanted in zip(maps.frames(k), (answer.visual_frames, answer.audio_frames), strict=True):
            np.testing.assert_allclose(row, np.full(len(row), np.nan) if wanted is None else wanted, atol=HALF)


def test_the_index_says_what_is_true_of_each_clip(whole):
    maps = open_maps(whole)
    assert maps.labels.tolist() == [0, 1, 1, 1, 1, 1]
    assert {e.original for e in maps.entries[1:]} == {"real.mp4"}
    assert maps.entries[0].original is None
    assert [e.kind for e in maps.entries] == ["real"] + ["both"] * 5
    assert [(e.has_picture, e.has_sound) for e in maps.entries[2:4]] == [(True, False), (False, True)]
    assert {e.fps for e in maps.entries} == {25.0}
    assert len(maps) == 6


def test_the_header_says_which_network_it_was(tiny, whole):
    header = open_maps(whole).header
    assert header.model.digest == weights_digest(tiny.network.state_dict())
    assert (header.model.max_duration, header.model.n_frames, header.model.clock) == (10, 64, "pad")
    assert (header.model.name, header.model.family) == ("random", "small")
    assert (header.data, header.split, header.done) == ("dfdc:noise", "train", True)


def test_what_is_missing_is_nan_in_the_files_and_clips_follow_without_a_gap(whole):
    maps = open_maps(whole)
    raw = {part: np.fromfile(whole / f"{part}.f16", "<f2").reshape(maps.header.n_frames, -1) for part in PARTS}
    at = {e.name: np.s_[e.offset : e.offset + e.n_frames] for e in maps.entries}
    assert np.isnan(raw["audio"][at["silent.mp4"]]).all()
    assert np.isnan(raw["visual"][at["blind.mp4"]]).all()
    assert np.isnan(raw["frames"]).sum() == 12 + 5
    np.testing.assert_array_equal(raw["fused"][at["silent.mp4"]], raw["visual"][at["silent.mp4"]])
    np.testing.assert_array_equal(raw["fused"][at["long.mp4"]].T, maps.fused(4))
    taken = sorted((e.offset, e.offset + e.n_frames) for e in maps.entries)
    assert [begin for begin, _ in taken] == [0, *(end for _, end in taken[:-1])]


def test_a_stretched_network_is_kept_at_its_own_clock(tmp_path):
    localizer = localizer_of(dataclasses.replace(TINY, clock="stretch", n_frames=24))
    make_maps(clips(), localizer, tmp_path / "maps")
    maps = open_maps(tmp_path / "maps")
    for k, (entry, example) in enumerate(zip(maps.entries, EXAMPLES, strict=True)):
        said = localizer.judge_clip(clip_of(example).faces, clip_of(example).sound)
        assert entry.n_frames == 24
        assert entry.fps == said.fps == pytest.approx(25 * 24 / len(example.faces))
        np.testing.assert_allclose(maps.fused(k), said.score, atol=HALF)


def test_the_order_and_the_scores_are_those_of_the_set_whatever_the_batches(tiny, whole, tmp_path):
    make_maps(clips(), tiny, tmp_path / "maps", batch_size=1)
    one, two = open_maps(tmp_path / "maps"), open_maps(whole)
    assert [e.name for e in one.entries] == [e.name for e in two.entries]
    assert [e.offset for e in one.entries] != [e.offset for e in two.entries]  # the long one was judged last
    for k in range(len(one)):
        np.testing.assert_allclose(one.fused(k), two.fused(k), atol=HALF)


def test_the_size_is_as_told(whole):
    n_frames = sum(len(e.faces) for e in EXAMPLES)
    sizes = {path.name: path.stat().st_size for path in whole.iterdir()}
    assert sum(sizes[f"{part}.f16"] for part in PARTS) == 2 * n_frames * (3 * D + 2)
    assert sizes["index.jsonl"] < 300 * len(EXAMPLES)
    rows = re.findall(r"^\| (\w+)\b.*?D = (\d+).*\| (\d+) MB \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) == 3
    for clock, d, told in rows:
        n = {"pad": 250, "stretch": 100}[clock]
        assert round(1000 * 2 * n * (3 * int(d) + 2) / 1e6) == int(told)
    assert "61\nMB" in maps_module.__doc__


def test_what_came_of_it_is_counted(tiny, tmp_path):
    said: list[tuple[int, int, str]] = []
    made = make_maps(clips(), tiny, tmp_path / "maps", batch_size=4, progress=lambda *what: said.append(what))
    n_bytes = sum(path.stat().st_size for path in (tmp_path / "maps").iterdir())
    assert made == Made(tmp_path / "maps", 6, 5, 6, 139, n_bytes, 0, {})
    assert said == [(0, 6, "0 of 6 clips"), (4, 6, "4 of 6 clips"), (6, 6, "6 of 6 clips")]


def test_clips_without_a_label_are_left_out(tiny, tmp_path):
    labelled = clips()
    hidden = dataclasses.replace(labelled.samples[1], facts={"labelled": False})
    some = ClipSet(labelled.source, (labelled.samples[0], hidden, *labelled.samples[2:]), Reader())
    made = make_maps(some, tiny, tmp_path / "maps")
    assert (made.n_clips, made.n_unlabelled) == (5, 1)
    maps = open_maps(tmp_path / "maps")
    assert [e.number for e in maps.entries] == [0, 2, 3, 4, 5]
    with pytest.raises(DataError, match="expected clips with labels, got none; choose another split"):
        make_maps(clips(facts={"labelled": False}), tiny, tmp_path / "none")
    assert not (tmp_path / "none").exists()


# -- stopped, and gone on with ----------------------------------------------------------------------------------------


shares = st.floats(0, 1, allow_nan=False)


@settings(max_examples=16, deadline=None)
@given(cuts=st.fixed_dictionaries(dict.fromkeys(FILES[1:], shares)), was_done=st.booleans())
def test_cut_off_anywhere_it_goes_on_to_the_same_bytes(tiny, whole, tmp_path_factory, cuts, was_done):
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("cut") / "maps")
    for name, share in cuts.items():
        size = (folder / name).stat().st_size
        with (folder / name).open("r+b") as file:
            file.truncate(round(share * size))
    if not was_done:
        begun(folder)
    made = make_maps(clips(), tiny, folder, batch_size=2)
    assert bytes_of(folder) == bytes_of(whole)
    assert made.n_new <= 6


@settings(max_examples=10, deadline=None)
@given(at=st.tuples(st.sampled_from(FILES[1:]), st.floats(0, 1, exclude_max=True), st.integers(0, 7)))
def test_a_bit_that_flips_anywhere_is_found_and_mended(tiny, whole, tmp_path_factory, at):
    name, share, bit = at
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("bit") / "maps")
    content = bytearray((folder / name).read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match="repeat the same fakespan maps"):
        read_all(folder)
    make_maps(clips(), tiny, folder, batch_size=2)
    assert bytes_of(folder) == bytes_of(whole)


def begun(folder: Path) -> None:
    """As if it had not been finished."""
    record = json.loads((folder / "maps.json").read_text())
    (folder / "maps.json").write_text(json.dumps({**record, "done": False, "n_clips": 0, "n_frames": 0}))


def read_all(folder: Path) -> None:
    maps = open_maps(folder)
    for k in range(len(maps)):
        _ = maps.fused(k), maps.visual(k), maps.audio(k), maps.frames(k)
        for part in PARTS:  # what stands in for a missing modality too
            maps._read(part, k)


@pytest.mark.parametrize("fatal", ["real.mp4", "blind.mp4", "long.mp4"])
def test_interrupted_it_goes_on_with_what_is_left(tiny, whole, tmp_path, fatal):
    folder = tmp_path / "maps"
    with pytest.raises(KeyboardInterrupt):
        make_maps(clips(Reader(fatal=fatal)), tiny, folder, batch_size=2)
    with pytest.raises(DataError, match=r"got those of an interrupted run; repeat the same"):
        open_maps(folder)
    n_before = (folder / "index.jsonl").read_bytes().count(b"\n")
    made = make_maps(clips(), tiny, folder, batch_size=2)
    assert made.n_new == 6 - n_before
    assert bytes_of(folder) == bytes_of(whole)


def test_what_is_done_is_not_read_again(tiny, whole, tmp_path):
    folder, reader = shutil.copytree(whole, tmp_path / "maps"), Reader()
    assert make_maps(clips(reader), tiny, folder, batch_size=2).n_new == 0
    assert reader.n_read == 0
    assert bytes_of(folder) == bytes_of(whole)


def test_a_clip_that_cannot_be_read_is_named_and_asked_for_again(tiny, whole, tmp_path):
    folder = tmp_path / "maps"
    made = make_maps(clips(Reader(broken=["fake.mp4", "long.mp4"])), tiny, folder, batch_size=2)
    assert list(made.unreadable) == ["fake.mp4", "long.mp4"]
    assert "expected a clip, got rubbish" in made.unreadable["fake.mp4"]
    maps = open_maps(folder)
    assert [e.name for e in maps.entries] == ["real.mp4", "silent.mp4", "blind.mp4", "short.mp4"]
    assert dict(maps.header.unreadable) == dict(made.unreadable)
    before = bytes_of(folder)
    make_maps(clips(Reader(broken=["fake.mp4", "long.mp4"])), tiny, folder, batch_size=2)
    assert bytes_of(folder) == before
    made = make_maps(clips(), tiny, folder, batch_size=2)
    assert (made.n_clips, made.n_new, made.unreadable) == (6, 2, {})
    mended, wanted = open_maps(folder), open_maps(whole)
    assert [e.name for e in mended.entries] == [e.name for e in wanted.entries]
    for k in range(6):
        np.testing.assert_allclose(mended.fused(k), wanted.fused(k), atol=HALF)


def test_a_clip_that_is_gone_after_its_maps_were_stored_is_not_unreadable(tiny, tmp_path):
    """It is read once more because its batch is not complete."""
    names = [e.name for e in EXAMPLES]
    make_maps(clips(Reader(broken=names[1::2])), tiny, tmp_path / "maps", batch_size=2)
    made = make_maps(clips(Reader(broken=names[::2])), tiny, tmp_path / "maps", batch_size=2)
    assert (made.n_clips, made.unreadable) == (6, {})
    assert open_maps(tmp_path / "maps").header.unreadable == {}


def test_a_clip_of_nothing_is_unreadable(tiny, tmp_path):
    reader = Reader()
    reader.by_name["fake.mp4"] = noise("fake.mp4", 5, 0, seen=False, heard=False)
    made = make_maps(clips(reader), tiny, tmp_path / "maps")
    assert made.unreadable == {"fake.mp4": "neither a face nor audio"}
    nothing = make_maps(clips(Reader(broken=[e.name for e in EXAMPLES])), tiny, tmp_path / "nothing")
    with pytest.raises(DataError, match="expected maps of at least one clip, got none: 6 could not be read"):
        open_maps(nothing.folder)


# -- one folder, one thing --------------------------------------------------------------------------------------------


def others(tiny: Localizer) -> dict[str, tuple[Localizer, ClipSet, dict[str, object]]]:
    fewer = clips()
    return {
        "model.digest": (localizer_of(seed=1), clips(), {}),
        "model.max_duration": (localizer_of(dataclasses.replace(TINY, max_duration=9)), clips(), {}),
        "data": (tiny, clips(source="dfdc:/data/others"), {}),
        "split": (tiny, clips(split="test"), {}),
        "about.faces": (tiny, clips(), {"faces": "whole"}),
        "n_wanted": (tiny, ClipSet(fewer.source, fewer.samples[:4], Reader()), {}),
        "clips": (tiny, clips(original="someone.mp4"), {}),
    }


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("key", list(others(None)))
def test_maps_of_something_else_are_refused_and_left_as_they_are(tiny, whole, tmp_path, key, done):
    folder = shutil.copytree(whole, tmp_path / "maps")
    if not done:
        begun(folder)
        (folder / "audio.f16").write_bytes(b"half")
    before = bytes_of(folder)
    localizer, other, about = others(tiny)[key]
    with pytest.raises(DataError, match=rf"expected maps with {key} .*, got maps with .*; use another --out"):
        make_maps(other, localizer, folder, about=about)
    assert bytes_of(folder) == before


def test_files_that_no_header_speaks_for_are_refused(tiny, tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "fused.f16").write_bytes(b"somebody's")
    with pytest.raises(DataError, match=r"expected an empty folder, or one with maps.json, got fused.f16 of unknown"):
        make_maps(clips(), tiny, folder)
    assert bytes_of(folder) == {"fused.f16": b"somebody's"}


def test_two_writers_are_held_apart(tiny, tmp_path):
    refused = pytest.raises(DataError, match="expected a folder that is not in use, got one that another process")
    with MapWriter(tmp_path / "maps", header_for(tiny, "dfdc:/data/noise", clips().samples, {})), refused:
        make_maps(clips(), tiny, tmp_path / "maps")
    assert make_maps(clips(), tiny, tmp_path / "maps").n_clips == 6


def test_a_folder_that_cannot_be_is_told(tiny, tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(FakespanError, match="expected a writable folder with free space, got file exists"):
        make_maps(clips(), tiny, tmp_path / "file")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_no_number_from_the_network_names_the_clip_and_writes_nothing(tiny, tmp_path, bad):
    folder = tmp_path / "maps"
    score = np.full((D, 12), 0.5, np.float32)
    curve = np.full(12, bad, np.float32)
    refused = pytest.raises(DataError, match=r"real.mp4: expected numbers from the network, got NaN or infinity")
    with MapWriter(folder, header_for(tiny, "dfdc:/data/noise", clips().samples, {})) as writer, refused:
        writer.add(0, clips().samples[0], ClipMaps(25.0, score, score, None, curve))
    assert all((folder / f"{part}.f16").stat().st_size == 0 for part in PARTS)
    assert make_maps(clips(), tiny, folder).n_new == 6


# -- bad input --------------------------------------------------------------------------------------------------------


def test_without_maps_there_is_a_way_to_them(tmp_path):
    for folder, got in ((tmp_path, "a folder without maps.json"), (tmp_path / "none", "no such folder")):
        with pytest.raises(DataError, match=rf"expected a folder of maps, got {got}; create one: fakespan maps --data"):
            open_maps(folder)


def change_header(folder: Path, **changes: object) -> None:
    record = json.loads((folder / "maps.json").read_text())
    (folder / "maps.json").write_text(json.dumps({**record, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: change_header(f, format="fakespan.maps/2"),
            r"expected maps of format fakespan.maps/1, got format 'fa",
        ),
        (
            lambda f: change_header(f, n_frames="many"),
            "expected a complete description, got a missing or invalid entry:",
        ),
        (lambda f: change_header(f, model={}), "got a missing or invalid entry: 'name'"),
        (lambda f: change_header(f, model=[]), "got a missing or invalid entry:"),
        (lambda f: change_header(f, done="yes"), "got a missing or invalid entry: done"),
        (lambda f: (f / "maps.json").write_text("[1]"), r"expected maps of format .*, got not an object"),
        (lambda f: (f / "maps.json").write_bytes(b"\xff{"), r"got a damaged file \(UnicodeDecodeError\); use another"),
        (lambda f: (f / "maps.json").write_text("[" * 9999), r"got a damaged file \(RecursionError\)"),
        (lambda f: (f / "visual.f16").unlink(), r"visual.f16: expected \d+ bytes, got no such file; repeat the same"),
        (lambda f: truncate(f / "frames.f16", 1), r"frames.f16: expected \d+ bytes, got \d+; repeat the same"),
        (lambda f: (f / "index.jsonl").unlink(), "expected the index of the maps, got no such file"),
        (lambda f: truncate(f / "index.jsonl", 1), "line 6: not a complete line of JSON; repeat the same"),
        (lambda f: swap(f, b'"label": 0', b'"label": 1'), "got a damaged line .: its checksum does not match"),
        (lambda f: swap(f, b'"label": 0', b'"label": NaN'), "got a damaged line .: not a complete line of JSON"),
        (lambda f: drop_line(f, -1), r"expected 6 clips of 139 frames, got 5 of \d+; repeat the same"),
        (lambda f: drop_line(f, 0), "got a damaged line 1: a gap before it; repeat the same"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(whole, tmp_path, damage, message):
    folder = shutil.copytree(whole, tmp_path / "maps")
    damage(folder)
    before = bytes_of(folder)
    with pytest.raises(DataError, match=message):
        open_maps(folder)
    assert bytes_of(folder) == before


def truncate(path: Path, n_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-n_bytes])


def swap(folder: Path, old: bytes, new: bytes) -> None:
    path = folder / "index.jsonl"
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def drop_line(folder: Path, k: int) -> None:
    lines = (folder / "index.jsonl").read_bytes().splitlines(keepends=True)
    del lines[k]
    (folder / "index.jsonl").write_bytes(b"".join(lines))


def test_a_changed_byte_is_noticed_when_its_map_is_read(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "maps")
    content = bytearray((folder / "audio.f16").read_bytes())
    offset = open_maps(folder).entries[1].offset
    content[2 * D * offset] ^= 1
    (folder / "audio.f16").write_bytes(content)
    maps = open_maps(folder)
    assert maps.audio(0) is not None
    with pytest.raises(DataError, match=r"audio.f16: expected the maps as written, got other bytes for fake.mp4"):
        maps.audio(1)


ENTRY = MapEntry(3, "ä\n\"'.mp4", 1, "audio", None, 7, 5, 25 / 3, True, False, (0, 1, 2, 2**32 - 1))


def test_a_line_comes_back_as_it_was():
    assert entry_of(line_of(ENTRY)) == ENTRY
    assert line_of(ENTRY).count(b"\n") == 1


@pytest.mark.parametrize(
    "change",
    [{"n_frames": 0}, {"n_frames": "x"}, {"offset": -1}, {"label": 2}, {"kind": "odd"}, {"name": None}, {"original": 3},
     {"fps": 0.0}, {"crc32": (1, 2)}, {"has_picture": False}, {"number": 0.5}],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_damage(change):
    with pytest.raises(Damage, match="inconsistent entries"):
        entry_of(line_of(dataclasses.replace(ENTRY, **change)))


# -- a set on the disk, and the command -------------------------------------------------------------------------------


def test_a_set_in_dfdcs_layout_keeps_its_originals(tiny_path, dfdc, tmp_path):
    localizer = load_model(tiny_path, "cpu")
    made = make_split_maps(
        localizer, f"dfdc:{dfdc}", "train", tmp_path / "maps", MapOptions(faces="whole", n_workers=0)
    )
    maps = open_maps(made.folder)
    samples = open_set(f"dfdc:{dfdc}", "train").samples
    assert [(e.name, e.original, e.label) for e in maps.entries] == [(s.name, s.original, s.is_fake) for s in samples]
    assert {e.original for e in maps.entries if e.label} == {"real00.mp4", "real01.mp4"}
    assert (maps.header.data, maps.header.about) == ("dfdc:DFDC", {"subset": "full", "faces": "whole"})
    assert maps.fused(0).shape == (D, 15)


def test_a_network_of_mouths_is_shown_mouths(dfdc, tmp_path, monkeypatch):
    shown: list[Clip] = []

    def watched(localizer: Localizer, clips: Sequence[Clip], batch_size: int) -> list[ClipMaps | None]:
        shown.extend(clips)
        return judge(localizer, clips, batch_size)

    judge = Localizer.judge
    monkeypatch.setattr(Localizer, "judge", watched)
    localizer = localizer_of(dataclasses.replace(TINY, framing="mouth"))
    source = f"dfdc:{dfdc}"
    make_split_maps(localizer, source, "train", tmp_path / "maps", MapOptions(limit=1, faces="whole", n_workers=0))
    face, mouth = (open_set(source, "train", faces="whole", framing=framing)[0] for framing in ("face", "mouth"))
    assert (face.faces != mouth.faces).any()
    np.testing.assert_array_equal(shown[0].faces, mouth.faces)


@pytest.fixture
def make(call, tiny_path, dfdc, tmp_path):
    def make_(*arguments: object) -> tuple[int, str, str]:
        given = {"--data": f"dfdc:{dfdc}", "--split": "train", "--model": tiny_path, "--out": tmp_path / "maps",
                 "--faces": "whole", "--workers": 0, "--device": "cpu"}  # fmt: skip
        options = [v for key, value in given.items() if key not in arguments for v in (key, value)]
        return call("maps", *arguments, *options)

    return make_


def test_the_command_tells_what_it_made_and_goes_on(make, tmp_path):
    code, out, err = make()
    assert (code, err) == (0, "")
    assert out.startswith(f"4 clips, 2 of them fake, in {tmp_path / 'maps'} (4 new), ")
    assert "MB for 1,000 of them" in out
    before = bytes_of(tmp_path / "maps")
    said = json.loads(make("--json")[1])
    assert said == {"maps": str(tmp_path / "maps"), "clips": 4, "fake": 2, "new": 0, "unlabelled": 0, "frames": 60,
                    "bytes": sum(map(len, before.values())), "unreadable": {}}  # fmt: skip
    assert bytes_of(tmp_path / "maps") == before


@pytest.mark.slow
def test_processes_that_decode_change_nothing(make, tmp_path):
    assert make("--limit", 3, "--out", tmp_path / "alone")[0] == 0
    assert make("--limit", 3, "--workers", 1)[0] == 0
    assert bytes_of(tmp_path / "maps") == bytes_of(tmp_path / "alone")


def test_the_command_names_what_cannot_be_read(make, dfdc, tmp_path):
    root = shutil.copytree(dfdc, tmp_path / "DFDC")
    (root / "dfdc_train_part_0/fake000.mp4").write_text("not a video")
    code, out, err = make("--data", f"dfdc:{root}")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("fakespan: fake000.mp4: expected a readable clip, got ")
    assert out.startswith("3 clips, 1 of them fake")


def test_the_command_refuses_in_one_line(make, tmp_path):
    assert make("--limit", 1)[0] == 0
    code, out, err = make("--limit", 2)
    assert (code, out) == (1, "")
    assert err == (
        f"fakespan: {tmp_path / 'maps'}: expected maps with n_wanted 2, got maps with 1; use another --out, or "
        "remove this folder\n"
    )
    assert make("--split", "weekend")[0] == 2
    assert make("--split", "test", "--out", tmp_path / "test")[0] == 1
    assert not (tmp_path / "test").exists()


def test_the_document_reads_them_as_written(whole, tmp_path, monkeypatch, capsys):
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(whole, tmp_path / "maps" / "train")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/maps.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("real.mp4 real None (10, 12) 0.")
    assert len(lines) == 7
