from __future__ import annotations

import io

import pytest
from rich.console import Console

from fakespan.report.terminal import render
from fakespan.types import Scan, Segment
from scans import HOSTILE_NAME, audio_only, clean, forged, hour_long, part, patchy


def shown(scan: Scan, width: int = 80, encoding: str = "utf-8", **options: object) -> str:
    buffer = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=buffer, width=width, **options).print(render(scan))  # type: ignore[arg-type]
    buffer.flush()
    return buffer.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined,no-any-return]


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_a_forged_file_is_suspected_and_its_segments_are_listed() -> None:
    text = shown(forged())
    assert "SUSPECTED FORGED" in text
    assert "score 0.93 reaches the threshold 0.50" in text
    assert "0:04.00   0:04.80   0.80 s   picture        face 0, left     0.81" in text
    assert "Face 2 was seen for 0.4 s only" in text
    assert "not a proof" in text


@pytest.mark.parametrize("width", [80, 64])
def test_a_narrow_window_cuts_no_time_and_no_word_of_the_table(width: int) -> None:
    graded = Segment(3725.5, 3726.25, 0.81, "visual", 0, tier="very_strong", genuine_per_hour=0.05)
    text = shown(forged(segments=(graded,), duration_s=4000.0), width)
    assert "1:02:05.50   1:02:06.25   0.75 s" in text
    assert "\u2026" not in text


def test_a_score_just_below_the_threshold_does_not_look_like_it() -> None:
    assert "score 0.7487 is below the threshold 0.7490" in shown(clean(score=0.7487, threshold=0.749))
    assert "score 0.75 reaches the threshold 0.75" in shown(forged(score=0.7491, threshold=0.749))


def test_the_length_of_a_file_is_the_scanned_one_where_the_container_states_less() -> None:
    joined = clean(duration_s=16.8)  # its clock starts again: the container states 8.6 s
    assert "0:16.80 mp4" in shown(joined)
    assert "0:08.60" not in shown(joined)


def test_a_clean_file_is_not_called_genuine() -> None:
    text = shown(clean())
    assert "no forgery found" in text
    assert not any(word in text.lower() for word in ("genuine", "authentic", "real"))
    assert "\u2588" not in text


@pytest.mark.parametrize("width", [30, 80, 200])
def test_the_bars_are_as_wide_as_the_window_and_true_to_time(width: int) -> None:
    text = shown(forged(), width)
    for name, segment in zip(("sound", "picture", "both"), forged().segments, strict=True):
        bar = row(text, name)
        assert len(bar) == width
        cells = width - 10
        filled = [k for k, c in enumerate(bar[10:]) if c == "\u2588"]
        assert filled[0] == pytest.approx(segment.start_s / 8.6 * cells, abs=1)
        assert filled[-1] + 1 == pytest.approx(segment.end_s / 8.6 * cells, abs=1)
    assert max(map(len, text.splitlines())) <= width


def test_the_shortest_segment_of_an_hour_is_seen() -> None:
    text = shown(hour_long(3), 40)
    assert all("\u2588" in row(text, name) for name in ("sound", "picture", "both"))


def test_segments_beyond_the_stated_end_stay_inside_the_bar() -> None:
    bar = row(shown(forged(duration_s=1.0, tracks=(), segments=(Segment(0, 9, 0.9, "audio"),))), "sound")
    assert bar[10:] == "\u2588" * 70


def test_what_was_not_judged_is_marked_and_said() -> None:
    text = shown(patchy(), 96)
    bar = row(text, "sound")[10:]
    assert [k for k, c in enumerate(bar) if c == "\u2591"] == [*range(20, 35), *range(50, 52)]
    assert "not judged: 0:02.00 to 0:03.50 (nothing recorded)" in text
    assert "not judged: 0:05.00 to 0:05.20 (damaged)" in text
    assert "?" in row(shown(patchy(), encoding="ascii"), "picture")


def test_a_part_fills_the_bars_and_the_rest_is_said() -> None:
    text = shown(part(), 110)
    assert row(text, "picture")[10:] == "\u2588" * 80 + "\u2500" * 20
    assert row(text, "sound")[10:] == "\u2500" * 100
    assert "|0:04.0" in text
    assert "|0:04.8" in text
    assert "|0:03" not in text
    assert "1 suspected segment, 0.80 s of 1.00 s" in text
    assert "not judged: 0:00.00 to 0:04.00 (not asked for)" in text


def test_of_a_segment_that_leaves_the_part_only_what_is_within_counts() -> None:
    assert "0.40 s of 1.00 s" in shown(part(segments=(Segment(3.0, 4.4, 0.9, "visual", 0),)))


def test_what_the_file_does_not_have_is_said() -> None:
    text = shown(audio_only())
    assert "(no picture in this file)" in row(text, "picture")
    assert "There is no picture" in text


def test_hostile_names_and_notes_are_shown_not_obeyed() -> None:
    text = shown(forged(file=HOSTILE_NAME, notes=("[bold]x[/bold]\x1b[2J", "[/]")), 200, force_terminal=True)
    assert "[red]x[/red]\\x1b[31m\\u202e\\n-->" in text
    assert "[bold]x[/bold]\\x1b[2J" in text
    assert "\x1b[2J" not in text
    assert "\u202e" not in text


def test_without_colour_there_is_not_one_escape() -> None:
    assert "\x1b" not in shown(forged(), force_terminal=True, no_color=True, color_system=None)
    assert "\x1b" not in shown(forged())


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in shown(forged(), force_terminal=True)
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[36m" in shown(forged(), force_terminal=True, color_system="standard")


def test_an_output_without_unicode_gets_ascii() -> None:
    text = shown(forged(file="\u8a71\udcff.mp4", notes=("caf\u00e9",)), encoding="ascii")
    assert "#" in row(text, "sound")
    assert "\\u8a71\\udcff.mp4" in text
    assert "caf\\xe9" in text


def test_a_file_of_no_length_can_be_shown() -> None:
    assert "no forgery found" in shown(clean(duration_s=0.0, tracks=()))
