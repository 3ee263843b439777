"""Proposal files: what is written comes back, a killed run goes on, damage is told, the fast reader reads as json."""

from __future__ import annotations

import io
import json
import math
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.errors import DataError, UsageError
from fakespan.scoring import proposals_json
from fakespan.scoring.proposals import Proposals, ProposalWriter, read_proposals
from fakespan.scoring.proposals_json import _any, _usual, parse_proposals
from fakespan.scoring.proposals_parquet import read_parquet, write_parquet
from little_room import little_room

FOUND = {"test/a.mp4": [[0.9, 1.0, 2.0], [0.5, 0.04, 0.12]], "b.mp4": [], "c.mp4": [[0.123456789012, 7 / 25, 1.1]]}

numbers = st.floats(-1e6, 1e6) | st.integers(-(10**15), 10**15)
files = st.dictionaries(
    st.text(max_size=8), st.lists(st.lists(numbers, min_size=3, max_size=3), max_size=4), max_size=5
)


def same(a: Proposals, b) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[name], np.float32(np.reshape(b[name], (-1, 3)))) for name in b)


@settings(deadline=None)
@given(files, st.sampled_from([None, 1]), st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:  ")]))
def test_the_fast_reader_reads_what_json_reads(found, indent, ascii_only, separators):
    text = json.dumps(found, indent=indent, ensure_ascii=ascii_only, separators=separators).encode()
    names, counts, columns = _usual(io.BytesIO(text))
    assert list(names) == list(found)
    assert counts == [len(rows) for rows in found.values()]
    expected = np.float32([[float(v) for v in row] for rows in found.values() for row in rows]).reshape(-1, 3)
    assert columns.T.tolist() == expected.tolist()


@settings(deadline=None)
@given(st.text(alphabet='[]{},:"a\\1.-eE \n', max_size=40))
def test_the_fast_reader_never_reads_what_is_no_json(text):
    """Save for numbers that JSON writes otherwise, such as 01 and .5."""
    check_no_json(text.encode())


@settings(deadline=None)
@given(files.filter(bool), st.data())
def test_a_file_with_one_character_changed_reads_as_json_does_or_not_at_all(found, data):
    text = bytearray(json.dumps(found).encode())
    k = data.draw(st.integers(0, len(text) - 1))
    text[k : k + 1] = data.draw(st.sampled_from([b"", b",", b"[", b"]", b'"', b" ", b"1", b"-", b".", b"e", b"\\"]))
    check_no_json(bytes(text))


def check_no_json(text):
    parsed = _usual(io.BytesIO(text))
    if parsed is None:
        return
    try:
        names, counts, columns = _any(text, "x")
    except DataError as error:
        assert "Expecting ',' delimiter" in str(error) or "Expecting value" in str(error)  # noqa: PT017  the reason is what is tested
    else:
        assert (names, counts, columns.tolist()) == (parsed[0], parsed[1], parsed[2].tolist())


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_file_read_in_small_pieces_reads_the_same(monkeypatch, size):
    text = json.dumps(FOUND).encode()
    whole = _usual(io.BytesIO(text))
    monkeypatch.setattr(proposals_json, "_BLOCK", size)
    monkeypatch.setattr(proposals_json, "_CSV_BLOCK", 1 << 16)
    names, counts, columns = _usual(io.BytesIO(text))
    assert (names, counts, columns.tolist()) == (whole[0], whole[1], whole[2].tolist())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [[1, 2, 3]5, [4, 5, 6]]}',
        b'{"a": [[1, 2, 3]5]}',
        b'{"a": [5[1, 2, 3]]}',
        b'{"a"5: [[1, 2, 3]]}',
        b'{5"a": [[1, 2, 3]]}',
        b'{"a": [5]}',
        b'{"a": []5, "b": []}',
        b'{"a": [[1, 2, 3]]5}',
        b'{"a": [[1, 2, 3]]} 5',
        b'{: "a" [[1, 2, 3]]}',
        b'{"a": [1, 2, 3], [[4, 5, 6]]}',
        b'{"a": [[1, , 3]]}',
        b'{"a\n": [[1, 2, 3]]}',
    ],
)
def test_the_fast_reader_leaves_what_is_no_json_to_the_other(text):
    assert _usual(io.BytesIO(text)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"a": [[0.9, 1, 2]]', "expected JSON"),
        ('{"a": [[0.9, 1, 2]],}', "expected JSON"),
        ('{"a": [[0.9, 1, 2],]}', "expected JSON"),
        ('{"a": [[0.9, , 2]]}', "expected JSON"),
        ('{"a": [[0.9 1, 2, 3]]}', "expected JSON"),
        ('{"a": [[0.9, 1, 2]]} []', "expected JSON"),
        ("[[0.9, 1, 2]]", "expected an object of videos, got list"),
        ('{"a": 3}', "a: expected a list of proposals, got int"),
        ('{"a": {"b": 1}}', "a: expected a list of proposals"),
        ('{"a": [0.9, 1, 2]}', "a: expected score, begin, end, got float in entry 1"),
        ('{"a": [[0.9, 1, 2], [0.9, 1]]}', "a: expected score, begin, end, got 2 values in entry 2"),
        ('{"a": [[0.9, 1, 2, 3]]}', "a: expected score, begin, end, got 4 values in entry 1"),
        ('{"a": [[0.9, 1, "2"]]}', "a: expected numbers"),
        ('{"a": [[0.9, 1, true]]}', "a: expected numbers"),
        ('{"a": [[0.9, 1, null]]}', "a: expected numbers"),
        ('{"a": [[0.9, 1, 1' + "0" * 400 + "]]}", "a: expected numbers, got a number beyond float64"),
        ('{"a": [[0.9, 1, 2]], "a": []}', "expected each video once, got a more than once"),
        ('{"a": [[0.9, 1, NaN]], "a": []}', "expected each video once, got a more than once"),
    ],
)
def test_a_damaged_json_file_is_told(tmp_path, text, message):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_proposals(path)


