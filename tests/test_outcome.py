"""What a scan says of a file that it cannot judge: music, tones and silence are no speech."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import fakespan
from clips import tone, write_clip
from fakespan.localizer import hearing
from fakespan.localizer.hearing import LABELS, hear
from fakespan.localizer.judged import Coverage, heard_part, without
from fakespan.localizer.maps import ClipMaps
from fakespan.media.decode import read_sound
from fakespan.media.tones import steady_tones
from fakespan.report.export import csv_text, json_text, read_json, vtt_text, write_json
from fakespan.report.html import render_html
from fakespan.report.outcomes import agreement, judged, outcome
from fakespan.report.terminal import render
from fakespan.report.words import whole
from fakespan.types import JudgedShare, TimeRange, Unjudged, Verdict
from scans import clean, forged

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return read_sound(SAMPLE)


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> fakespan.Scan:
    """A chord without a voice, scanned by the shipped model."""
    chord = sum(tone(4.0, 16_000, hz) for hz in (220.0, 277.0, 330.0)) / 3
    path = tmp_path_factory.mktemp("music") / "chord.wav"
    return fakespan.scan(write_clip(path, sound=chord, sound_rate=16_000, audio_codec="pcm_s16le"))


def labels(sound: np.ndarray) -> set[str | None]:
    return {LABELS[label] for label in hear(sound).labels}


def test_speech_is_judged_and_what_is_none_is_not(voice):
    second = 16_000
    assert np.mean(hear(voice).is_judged) > 0.7
    assert labels(np.zeros(3 * second, np.float32)) == {"silence"}
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * second).astype(np.float32)
    assert labels(noise) == {"music_or_noise"}
    assert labels(tone(3.0, second)[0]) == {"tone"}


def test_short_pauses_are_speech_and_long_ones_clicks_and_edges_are_not(monkeypatch):
    """What the detector finds is given: two words with half a second between, one after 2.5 s, a click."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(168_000).astype(np.float32)
    noise[round(4.9 * 16_000) : round(5.1 * 16_000)] = 0.0  # most of that pause is no silence
    noise[round(8.5 * 16_000) : round(9.9 * 16_000)] = 0.0  # most of what follows the last word is
    probabilities = np.zeros(len(noise) // 512, np.float32)
    for start_s, end_s in ((1.0, 3.0), (3.5, 4.5), (7.0, 8.0), (10.0, 10.03)):
        probabilities[round(start_s / 0.032) : round(end_s / 0.032)] = 1.0
    monkeypatch.setattr(hearing, "find_weights", Path)
    monkeypatch.setattr(hearing, "SpeechDetector", lambda weights: lambda sound: probabilities)
    found = [LABELS[label] for label in hear(noise).labels]
    said = {time_s: found[round(time_s * 25)] for time_s in (0.5, 2.0, 3.25, 4.0, 5.0, 5.75, 7.5, 9.0, 10.0)}
    other = "music_or_noise"
    expected = {0.5: other, 2.0: None, 3.25: None, 4.0: None, 5.0: other, 5.75: other, 7.5: None}
    assert said == expected | {9.0: "silence", 10.0: "silence"}


def test_a_bleep_over_the_voice_is_found_at_its_place(voice):
    bleeped = voice.copy()
    bleeped[48_000:57_600] += tone(0.6, 16_000, 1000.0)[0]
    found = steady_tones(bleeped) & ~steady_tones(voice)
    assert found[76:89].all()
    assert not found[:73].any()
    assert not found[92:].any()


def test_any_sound_is_judged_if_asked_or_if_there_is_no_detector(monkeypatch):
    noise = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert hear(noise, "all").is_judged.all()
    monkeypatch.setattr(hearing, "find_weights", lambda: None)
    assert hear(noise).is_judged.all()
    assert not hear(noise).has_detector


def test_where_nobody_speaks_the_picture_decides():
    full, none = np.full((3, 6), 0.9, np.float32), np.full((3, 6), 0.2, np.float32)
    maps = ClipMaps(25.0, full, visual=none, audio=full, audio_frames=full[0])
    heard = heard_part(maps, hearing.Hearing(np.array([0, 0, 0, 2, 2, 2])))
    assert heard.score[0].tolist() == pytest.approx([0.9] * 3 + [0.2] * 3)
    assert heard.audio[0, 3:].tolist() == heard.audio_frames[3:].tolist() == [0.0] * 3
    assert heard.score[1, 2] == pytest.approx(0.9)  # half of the span [2, 4) is speech


def test_music_is_inconclusive_and_says_why(music, tmp_path):
    assert (music.outcome, music.segments, music.is_fake) == ("inconclusive", (), False)
    assert music.judged_share == JudgedShare(either=0.0, sound=0.0)
    assert set(music.reasons) <= {"music_or_noise", "tone", "sound_only", "too_short"}
    assert {part.modality for part in music.not_judged} == {"audio"}
    assert music.notes == ("no picture",)  # not: scored by the sound alone
    write_json(music, tmp_path / "music.json")
    assert read_json(tmp_path / "music.json") == music
    assert '"outcome":"inconclusive"' in json_text(music)
    for text in (csv_text(music), vtt_text(music), render_html(music).lower(), outcome(music)):
        assert "inconclusive" in text


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (("sound_only",), "judged: 90 % of the sound (not the rest: stretches too short to list)"),
        (("silence", "sound_only", "too_short"), "judged: 90 % of the sound (not the rest: silence)"),
    ],
)
def test_only_what_leaves_out_a_stretch_explains_the_share(reasons, said):
    share, parts = (
        JudgedShare(either=0.9, sound=0.9),
        [Unjudged(0.0, 1.0, r, "audio") for r in reasons if r == "silence"],
    )
    assert judged(clean(judged_share=share, reasons=reasons, not_judged=tuple(parts))) == said


