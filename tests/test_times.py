"""Another container or clock leaves everything at its time: flashes and beeps, and the forged span of the sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fakespan
from clips import numbered_picture, read_number, tone, write_clip
from fakespan.data.clip import read_example
from fakespan.errors import MediaError
from fakespan.media.decode import read_both, read_pictures, read_sound
from fakespan.media.jumps import Jumps
from fakespan.media.probe import probe
from fakespan.types import Sample, Scan
from remux import FORGED_S, SAMPLE, remuxed

CLOCK_S = 1 / 25


def shown_numbers(path: Path) -> list[int]:
    return [read_number(picture.rgb()) for picture in read_pictures(path)]


def beeps(path: Path, n_shown: int, sound_s: float, at_s: float, **options: Any) -> Path:
    """A take of dark pictures with a flash, and a beep, of 0.2 s each at the same time."""
    levels = [220 if at_s <= k * CLOCK_S + 1e-6 < at_s + 0.2 else 20 for k in range(n_shown)]
    pictures = [np.full((48, 160, 3), level, np.uint8) for level in levels]
    rate = options.get("sound_rate", 44_100)
    sound = tone(sound_s, rate)
    times_s = np.arange(sound.shape[1]) / rate
    sound[:, (times_s < at_s) | (times_s >= at_s + 0.2)] = 0
    if options.get("layout") == "stereo":
        sound = np.repeat(sound, 2, axis=0)
    return write_clip(path, pictures, np.arange(n_shown) * CLOCK_S, sound=sound, **{"audio_codec": "mp2", **options})


def onsets_s(is_on: np.ndarray, rate: float, apart_s: float = 1.0) -> list[float]:
    """When it turns on after having been off for so long."""
    on = np.flatnonzero(is_on) / rate
    return [float(t) for t, before in zip(on, [-9.0, *on[:-1]], strict=True) if t - before > apart_s]


def flashes_s(path: Path) -> list[float]:
    return onsets_s(np.array([picture.thumbnail(32).mean() > 120 for picture in read_pictures(path)]), 25)


def beeps_s(path: Path) -> list[float]:
    return onsets_s(np.abs(read_sound(path)) > 0.1, 16_000)


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


# --- the order of display


def test_pictures_of_an_avi_with_b_frames_come_in_order_at_their_times(tmp_path: Path) -> None:
    pictures = [numbered_picture(k) for k in range(50)]
    sound = {"sound": tone(2.0), "audio_codec": "pcm_s16le"}
    path = write_clip(tmp_path / "b.avi", pictures, np.arange(50) / 25, video_codec="libx264", **sound)
    assert shown_numbers(path) == list(range(49))  # the file says that the last lasts 1.7 ms
    images: list[int] = []
    read_both(path, lambda shown: images.extend(read_number(picture.rgb()) for picture in shown))
    assert images == list(range(49))


# --- restarts


def test_pieces_joined_byte_by_byte_keep_picture_and_sound_together(tmp_path: Path) -> None:
    """The sound of each piece is shorter than its picture; shifted apart, they end up 1.8 s out of step."""
    piece = beeps(tmp_path / "piece.ts", 50, 1.8, at_s=1.0)
    path = joined(tmp_path / "ten.ts", *[piece] * 10)
    flashes, sounds = flashes_s(path), beeps_s(path)
    assert len(flashes) == len(sounds) == 10
    assert np.abs(np.subtract(flashes, sounds)).max() <= 0.06
    assert np.abs(np.diff(flashes) - 2.0).max() <= 0.06


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_change_of_rate_and_layout_within_a_transport_stream_chops_nothing(tmp_path: Path, order: Any) -> None:
    takes = [
        beeps(tmp_path / "wide.ts", 100, 4.0, at_s=2.0, sound_rate=48_000, layout="stereo", audio_codec="aac"),
        beeps(tmp_path / "narrow.ts", 100, 4.0, at_s=2.0, sound_rate=16_000, audio_codec="aac"),
    ]
    path = joined(tmp_path / "both.ts", *(takes[k] for k in order))
    sound = read_sound(path)
    assert len(sound) / 16_000 == pytest.approx(8.1, abs=0.15)
    assert np.abs(np.subtract(flashes_s(path), beeps_s(path))).max() <= 0.09
    for start_s in beeps_s(path):
        assert np.mean(np.abs(sound[round(start_s * 16_000) :][:3200]) > 0.02) > 0.85  # one whole beep


# --- holes


def test_a_hole_costs_nothing_and_is_known(tmp_path: Path) -> None:
    path = remuxed(tmp_path / "hole.mkv", (0.0, 600.0))
    of_sound, of_pictures = Jumps(), Jumps()
    assert len(read_sound(path, jumps=of_sound)) == 2 * len(read_sound(SAMPLE))
    pictures = [picture.index for picture in read_pictures(path, jumps=of_pictures) if picture.is_after_hole]
    assert of_sound == of_pictures
    assert pictures == [208]
    assert of_sound.file_s(208) == pytest.approx(600.0, abs=0.01)


def test_a_clip_of_a_data_set_keeps_its_time_or_is_refused(tmp_path: Path) -> None:
    short, long = (remuxed(tmp_path / f"{s}.mkv", (0.0, s)) for s in (12.0, 600.0))
    assert len(read_example(Sample("a", short, "train", 20.3)).faces) == pytest.approx(20.3 * 25, abs=1)
    with pytest.raises(MediaError, match=r"600\.0\.mkv: expected a clip whose clock runs on, got a hole of 592 s"):
        read_example(Sample("b", long, "train", 608.3))


# --- the bundled clip in other files


@pytest.fixture(scope="module")
def localizer() -> fakespan.Localizer:
    return fakespan.load_model("small", device="cpu")


def assert_found(scan: Scan, *starts_s: float) -> None:
    """The forged span and nothing else, at those times."""
    assert [s.modality for s in scan.segments] == ["visual"] * len(starts_s)
    for segment, start_s in zip(scan.segments, starts_s, strict=True):
        assert segment.start_s - start_s == pytest.approx(FORGED_S[0], abs=0.2)
        assert segment.end_s - start_s == pytest.approx(FORGED_S[1], abs=0.2)


def test_the_span_is_found_in_an_avi(localizer: fakespan.Localizer, tmp_path: Path) -> None:
    assert_found(localizer.scan(remuxed(tmp_path / "copy.avi")), 0.0)


@pytest.mark.parametrize("ending", [".mkv", ".mov"])
def test_times_are_those_that_a_player_shows(localizer: fakespan.Localizer, tmp_path: Path, ending: str) -> None:
    scan = localizer.scan(remuxed(tmp_path / f"late{ending}", (5.0,)))
    assert_found(scan, 5.0)
    assert scan.media.starts_at_s == 5.0
    assert scan.duration_s == scan.media.duration_s == pytest.approx(8.3, abs=0.05)
    assert {track.start_s for track in scan.tracks} == {curve.start_s for curve in scan.curves} == {5.0}


def test_a_transport_stream_starts_at_zero_as_in_players(tmp_path: Path) -> None:
    path = beeps(tmp_path / "clip.ts", 50, 2.0, at_s=1.0)
    assert probe(path).starts_at_s == 0.0
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_both_sides_of_a_jump_are_judged_and_the_hole_is_not(localizer: fakespan.Localizer, tmp_path: Path) -> None:
    scan = localizer.scan(remuxed(tmp_path / "jump.mkv", (0.0, 20.0)))
    assert_found(scan, 0.0, 20.0)
    ((start_s, end_s, reason),) = [(u.start_s, u.end_s, u.reason) for u in scan.not_judged if u.modality == "both"]
    assert (start_s, end_s, reason) == (pytest.approx(8.3, abs=0.05), pytest.approx(20.0, abs=0.01), "gap")
    assert scan.duration_s == pytest.approx(28.3, abs=0.05)
    spans = [(track.start_s, track.end_s) for track in scan.tracks]
    spans += [(curve.start_s, curve.start_s + len(curve.values) / curve.fps) for curve in scan.curves]
    assert all(end_s <= 8.33 or start_s >= 20.0 for start_s, end_s in spans)


def test_a_sound_an_hour_late_is_named_and_judged_by_itself(localizer: fakespan.Localizer, tmp_path: Path) -> None:
    scan = localizer.scan(remuxed(tmp_path / "hour.mkv", sound_later_s=3600.0))
    assert_found(scan, 0.0)
    gaps = [(round(u.start_s, 1), round(u.end_s), u.modality) for u in scan.not_judged if u.reason == "gap"]
    assert gaps == [(8.3, 3600, "both"), (3600.0, 3608, "visual")]  # the picture has ended
    assert sum(len(curve.values) for curve in scan.curves if curve.modality == "audio") <= 2 * 8.4 * 25


def test_a_picture_that_begins_after_the_sound_is_not_judged_before_it_begins(
    localizer: fakespan.Localizer, tmp_path: Path
) -> None:
    scan = localizer.scan(remuxed(tmp_path / "late.mkv", (3.0,), sound_later_s=-3.0))
    assert_found(scan, 3.0)
    gaps = [(round(u.start_s, 2), round(u.end_s, 2)) for u in scan.not_judged if u.reason == "gap"]
    assert gaps[0] == (0.0, pytest.approx(3.0, abs=0.03))
    (track,) = scan.tracks
    assert track.start_s == pytest.approx(3.0, abs=0.05)
    assert scan.judged_share.picture == pytest.approx(8.3 / 11.3, abs=0.03)
