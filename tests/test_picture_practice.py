"""Practice pictures: the bank, what is forged and what is honest."""

from __future__ import annotations

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fakespan.errors import ConfigError, DataError
from fakespan.practice.looks import Look, draw_look, mouth_mask, null_event, render
from fakespan.practice.picture import (
    PicturePractice,
    draw_twins,
    make_partial_example,
    make_picture_example,
    make_picture_pair,
)
from fakespan.practice.picture_bank import BANK_SIZE, BankWriter, Entry, PictureBank, _read_index

N = 60
PLAIN = PicturePractice(n_frames=50, twin=1.0, nulls=0.0, disturb=False)


def some_faces(seed: int, n: int = N) -> np.ndarray:
    """Smooth pictures that drift."""
    y, x = np.mgrid[:BANK_SIZE, :BANK_SIZE] / BANK_SIZE
    t = np.arange(n)[:, None, None] / 25
    waves = [127 + 80 * np.sin(7 * x + seed + t) * np.cos(5 * y + c + t) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def entry(file: str, role: str, pair: str | None = None, person: str = "a", spans: tuple = ()) -> Entry:
    generator = None if role == "real" else "inverter"
    return Entry(file, role, pair, generator, None, person, f"{file}.mp4", N, 200, spans)


@pytest.fixture
def bank(tmp_path: Path) -> PictureBank:
    """A genuine clip with a twin that is its negative, another without one, and a clip that is forged in parts."""
    faces = some_faces(0)
    BankWriter(tmp_path).add(
        [
            (entry("real-1.npy", "real"), faces),
            (entry("fake-1.npy", "fake", "real-1.npy"), 255 - faces),
            (entry("real-2.npy", "real", person="b"), some_faces(3)),
            (entry("fake-2.npy", "fake", "real-2.npy", "b", ((5, 20),)), some_faces(4)),
        ]
    )
    return PictureBank(tmp_path)


def test_a_bank_gives_back_what_was_added(bank: PictureBank) -> None:
    twins = bank.twins()
    assert [one.real.file for one in twins] == ["real-1.npy", "real-2.npy"]
    assert [fake.file for fake in twins[0].fakes] == ["fake-1.npy"]
    assert twins[1].fakes == ()
    assert [one.spans for one in bank.partial()] == [((5, 20),)]
    np.testing.assert_array_equal(bank.faces(twins[0].real), some_faces(0))


def test_a_bank_grows_and_says_what_it_has(bank: PictureBank) -> None:
    writer = BankWriter(bank.folder)
    writer.add([(entry("real-3.npy", "real"), some_faces(5))])
    assert "real-3.npy.mp4" in writer.sources
    assert len(PictureBank(bank.folder).entries) == 5


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_a_source_with_a_line_separator_in_its_name_leaves_the_bank_readable(bank: PictureBank, mark: str) -> None:
    named = dataclasses.replace(entry("real-3.npy", "real"), source=f"one{mark}two.mp4")
    BankWriter(bank.folder).add([(named, some_faces(5, 1))])
    assert PictureBank(bank.folder).entries[-1] == named


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name the folder of a bank"):
        PictureBank(tmp_path)


def test_writers_at_the_same_time_keep_each_others_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: Path) -> list[Entry]:
        entries = list(_read_index(path))
        time.sleep(0.02)
        return entries

    monkeypatch.setattr("fakespan.practice.picture_bank._read_index", slow)

    def add(k: int) -> None:
        BankWriter(tmp_path).add([(entry(f"real-{k}.npy", "real"), some_faces(k, 1))])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(8)))
    assert {one.file for one in PictureBank(tmp_path).entries} == {f"real-{k}.npy" for k in range(8)}


@pytest.mark.parametrize("line", ["{}", "[]", "5", "nothing"])
def test_what_is_no_clip_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "index.jsonl").write_text(f"{line}\n")
    with pytest.raises(DataError, match="build it"):
        PictureBank(tmp_path)


def test_spans_need_not_be_named(tmp_path: Path) -> None:
    row = dataclasses.asdict(entry("real.npy", "real"))
    del row["spans"]
    (tmp_path / "index.jsonl").write_text(json.dumps(row) + "\n")
    assert PictureBank(tmp_path).entries == (entry("real.npy", "real"),)


def test_people_are_drawn_alike(bank: PictureBank) -> None:
    twins = [bank.twins()[0]] * 9 + [bank.twins()[1]]
    rng = np.random.default_rng(0)
    people = [draw_twins(twins, rng).real.person for _ in range(200)]
    assert 70 < people.count("b") < 130


