"""A part of a file is judged as in a scan of the whole file, and nothing else is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fakespan
from fakespan.errors import NotInFileError, UsageError
from fakespan.report.words import timecode
from fakespan.times import parse_time
from remux import FORGED_S, SAMPLE, remuxed

LENGTH_S = 8.32  # of the sample
THRESHOLD = 0.5


@pytest.fixture(scope="module")
def model():
    return fakespan.load_model("small", "cpu")


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    """The sample five times; a window of the network holds two and a half."""
    return remuxed(tmp_path_factory.mktemp("long") / "long.mkv", [LENGTH_S * k for k in range(5)])


@pytest.mark.parametrize("faces", ["auto", "none"])
def test_a_part_has_the_segments_and_scores_of_the_whole(model, long_file, faces):
    options = {"faces": faces, "threshold": THRESHOLD if faces == "auto" else 0.3}
    begin_s, end_s = LENGTH_S + 5.0, LENGTH_S + 7.0
    whole, part = model.scan(long_file, **options), model.scan(long_file, start_s=begin_s, end_s=end_s, **options)
    within = tuple(s for s in whole.segments if s.end_s > begin_s and s.start_s < end_s)
    assert within
    assert part.segments == within
    assert part.score == max(s.score for s in within)
    assert part.duration_s == whole.duration_s
    for curve in part.curves:
        same = next(c for c in whole.curves if c.modality == curve.modality and c.start_s <= curve.start_s)
        first = round((curve.start_s - same.start_s) * curve.fps)
        assert same.values[first : first + len(curve.values)] == curve.values


def test_what_was_not_asked_for_is_told(model):
    scan = model.scan(SAMPLE, start_s=2.0, end_s=4.0)
    assert not scan.segments
    assert scan.outcome == "nothing_found"
    assert (scan.asked.start_s, scan.asked.end_s) == (2.0, 4.0)
    assert scan.judged_share.either == 1.0
    outside = [(u.start_s, u.end_s) for u in scan.not_judged if u.reason == "not_asked"]
    assert outside == [(0.0, 2.0), (4.0, scan.duration_s)]
    assert "not_asked" not in scan.reasons
    assert {c.start_s for c in scan.curves} == {2.0}
    assert not any("stated length" in note for note in scan.notes)


def test_too_short_a_part_is_inconclusive(model):
    assert model.scan(SAMPLE, start_s=2.0, end_s=2.4).outcome == "inconclusive"


def test_times_are_those_of_a_player(model, tmp_path):
    late = remuxed(tmp_path / "late.mkv", [30.0])
    scan = model.scan(late, start_s=30.0 + FORGED_S[0] - 0.5, end_s=30.0 + FORGED_S[1] + 0.5)
    (segment,) = scan.segments
    assert segment.start_s == pytest.approx(30.0 + FORGED_S[0], abs=0.2)
    assert scan.asked.start_s == pytest.approx(30.0 + FORGED_S[0] - 0.5, abs=0.05)


@pytest.fixture(scope="module")
def jumping_file(tmp_path_factory):
    """The sample twice, the second time at 20 s of the file's clock, which has nothing in between."""
    return remuxed(tmp_path_factory.mktemp("jumping") / "jump.mkv", [0.0, 20.0])


def test_behind_a_hole_times_are_those_of_the_file_too(model, jumping_file):
    start_s, end_s = 20.0 + FORGED_S[0] - 0.5, 20.0 + FORGED_S[1] + 0.5
    scan = model.scan(jumping_file, start_s=start_s, end_s=end_s)
    (segment,) = scan.segments
    assert start_s < segment.start_s < segment.end_s < end_s
    assert (scan.asked.start_s, scan.asked.end_s) == (start_s, end_s)
    assert scan.judged_share.either == 1.0
    assert all(start_s - 0.05 < curve.start_s < end_s for curve in scan.curves)
    outside = [(u.start_s, u.end_s) for u in scan.not_judged if u.reason == "not_asked"]
    assert outside == [(0.0, start_s), (end_s, pytest.approx(28.3, abs=0.1))]


def test_a_part_across_a_hole_is_judged_on_both_sides(model, jumping_file):
    scan = model.scan(jumping_file, start_s=7.3, end_s=21.0, faces="none", sound="all")
    assert not scan.segments
    assert scan.judged_share.either == pytest.approx(2.0 / 13.7, abs=0.01)
    assert "gap" in scan.reasons


def test_within_a_hole_there_is_nothing_to_judge(model, jumping_file):
    scan = model.scan(jumping_file, start_s=10.0, end_s=15.0, faces="none")
    assert (scan.outcome, scan.segments, scan.curves) == ("inconclusive", (), ())
    assert scan.judged_share.either == 0.0
    assert "gap" in scan.reasons


def test_all_of_a_file_is_the_whole(model):
    assert model.scan(SAMPLE, start_s=0.0, end_s=900.0).asked is None


def test_a_part_that_the_file_does_not_have_is_refused(model, tmp_path):
    with pytest.raises(NotInFileError, match=r"ends after 9\.00 s"):
        model.scan(SAMPLE, start_s=9.0)
    late = remuxed(tmp_path / "late.mkv", [30.0])
    with pytest.raises(NotInFileError, match=r"ends after 99\.00 s, got a file from 30\.00 to 3\d\.\d\d s"):
        model.scan(late, start_s=99.0)
    with pytest.raises(NotInFileError, match=r"begins before 3\.00 s, got one from 30\.00 s on"):
        model.scan(late, end_s=3.0)


@pytest.mark.parametrize(("start_s", "end_s"), [(5.0, 5.0), (5.0, 4.0), (-1.0, None), (None, float("nan"))])
def test_ranges_that_are_none_are_refused(model, start_s, end_s):
    with pytest.raises(UsageError, match=r"^(start|end)"):
        model.scan(SAMPLE, start_s=start_s, end_s=end_s)


@given(st.integers(0, 360_000))
def test_times_are_read_as_reports_write_them(hundredths):
    assert parse_time(timecode(hundredths / 100)) == pytest.approx(hundredths / 100)


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:2:3:4", "1:60:00", "abc", "1e3", "nan", "1:", "٣", "9" * 30])
def test_other_times_are_refused(text):
    with pytest.raises(UsageError, match="m:ss"):
        parse_time(text)


def test_the_command_takes_both(call):
    code, out, _ = call("scan", SAMPLE, "--start", "0:05", "--end", "7.5", "--json")
    assert code == 0
    assert '"asked":{"start_s":5.0,"end_s":7.5}' in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--start", "soon"), "start: expected seconds, m:ss"),
        (("--start", "7", "--end", "0:05"), "end: expected a time after"),
    ],
)
def test_the_command_refuses_ranges_that_are_none(call, arguments, why):
    code, _, err = call("scan", SAMPLE, *arguments)
    assert code == 2
    assert why in err


def test_a_part_is_not_called_the_whole(call):
    code, out, _ = call("scan", SAMPLE, "--end", "3")
    assert code == 0
    assert "whole video" not in out
    assert "judged of 0:00.00 to 0:03.00" in out
