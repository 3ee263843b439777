"""False alarms in genuine files: how they are counted, and the command `fakespan alarms`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from clips import spoken, write_clip
from fakespan.errors import DataError
from fakespan.localizer import load_model
from fakespan.localizer.alarms import Alarms
from fakespan.types import Scan, Segment
from scans import forged

pytestmark = pytest.mark.usefixtures("one_thread")


def scan(file: str, *scores: float, duration_s: float = 30.0) -> Scan:
    segments = tuple(Segment(k, k + 0.5, score, "audio") for k, score in enumerate(scores))
    return dataclasses.replace(forged(), file=file, duration_s=duration_s, segments=segments)


FOUND = Alarms.of([scan("a"), scan("b", 0.4, 0.9), scan("c", 0.6, 0.7, 0.8)], ["d: expected a file"])


def test_segments_are_counted_by_the_minute():
    rate = FOUND.rate(0.6)
    assert (FOUND.n_files, FOUND.minutes, rate.n_segments) == (3, 1.5, 4)
    assert rate.per_minute == pytest.approx(4 / 1.5)
    assert rate.interval == (pytest.approx(1.0899 / 1.5, abs=1e-3), pytest.approx(10.2416 / 1.5, abs=1e-3))
    assert FOUND.failed == ("d: expected a file",)


def test_without_a_segment_the_rate_may_still_be_above_nothing():
    low, high = FOUND.rate(0.95).interval
    assert (FOUND.rate(0.95).per_minute, low) == (0, 0)
    assert high == pytest.approx(3.689 / 1.5, abs=1e-3)


def test_files_with_a_segment_are_listed_the_worst_first():
    assert list(FOUND.by_file(0.3).items()) == [("c", 3), ("b", 2)]
    assert FOUND.by_file(0.85) == {"b": 1}
    assert FOUND.by_file(0.95) == {}


def test_without_any_scan_there_is_no_rate():
    with pytest.raises(DataError, match="genuine files that can be scanned, got d: expected a file"):
        Alarms.of([], ["d: expected a file"])


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def genuine(tmp_path: Path) -> Path:
    """A folder with two voices of two and three seconds, and a text."""
    folder = tmp_path / "genuine"
    (folder / "more").mkdir(parents=True)
    for path, seconds in ((folder / "one.wav", 2.0), (folder / "more" / "two.wav", 3.0)):
        write_clip(path, sound=spoken(seconds), sound_rate=16_000, audio_codec="pcm_s16le")
    (folder / "notes.txt").write_text("no media")
    return folder


def test_it_counts_what_a_scan_at_each_threshold_finds(call, genuine, tiny_path):
    localizer = load_model(tiny_path, "cpu")
    files = sorted(genuine.rglob("*.wav"))
    top = max(segment.score for file in files for segment in localizer.scan(file, threshold=0.0).segments)
    threshold = round(0.9 * top, 3)
    expected = {str(f): len(localizer.scan(f, threshold=threshold).segments) for f in files}
    assert sum(expected.values()) > 0
    code, out, err = call(
        "alarms", genuine, "--model", tiny_path, "--threshold", threshold, "--json", "--device", "cpu"
    )
    assert (code, err.count("\n")) == (0, 1)
    assert "left out 1 that are not media by their suffix (1 .txt)" in err
    facts = json.loads(out)
    assert (facts["model"], facts["files"], facts["failed"]) == ("tiny", 2, [])
    assert facts["minutes"] == pytest.approx(5 / 60, abs=0.01)
    assert facts["segments"] == sum(expected.values())
    assert facts["in"] == {file: n for file, n in expected.items() if n}
    assert facts["per_minute"] == pytest.approx(12 * facts["segments"], rel=0.02)
    low, high = facts["per_minute_95"]
    assert low < facts["per_minute"] < high
    listed = {row["threshold"]: row["segments"] for row in facts["thresholds"]}
    assert listed[threshold] == facts["segments"]
    assert set(listed) >= {0.3, 0.5, 0.7, 0.8, 0.9}
    for value, n in listed.items():
        assert n == sum(len(localizer.scan(f, threshold=value).segments) for f in files)


def test_a_person_reads_the_same(call, genuine, tiny_path):
    code, out, err = call("alarms", genuine / "one.wav", "--model", tiny_path, "--threshold", 0, "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.startswith("tiny: 1 genuine file, 0.03 minutes, ")
    assert "segments per minute (95 % Poisson interval" in out
    assert f" in {genuine / 'one.wav'}" in out
    (header,) = (k for k, line in enumerate(out.splitlines()) if line.startswith("threshold"))
    assert [line.split()[0] for line in out.splitlines()[header + 1 :]] == ["0", "0.3", "0.5", "0.7", "0.8", "0.9"]


def test_a_file_that_fails_is_told_and_the_others_are_counted(call, genuine, tiny_path):
    broken = genuine / "broken.wav"
    broken.write_bytes(b"nothing")
    code, out, err = call("alarms", genuine, "--model", tiny_path, "--json", "--device", "cpu")
    line = err.splitlines()[-1]
    assert line.startswith(f"fakespan: {broken}: expected ")
    facts = json.loads(out)
    assert (code, facts["files"], len(facts["failed"]), facts["threshold"]) == (1, 2, 1, 0.5)


@pytest.mark.parametrize("what", ["none.wav", "empty"])
def test_without_a_file_that_can_be_scanned_nothing_is_told(call, tmp_path, tiny_path, what):
    (tmp_path / "empty").mkdir()
    code, out, err = call("alarms", tmp_path / what, "--model", tiny_path, "--device", "cpu")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith(f"fakespan: {tmp_path / what}: expected ")


def test_a_threshold_beyond_scores_is_wrong_usage(call, genuine, tiny_path):
    assert call("alarms", genuine, "--model", tiny_path, "--threshold", "1.5")[0] == 2
