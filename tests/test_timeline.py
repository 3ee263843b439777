"""One clock for picture and sound, whatever the stamps of their packets do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakespan.media.jumps import Hole, Jumps, at_clock
from fakespan.media.timeline import Timeline

TICK = Fraction(1, 1000)
KINDS = ("video", "audio")


@dataclass
class Packet:
    """What the timeline looks at."""

    stream_index: int
    pts: int | None
    dts: int | None
    duration: int = 40
    size: int = 100
    time_base: Fraction = TICK
    text: str = ""  # what it shows, for the test

    @property
    def stream(self) -> Any:
        return SimpleNamespace(type=KINDS[self.stream_index])


def take(start_s: float, length_s: float, streams: Iterable[int] = (0, 1), sound_later_s: float = 0.0) -> list[Packet]:
    """Packets of 40 ms, interleaved, of a recording whose clock shows `start_s` at its beginning."""
    packets = []
    for k in range(round(length_s / 0.04)):
        for stream in streams:
            stamp = round((start_s + (sound_later_s if stream else 0.0)) * 1000) + 40 * k
            packets.append(Packet(stream, stamp, stamp, text=f"{start_s:g}+{k}"))
    return packets


def followed(packets: list[Packet], zero_s: float = 0.0, duration_s: float = 0.0) -> tuple[list[Packet], Jumps]:
    jumps = Jumps()
    timeline: Any = Timeline(zero_s, duration_s, jumps)
    return list(timeline.follow(dataclasses.replace(packet) for packet in packets)), jumps


def times_s(packets: list[Packet], stream: int) -> list[float]:
    return [packet.pts / 1000 for packet in packets if packet.stream_index == stream and packet.pts is not None]


def test_a_sound_clock_is_left_alone_but_for_its_origin() -> None:
    packets, jumps = followed(take(10.0, 2.0, sound_later_s=0.3), zero_s=10.0, duration_s=2.3)
    assert times_s(packets, 0) == pytest.approx([0.04 * k for k in range(50)])
    assert times_s(packets, 1) == pytest.approx([0.3 + 0.04 * k for k in range(50)])
    assert jumps == Jumps()


@pytest.mark.parametrize("sound_first", [False, True])
def test_sound_that_a_restart_brings_begins_behind_what_was_there(sound_first: bool) -> None:
    """A part of pictures alone, then one with both kinds whose clock begins anew."""
    both = take(0.0, 2.0)
    if sound_first:
        both = sorted(both, key=lambda p: (p.pts or 0) - 500 * p.stream_index)
    placed, jumps = followed(take(0.0, 4.0, streams=[0]) + both)
    assert jumps == Jumps(n_restarts=1)
    assert times_s(placed, 1) == pytest.approx([4.0 + 0.04 * k for k in range(50)])
    assert times_s(placed, 0) == pytest.approx([0.04 * k for k in range(150)])


def test_streams_one_after_the_other_are_no_restart() -> None:
    placed, jumps = followed(2 * [*take(0.0, 4.0, streams=[0]), *take(0.0, 4.0, streams=[1])])
    assert times_s(placed, 1)[0] == 0
    assert times_s(placed, 1)[100] == pytest.approx(4.0)
    assert jumps == Jumps(n_restarts=1)


@pytest.mark.parametrize("n_sound_missing", [0, 10])
def test_a_restart_shifts_picture_and_sound_by_the_same(n_sound_missing: int) -> None:
    """Ten takes one after another, the sound of each shorter than its picture and 80 ms early."""
    packets = []
    for _ in range(10):
        part = take(5.0, 2.0, sound_later_s=-0.08)
        packets += [p for p in part if p.stream_index == 0 or int(p.text.split("+")[1]) < 50 - n_sound_missing]
    placed, jumps = followed(packets, zero_s=4.92)
    assert jumps == Jumps(n_restarts=9)
    pictures, sounds = times_s(placed, 0), times_s(placed, 1)
    for number in range(10):
        skew_s = sounds[number * (50 - n_sound_missing)] - pictures[50 * number]
        assert skew_s == pytest.approx(-0.08, abs=0.002)
        assert pictures[50 * number] == pytest.approx(0.08 + 2.08 * number, abs=0.002)


def test_a_jump_ahead_of_both_streams_is_a_hole() -> None:
    packets, jumps = followed(take(0.0, 2.0) + take(12.0, 2.0, sound_later_s=-0.1), duration_s=14.0)
    (hole,) = jumps.holes
    assert (hole.frame, hole.length_s) == (50, pytest.approx(9.9))
    assert times_s(packets, 0)[50] == pytest.approx(2.1)
    assert times_s(packets, 1)[50] == pytest.approx(2.0)
    assert jumps.file_s(49) == pytest.approx(1.96)
    assert jumps.file_s(50) == pytest.approx(11.9)


def test_a_picture_that_is_held_while_the_sound_goes_on_is_no_hole() -> None:
    sound = take(0.0, 40.0, [1])
    pictures = take(0.0, 2.0, [0]) + take(35.0, 5.0, [0])
    packets, jumps = followed(sorted(sound + pictures, key=lambda p: p.dts or 0))
    assert jumps == Jumps()
    assert times_s(packets, 0)[50] == 35.0


def test_pictures_without_sound_may_last_but_not_for_ever() -> None:
    slides = [Packet(0, 8000 * k, 8000 * k, duration=0) for k in range(5)]
    assert followed(slides)[1] == Jumps()
    late = [*slides, Packet(0, 9_000_000, 9_000_000, duration=0)]
    assert [round(hole.length_s) for hole in followed(late)[1].holes] == [8960]


def test_a_jump_beyond_the_end_that_the_file_states_is_a_fault() -> None:
    packets, jumps = followed(take(0.0, 2.0) + take(9000.0, 2.0), duration_s=4.0)
    assert jumps == Jumps(n_restarts=1)
    assert times_s(packets, 0) == pytest.approx([0.04 * k for k in range(100)])


@pytest.mark.parametrize("stamp_s", [0.0, 900.0])
def test_one_absurd_stamp_moves_nothing_else(stamp_s: float) -> None:
    given_, stamp = take(0.0, 4.0), round(stamp_s * 1000)
    given_[100].pts = given_[100].dts = stamp
    packets, jumps = followed(given_)
    assert jumps == Jumps()
    assert (packets[100].pts, packets[100].dts) == (None, None)
    assert [p.pts for p in packets[:100] + packets[101:]] == [p.pts for p in given_[:100] + given_[101:]]


def test_a_time_of_display_far_from_that_of_decoding_is_not_believed() -> None:
    given_ = take(0.0, 2.0)
    given_[40].pts = 10**12
    packets, jumps = followed(given_)
    assert packets[40].pts == packets[40].dts
    assert jumps == Jumps()


def test_stamps_extrapolated_at_the_old_rate_are_no_restart() -> None:
    """As in a transport stream: every eighth stamp is real, the others step too far."""
    stamps = [21 * 8 * (k // 8) + 64 * (k % 8) for k in range(80)]
    packets, jumps = followed([Packet(1, stamp, stamp, duration=64) for stamp in stamps])
    assert jumps == Jumps()
    assert [packet.pts for packet in packets] == stamps


def test_a_sound_that_begins_an_hour_late_costs_no_hour() -> None:
    packets, jumps = followed(take(0.0, 8.0, [0]) + take(3600.0, 8.0, [1]), duration_s=3608.0)
    assert [(hole.frame, round(hole.length_s)) for hole in jumps.holes] == [(200, 3592)]
    assert times_s(packets, 1)[0] == pytest.approx(8.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(-(2**40), 2**40), st.one_of(st.none(), st.integers(-(2**40), 2**40))),
        max_size=60,
    )
)
def test_no_stamps_can_make_a_long_clock(stamps: list[tuple[int, int, int | None]]) -> None:
    """Whatever the stamps are, the clock is no longer than what the packets can fill."""
    packets, _ = followed([Packet(stream, pts, dts) for stream, pts, dts in stamps])
    shown_s = [packet.pts / 1000 for packet in packets if packet.pts is not None]
    assert max(shown_s, default=0.0) <= 30.0 * (len(stamps) + 1)


# --- what is shown


def test_nothing_is_shown_on_the_other_side_of_a_hole() -> None:
    jumps = Jumps([Hole(10, 9.0), Hole(20, 9.0), Hole(30, 9.0)])
    pieces = [(0.0, 0.04, "a"), (0.5, 0.04, "b"), (1.3, 0.04, "c")]  # none between the second hole and the third
    shown = dict(at_clock(pieces, 25, jumps))
    assert shown == {
        **dict.fromkeys(range(10), "a"),
        **dict.fromkeys(range(10, 20), "b"),
        **dict.fromkeys(range(30, 34), "c"),
    }
