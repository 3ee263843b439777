"""The clock of a file: what is missing on its way, at the times of a player."""

from __future__ import annotations

import pytest

from fakespan.localizer.clock import FileClock
from fakespan.media.damage import Damage
from fakespan.media.jumps import Hole, Jumps
from fakespan.types import Curve, MediaInfo, Segment, Unjudged

LATE = MediaInfo(duration_s=13.2, has_video=True, has_audio=True, container="matroska", starts_at_s=5.0)
HOLE = Jumps([Hole(50, 10.0)])
ENDS = FileClock(MediaInfo(8.0, has_video=True, has_audio=True, container="mov,mp4"))


def test_what_is_lost_is_told_at_the_times_of_a_player() -> None:
    clock = FileClock(LATE, jumps=HOLE, damage=Damage(spans=[(1.0, 3.0)]))  # 80 frames, the hole amid the damage
    assert clock.lost(80) == [
        Unjudged(7.0, 17.0, "gap"),
        Unjudged(6.0, 7.0, "damaged"),
        Unjudged(17.0, 18.0, "damaged"),
    ]
    assert clock.intact(80) == [(0, 25), (75, 80)]
    assert clock.notes(80) == ["2.0 s are damaged and were not judged"]


def test_what_lies_behind_a_hole_is_moved_by_it() -> None:
    clock = FileClock(LATE, jumps=HOLE)
    assert clock.moved(Segment(1.0, 1.5, 0.9, "audio"), 49) == Segment(6.0, 6.5, 0.9, "audio")
    assert clock.moved(Segment(2.0, 2.5, 0.9, "audio"), 50) == Segment(17.0, 17.5, 0.9, "audio")
    assert clock.moved(Curve("audio", None, 2.0, 25.0, (0.1,)), 50).start_s == 17.0


def test_a_file_that_ends_early_is_cut_short() -> None:
    assert ENDS.lost(75) == [Unjudged(3.0, 8.0, "damaged")]
    assert ENDS.notes(75) == ["the file ends 5.0 s before its stated length: cut short or damaged"]
    assert FileClock(LATE, jumps=HOLE).lost(80) == [Unjudged(7.0, 17.0, "gap")]  # it ends in time


@pytest.mark.parametrize(
    "clock", [FileClock(ENDS.info, is_read_to_end=False), FileClock(ENDS.info, jumps=Jumps(n_restarts=1))]
)
def test_a_part_and_a_clock_that_starts_again_say_nothing_of_the_end(clock: FileClock) -> None:
    assert clock.lost(75) == []
    assert not any("stated length" in note for note in clock.notes(75))


def test_a_hole_behind_which_there_is_nothing_is_not_told() -> None:
    clock = FileClock(LATE, jumps=Jumps([Hole(50, 1e8)]), others_end_s=1e8)  # a last packet that does not decode
    assert clock.lost(50) == []
    assert clock.end_s(50) == pytest.approx(2.0)
    assert clock.end_s(51) == pytest.approx(2.04 + 1e8)