def test_a_picture_that_was_not_looked_at_is_not_shown_as_judged():
    scan = clean(judged_share=JudgedShare(either=1.0, sound=1.0), reasons=("sound_only",))
    assert scan.media.has_video
    stream = io.StringIO()
    Console(file=stream, width=100).print(render(scan))
    for shown in (stream.getvalue(), render_html(scan)):
        assert "the picture was not looked at" in shown
        assert "needs sound and picture" in shown


def test_where_nothing_was_judged_nothing_is_said_of_the_whole_file():
    scan = clean(verdict=Verdict("maximum", 0.0, 0.7), judged_share=JudgedShare(either=0.0, sound=0.0))
    assert scan.outcome == "inconclusive"
    assert whole(scan) == ""
    assert whole(clean(verdict=Verdict("maximum", 0.0, 0.7), judged_share=JudgedShare(either=0.9, sound=0.9)))


@pytest.mark.parametrize(("n_sound", "n_picture", "shares"), [(41, 40, (1.0, 1.0)), (40, 42, (1.0, 1.0))])
def test_streams_that_do_not_end_with_the_same_frame_are_judged_whole(n_sound, n_picture, shares):
    assert coverage_of(n_sound, n_picture) == shares


def test_a_stream_that_ends_well_before_the_other_is_not_judged_to_the_end():
    assert coverage_of(40, 30) == (1.0, 0.75)


def coverage_of(n_sound: int, n_picture: int) -> tuple[float | None, float | None]:
    """The judged shares of sound and picture where all that there is was judged."""
    outside = np.zeros(max(n_sound, n_picture), bool)
    labels = (np.zeros(n, np.int64) for n in (n_sound, n_picture))
    share = Coverage(*(without(part, outside) for part in labels)).share(len(outside) / 25)
    return share.sound, share.picture


def test_findings_are_suspected_however_little_was_judged():
    little = JudgedShare(either=0.2, sound=0.2, picture=0.0)
    assert forged(judged_share=little).outcome == "suspected"
    assert clean(judged_share=little).outcome == "inconclusive"
    assert clean(judged_share=dataclasses.replace(little, either=0.9)).outcome == "nothing_found"
    assert clean().outcome == "nothing_found"  # an older version: no share


def test_a_verdict_that_differs_from_the_segments_is_explained():
    yes, no = Verdict("mlp", 0.9, 0.5, 0.9), Verdict("mlp", 0.1, 0.5, 0.1)
    assert "no segment reaches" in agreement(clean(verdict=yes))
    assert "does not count as forged" in agreement(forged(verdict=no))
    assert agreement(clean(verdict=no)) == agreement(forged(verdict=yes)) == ""
    assert agreement(forged(verdict=no)) in render_html(forged(verdict=no))
    assert "although the part does not" in agreement(forged(verdict=no, asked=TimeRange(0.0, 4.0)))