@pytest.mark.parametrize("seed", range(4))
def test_a_pair_differs_where_it_was_forged_and_nowhere_else(bank: PictureBank, seed: int) -> None:
    forged, genuine = make_picture_pair(bank, bank.twins()[0], PLAIN, np.random.default_rng(seed))
    assert genuine.spans == ()
    assert forged.faces.shape == genuine.faces.shape == (50, 96, 96, 3)
    inside = np.zeros(50, bool)
    for begin, end in forged.spans:
        inside[begin:end] = True
    change = np.abs(forged.faces.astype(int) - genuine.faces).mean(axis=(1, 2, 3))
    assert inside.any()
    assert change[inside].mean() > 8 * change[~inside].mean()


def test_copies_by_our_own_networks_are_half_of_the_twins(bank: PictureBank) -> None:
    own = [
        dataclasses.replace(entry(f"own-{k}.npy", "fake", "real-1.npy"), generator=f"own {k}", family="own")
        for k in range(4)
    ]
    BankWriter(bank.folder).add((one, some_faces(9)) for one in own)
    twins = PictureBank(bank.folder).twins()[0]
    rng = np.random.default_rng(5)
    methods = [make_picture_pair(bank, twins, PLAIN, rng)[0].method.split("+")[0] for _ in range(60)]
    assert 0.3 < np.mean([method == "inverter" for method in methods]) < 0.7
    assert {"own 0", "own 1", "own 2", "own 3"} < set(methods)


def test_clips_without_a_twin_are_rendered(bank: PictureBank) -> None:
    forged, _ = make_picture_pair(bank, bank.twins()[1], PLAIN, np.random.default_rng(1))
    assert "mouth" in forged.method


def test_a_clip_forged_in_parts_keeps_its_truth(bank: PictureBank) -> None:
    example = make_partial_example(bank, bank.partial()[0], PLAIN, np.random.default_rng(2))
    ((begin, end),) = example.spans
    first = 20 - end  # of the clip's frames
    assert 0 <= first <= 10
    assert begin == max(0, 5 - first)
    assert example.faces.shape == (50, 96, 96, 3)


def test_the_same_numbers_make_the_same_example(bank: PictureBank) -> None:
    config = PicturePractice(n_frames=40)
    first, second = (make_picture_example(bank, bank.twins()[0], config, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.faces, second.faces)
    assert first.spans == second.spans


@pytest.mark.parametrize("seed", range(12))
def test_spans_lie_in_the_clip_and_apart_from_honest_events(bank: PictureBank, seed: int) -> None:
    config = PicturePractice(n_frames=60, nulls=1.0, two_spans=1.0, paired=1.0, twin=0.3)
    forged, genuine = make_picture_pair(bank, bank.twins()[0], config, np.random.default_rng(seed))
    assert forged.nulls == genuine.nulls
    for begin, end in (*forged.spans, *forged.nulls):
        assert 0 <= begin < end <= len(forged.faces)
    for begin, end in forged.spans:
        assert all(begin >= null_end or null_begin >= end for null_begin, null_end in forged.nulls)


@pytest.mark.parametrize("seed", range(25))
def test_an_honest_event_leaves_the_rest_as_it_was(seed: int) -> None:
    faces = some_faces(1, 40)
    changed = null_event(faces, 10, 25, np.random.default_rng(seed))
    assert changed.shape == faces.shape
    np.testing.assert_array_equal(changed[:10], faces[:10])
    np.testing.assert_array_equal(changed[25:], faces[25:])


def test_a_look_without_traces_changes_nothing() -> None:
    faces = some_faces(2, 5)
    np.testing.assert_allclose(render(faces, Look(), np.random.default_rng(0), move=False), faces)


@pytest.mark.parametrize(
    "look", [Look(shrink=3), Look(blur=1.5), Look(median=True), Look(quantise=30), Look(components=2), Look(smear=2)]
)
def test_looks_take_detail_away(look: Look) -> None:
    rng = np.random.default_rng(0)
    faces = np.clip(some_faces(2, 12) + rng.normal(0, 12, (12, BANK_SIZE, BANK_SIZE, 3)), 0, 255).astype(np.uint8)
    seen = render(faces, look, rng, move=False)

    def detail(images: np.ndarray) -> float:
        return float(np.abs(np.diff(images.astype(float), axis=2)).mean())

    assert detail(seen) < 0.8 * detail(faces)


def test_what_is_honest_has_no_traces_of_a_generator() -> None:
    rng = np.random.default_rng(0)
    looks = [draw_look(rng) for _ in range(60)]
    assert any(look.components for look in looks)
    assert not any(look.honest.components or look.honest.quantise or look.honest.lattice for look in looks)


def test_masks_hold_the_mouth_and_leave_the_corners() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = mouth_mask(rng, BANK_SIZE)[..., 0]
        assert mask[round(0.62 * BANK_SIZE), BANK_SIZE // 2] == 1
        assert mask[0, 0] == mask[0, -1] == 0


def test_impossible_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_span_s"):
        dataclasses.replace(PLAIN, min_span_s=4.0)