def test_what_is_no_text_and_what_is_not_there_is_told(tmp_path):
    (tmp_path / "p.json").write_bytes(b'\xff\xfe{"a": []}')
    with pytest.raises(DataError, match="expected JSON"):
        read_proposals(tmp_path / "p.json")
    for name in ("none.json", "none.parquet"):
        with pytest.raises(DataError, match="no such file"):
            read_proposals(tmp_path / name)


def test_nan_and_infinity_are_read_so_that_they_can_be_told():
    _, _, (scores, _, ends) = parse_proposals(io.BytesIO(b'{"a": [[NaN, 1, Infinity], [1e999, 1, 2]]}'), "x")
    assert math.isnan(scores[0])
    assert ends[0] == scores[1] == math.inf


def test_frames_become_seconds(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"dir\\\\a.mp4": [[0.5, 25, 50.5]]}')
    assert read_proposals(path)["dir\\a.mp4"].tolist() == [[0.5, 1.0, np.float32(2.02)]]
    assert read_proposals(path, fps=1)["dir\\a.mp4"].tolist() == [[0.5, 25.0, 50.5]]
    for fps in (0, -1, math.nan):
        with pytest.raises(UsageError, match="positive"):
            read_proposals(path, fps)


def test_both_files_hold_the_same(tmp_path):
    with ProposalWriter(tmp_path / "found", formats=("json", "parquet")) as writer:
        fill(writer, FOUND)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found.json", "found.parquet"]
    assert same(read_proposals(tmp_path / "found.json"), FOUND)
    assert same(read_proposals(tmp_path / "found.parquet"), FOUND)
    published = json.loads((tmp_path / "found.json").read_text())
    assert published["test/a.mp4"] == [[0.9, 25.0, 50.0], [0.5, 1.0, 3.0]]


def test_seconds_can_be_written_as_json(tmp_path):
    with ProposalWriter(tmp_path / "found", fps=1) as writer:
        writer.add("a", FOUND["c.mp4"])
    assert json.loads((tmp_path / "found.json").read_text()) == {"a": FOUND["c.mp4"]}


@pytest.mark.parametrize("n_lost", [0, 1, 9, 20, 10**6])
def test_a_killed_run_goes_on(tmp_path, n_lost):
    """However much of what was written last is lost, whole lines stay and the files come out the same."""
    names = iter(FOUND)
    writer = ProposalWriter(tmp_path / "found", run="small on lavdf")
    writer.add(next(names), FOUND["test/a.mp4"])
    writer.add(next(names), FOUND["b.mp4"])
    writer.stop()
    text = writer.part.read_bytes()
    writer.part.write_bytes(text[: max(0, len(text) - n_lost)])
    with ProposalWriter(tmp_path / "found", run="small on lavdf") as again:
        assert again.done == set(list(FOUND)[: {0: 2, 1: 1, 9: 1, 20: 0, 10**6: 0}[n_lost]])
        for name, rows in FOUND.items():
            if name not in again:
                again.add(name, rows)
    assert same(read_proposals(tmp_path / "found.json"), FOUND)
    assert [p.name for p in tmp_path.iterdir()] == ["found.json"]


def test_two_at_once_do_not_mix_their_lists(tmp_path):
    writer = ProposalWriter(tmp_path / "found")
    writer.add("a", [[0.9, 1, 2]])
    with pytest.raises(DataError, match="another process is writing; wait until it is done"):
        ProposalWriter(tmp_path / "found")
    shared = os.dup(writer._file.fileno())  # as in a forked process
    writer.stop()
    with ProposalWriter(tmp_path / "found") as again:
        assert again.done == {"a"}
        again.add("b", [])
    os.close(shared)
    assert same(read_proposals(tmp_path / "found.json"), {"a": [[0.9, 1, 2]], "b": []})


def test_an_error_leaves_the_part_and_no_file(tmp_path):
    writer = ProposalWriter(tmp_path / "deep" / "found")
    with pytest.raises(DataError), writer:
        fill(writer, {"a": [[0.9, 1, 2]], "b": [[0.9, 1]]})
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["found.part.jsonl"]
    again = ProposalWriter(tmp_path / "deep" / "found")
    again.stop()
    assert again.done == {"a"}


def fill(writer, found):
    for name, rows in found.items():
        writer.add(name, rows)


def test_a_part_of_another_run_or_a_damaged_one_is_not_continued(tmp_path):
    writer = ProposalWriter(tmp_path / "found", run="one")
    writer.add("a", [[0.9, 1, 2]])
    writer.stop()
    with pytest.raises(DataError, match="expected the run 'two', got a part of 'one'"):
        ProposalWriter(tmp_path / "found", run="two")
    whole = writer.part.read_bytes()
    for damaged, message in [
        (whole + b"{]\n", "line 3"),
        (whole + b'["b", [1, 2]]\n', "expected a video, got line 3"),
        (b"[]\n" + whole, "expected fakespan.proposals/1"),
    ]:
        writer.part.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            ProposalWriter(tmp_path / "found", run="one")
        assert writer.part.read_bytes() == damaged


def test_a_writer_takes_each_video_once_and_only_numbers(tmp_path):
    with ProposalWriter(tmp_path / "found") as writer:
        writer.add("a", [])
        for name, rows, message in [
            ("a", [[0.9, 1, 2]], "second list"),
            ("b", [[math.nan, 1, 2]], "NaN"),
            ("b", [[0.9, 1]], r"numbers \(n, 3\)"),
        ]:
            with pytest.raises(DataError, match=message):
                writer.add(name, rows)
    writer.close()
    with pytest.raises(UsageError, match="closed"):
        writer.add("b", [])
    assert same(read_proposals(tmp_path / "found.json"), {"a": []})
    with pytest.raises(UsageError, match="json, parquet or both"):
        ProposalWriter(tmp_path / "found", formats=("csv",))


def test_a_folder_that_cannot_be_written_to_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="folder that may be written to"):
        ProposalWriter(tmp_path / "file" / "found")


@settings(deadline=None)
@given(files)
def test_parquet_keeps_every_list(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("parquet") / "p.parquet"
    write_parquet(path, Proposals.of(found))
    assert same(read_parquet(path), found)


def test_parquet_of_others_is_read(tmp_path):
    columns = {
        "extra": [0, 1, 2],
        "file": ["a", "b", "a"],
        "score": [1, 2, 3],
        "start_s": [0.0] * 3,
        "end_s": [1.0] * 3,
    }
    pq.write_table(pa.table(columns), tmp_path / "p.parquet", row_group_size=1)
    assert same(read_parquet(tmp_path / "p.parquet"), {"a": [[1, 0, 1], [3, 0, 1]], "b": [[2, 0, 1]]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end_s": None}, "columns file, score, start_s, end_s"),
        ({"score": ["x", "y"]}, "a Parquet file of proposals"),
        ({"score": [1.0, None]}, "a row without one"),
        ({"file": ["a", None]}, "a file name in each row, got 1 without"),
        ({"file": [1, 2]}, "a Parquet file of proposals"),
    ],
)
def test_a_parquet_file_that_does_not_fit_is_told(tmp_path, change, message):
    columns = {"file": ["a", "b"], "score": [1.0, 2.0], "start_s": [0.0, 0.0], "end_s": [1.0, 1.0]} | change
    pq.write_table(pa.table({k: v for k, v in columns.items() if v}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=message):
        read_proposals(tmp_path / "p.parquet")


def test_a_damaged_parquet_file_is_told(tmp_path):
    path = tmp_path / "p.parquet"
    write_parquet(path, Proposals.of(FOUND))
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[:-9], whole[: len(whole) // 2], bytes(len(whole))):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read_proposals(path)


def test_a_full_disk_is_told_and_the_next_run_goes_on(tmp_path):
    with ProposalWriter(tmp_path / "p") as writer:
        writer.add("test/a.mp4", FOUND["test/a.mp4"])
        writer.stop()
    told = pytest.raises(UsageError, match="expected files that can be written, got file too large")
    with told, little_room(writer.part.stat().st_size + 10), ProposalWriter(tmp_path / "p") as writer:
        writer.add("b.mp4", [])
    with ProposalWriter(tmp_path / "p") as writer:
        assert writer.done == {"test/a.mp4"}
