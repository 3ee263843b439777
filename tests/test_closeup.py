"""The close-ups of the page: stills of the mouth and spectrograms, from the scanned file and no other."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import fakespan
from clips import tone, write_clip
from fakespan.closeup.alignment import align, differing, sound_distances, stretches
from fakespan.closeup.make import MOST_SEGMENTS, close_ups
from fakespan.closeup.sounds import spectrogram
from fakespan.errors import UsageError
from fakespan.files import fingerprint
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.encode import write_video
from fakespan.media.jumps import Hole, Jumps
from fakespan.media.probe import probe
from fakespan.report.closeups import CloseUp, CloseUps, Difference, Image, Reference, closeups_from_json, closeups_json
from fakespan.report.html import render_html, write_html
from fakespan.types import FaceTrack, Scan, Segment, Source
from remux import remuxed
from scans import forged

SAMPLES = Path(fakespan.__file__).parent / "samples"
FACE = FaceTrack(0, 0.0, 8.28, (0.13, 0.23, 0.69, 0.69))
WORD = Segment(5.84, 6.58, 0.9, "visual", 0)


def scan_of(path: Path, *segments: Segment, **changes: object) -> Scan:
    """A result that names these segments in a file."""
    source = Source(path.name, *fingerprint(path))
    return forged(file=str(path), segments=segments, media=probe(path), tracks=(FACE,), source=source, **changes)


def pixels(image: Image) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(image.webp, np.uint8), cv2.IMREAD_COLOR).astype(float)


@pytest.fixture(scope="module")
def made() -> CloseUps:
    return close_ups(SAMPLES / "sample.mp4", scan_of(SAMPLES / "sample.mp4", Segment(1.2, 1.6, 0.5, "audio"), WORD))


def test_stills_show_the_mouth_within_the_segment_and_around_it(made):
    assert [closeup.number for closeup in made.each] == [1, 2]
    (real,) = close_ups(SAMPLES / "sample_real.mp4", scan_of(SAMPLES / "sample_real.mp4", WORD)).each
    times = [still.start_s for still in made.each[1].mouths]
    assert times == sorted(times)
    assert len(times) == 14
    inside = np.array([WORD.start_s <= time_s <= WORD.end_s for time_s in times])
    assert inside.sum() == 6
    step_s = (WORD.end_s - WORD.start_s) / 6
    evenly = np.r_[-0.48:-0.06:0.12, step_s / 2 + step_s * np.arange(6), WORD.length_s + np.r_[0.12:0.54:0.12]]
    assert np.array(times) - WORD.start_s == pytest.approx(evenly, abs=0.03)
    pairs = zip(made.each[1].mouths, real.mouths, strict=True)
    differences = np.array([np.abs(pixels(a) - pixels(b)).mean() for a, b in pairs])
    assert np.median(differences[inside]) > 1.4 * np.median(differences[~inside])  # beyond the codec's own


def test_there_are_stills_only_while_the_face_is_seen():
    path = SAMPLES / "sample.mp4"
    face = dataclasses.replace(FACE, start_s=5.8, end_s=6.4)
    (closeup,) = close_ups(path, dataclasses.replace(scan_of(path, WORD), tracks=(face,))).each
    assert len(closeup.mouths) == 5  # those of the word from 5.90 to 6.395 s; the nearest before is at 5.72 s
    assert all(5.8 <= still.start_s < 6.4 for still in closeup.mouths)


def test_a_segment_of_the_sound_shows_the_face_that_is_seen_meanwhile(made):
    assert len(made.each[0].mouths) == 14
    assert made.each[0].spectrogram is not None


def test_a_spectrogram_has_low_tones_at_the_bottom():
    image = Image(0.0, 1.0, spectrogram(tone(1.0, 16_000, 2000.0)[0]))
    rows = pixels(image).sum(axis=(1, 2))
    assert np.argmax(rows) / len(rows) == pytest.approx(0.75, abs=0.03)  # 2 of 8 kHz from the bottom


def test_a_spectrogram_covers_the_segment_and_its_surroundings(made):
    heard = made.each[1].spectrogram
    assert heard.start_s == pytest.approx(WORD.start_s - 1.0, abs=0.05)
    assert heard.end_s == pytest.approx(WORD.end_s + 1.0, abs=0.05)


def test_only_the_scanned_content_is_opened(tmp_path):
    scan = scan_of(SAMPLES / "sample.mp4", WORD)
    for path in (SAMPLES / "sample_real.mp4", tmp_path / "missing.mp4", tmp_path):
        assert close_ups(path, scan) == CloseUps(
            note="the scanned file is not where the result names it, or has changed"
        )
    assert not close_ups(SAMPLES / "sample.mp4", dataclasses.replace(scan, source=None)).each


def test_a_bad_file_does_not_make_a_huge_page(tmp_path):
    path = write_clip(tmp_path / "x.wav", sound=tone(8.0), sound_rate=16_000, audio_codec="pcm_s16le")
    many = [Segment(k / 4, k / 4 + 0.2, k / 40, "audio") for k in range(30)]
    scan = scan_of(path, *many)
    made = close_ups(path, scan)
    assert [closeup.number for closeup in made.each] == list(range(31 - MOST_SEGMENTS, 31))  # the highest scores
    page = render_html(scan, None, made)
    assert f"Shown are the {MOST_SEGMENTS} segments with the highest scores of 30." in page
    assert len(page) < 2_000_000


def test_the_page_shows_and_plays_each_segment(made):
    page = render_html(scan_of(SAMPLES / "sample.mp4", Segment(1.2, 1.6, 0.5, "audio"), WORD), "./x.mp4", made)
    assert len(re.findall(r'<img src="data:image/webp;base64,[A-Za-z0-9+/=]+" ', page)) == 28
    assert re.findall(r'class="play" data-segment="(\d)" data-around="([\d.]+)"', page) == [
        ("0", "0"), ("0", "1.5"), ("1", "0"), ("1", "1.5"),
    ]  # fmt: skip
    assert 'alt="Mouth at 0:05.90, within the segment"' in page
    assert "style=" not in page


def test_a_page_says_why_there_are_no_closeups():
    assert "No close-ups: &lt;b&gt;." in render_html(forged(), None, CloseUps(note="<b>"))
    assert "Look and listen" not in render_html(forged())


def test_closeups_are_kept_as_text_and_the_result_has_none(made):
    assert closeups_from_json(closeups_json(made)) == made
    assert closeups_from_json(closeups_json(CloseUps((CloseUp(1),), "x"))) == CloseUps((CloseUp(1),), "x")
    assert "webp" not in json.dumps(forged().to_dict())


@pytest.mark.parametrize(("time_s", "frame"), [(0.0, 0), (1.96, 49), (7.0, 50), (12.0, 50), (12.04, 51), (-1.0, 0)])
def test_the_frame_at_a_time_is_the_one_that_a_player_shows(time_s, frame):
    jumps = Jumps([Hole(50, 10.0)])
    assert jumps.frame_at(time_s) == frame
    if frame not in (0, 50):
        assert jumps.file_s(frame) == pytest.approx(time_s)


# -- the untouched take


def test_sounds_of_one_take_are_aligned_and_others_are_not():
    voice = read_sound(SAMPLES / "sample.mp4")
    assert align(voice[8_000:], 0.3 * voice) == (pytest.approx(0.5, abs=0.001), pytest.approx(1.0, abs=0.01))
    noise = np.random.default_rng(0).standard_normal(len(voice)).astype(np.float32)
    assert align(noise, voice)[1] < 0.1
    assert align(voice, np.zeros(0, np.float32)) == (0.0, 0.0)


@pytest.mark.parametrize("start_s", [0, 17, 28])
def test_a_short_cut_is_found_anywhere_in_a_long_take(start_s):
    take = np.random.default_rng(0).standard_normal(30 * 16_000).astype(np.float32)
    cut = take[start_s * 16_000 : (start_s + 2) * 16_000]
    assert align(cut, take) == (pytest.approx(start_s, abs=0.001), pytest.approx(1.0, abs=0.01))
    assert align(take, cut) == (pytest.approx(-start_s, abs=0.001), pytest.approx(1.0, abs=0.01))


def test_a_take_of_a_small_part_is_compared_by_that_part_alone():
    sound = np.random.default_rng(0).standard_normal(30 * 16_000).astype(np.float32)
    take = 0.1 * sound[20 * 16_000 :]
    sound[25 * 16_000 : 26 * 16_000] = tone(1.0, 16_000, 440.0)[0]
    distances = sound_distances(sound, take, -20.0)
    assert np.flatnonzero(np.isfinite(distances)).tolist() == list(range(500, 750))
    assert list(stretches(differing(distances, 6.0))) == [pytest.approx((25.0, 26.0), abs=0.1)]
    assert np.isnan(sound_distances(sound, take[:300], -20.0)).all()


def test_the_redrawn_word_is_where_the_takes_differ():
    path, take = SAMPLES / "sample.mp4", SAMPLES / "sample_real.mp4"
    made = close_ups(path, scan_of(path, WORD), take)
    (difference,) = made.reference.differences
    assert difference.modality == "visual"
    assert (difference.start_s, difference.end_s) == pytest.approx((WORD.start_s, WORD.end_s), abs=0.12)
    (closeup,) = made.each
    assert [still.start_s for still in closeup.take_mouths] == pytest.approx([m.start_s for m in closeup.mouths])


def test_the_redrawn_word_is_found_beside_a_smaller_take_that_begins_later(tmp_path):
    path, untouched, take = SAMPLES / "sample.mp4", SAMPLES / "sample_real.mp4", tmp_path / "take.mp4"
    width, height = (side // 4 * 2 for side in (probe(untouched).width, probe(untouched).height))
    pictures = [cv2.resize(p.rgb(), (width, height), interpolation=cv2.INTER_AREA) for p in read_pictures(untouched)]
    write_video(take, pictures[37:], sound=read_sound(untouched)[37 * 640 :])
    about = close_ups(path, scan_of(path, WORD), take).reference
    assert about.offset_s == pytest.approx(-37 / 25, abs=0.001)
    (difference,) = about.differences
    assert difference.modality == "visual"
    assert (difference.start_s, difference.end_s) == pytest.approx((WORD.start_s, WORD.end_s), abs=0.2)


def test_there_is_no_still_of_a_take_before_it_begins(tmp_path):
    path, take = SAMPLES / "sample.mp4", tmp_path / "take.mp4"
    pictures = [picture.rgb() for picture in read_pictures(path)][75:]
    write_video(take, pictures, sound=read_sound(path)[75 * 640 :])
    before, after = close_ups(path, scan_of(path, Segment(1.2, 1.6, 0.5, "audio"), WORD), take).each
    assert len(before.mouths) == len(after.mouths) == len(after.take_mouths) == 14
    assert (before.take_mouths, before.take_spectrogram) == ((), None)


def test_a_take_whose_clock_starts_later_is_shown_at_the_times_of_the_scanned_file(tmp_path):
    path, take = SAMPLES / "sample.mp4", remuxed(tmp_path / "take.mkv", [30.0])
    made = close_ups(path, scan_of(path, WORD), take)
    assert made.reference.offset_s == pytest.approx(30.0, abs=0.05)
    (closeup,) = made.each
    assert [still.start_s for still in closeup.take_mouths] == pytest.approx([m.start_s for m in closeup.mouths])
    pairs = zip(closeup.mouths, closeup.take_mouths, strict=True)
    assert np.median([np.abs(pixels(a) - pixels(b)).mean() for a, b in pairs]) < 1  # of the same pictures
    assert closeup.take_spectrogram.start_s == pytest.approx(closeup.spectrogram.start_s, abs=0.05)


def test_a_replaced_word_is_found_in_a_take_that_was_cut_and_is_louder(tmp_path):
    voice = read_sound(SAMPLES / "sample.mp4")
    changed = voice.copy()
    changed[48_000:56_000] = voice[80_000:88_000]
    path, take = (
        write_clip(tmp_path / name, sound=sound[None], sound_rate=16_000, audio_codec="pcm_s16le")
        for name, sound in (("changed.wav", 0.5 * changed), ("take.wav", voice[16_000:]))
    )
    about = close_ups(path, scan_of(path), take).reference
    assert about.offset_s == pytest.approx(-1.0, abs=0.001)
    (difference,) = about.differences
    assert (difference.start_s, difference.end_s, difference.modality) == (
        pytest.approx(3.0, abs=0.1),
        pytest.approx(3.5, abs=0.1),
        "audio",
    )


def test_the_page_has_both_takes_and_names_what_differs(tmp_path):
    take = Reference("<b>.mp4", True, 0.25, 0.98, (Difference(1.0, 1.5, "audio"),))
    page = render_html(forged(), "./x.mp4", CloseUps(reference=take), "./take.mp4")
    assert '<video id="reference" src="./take.mp4"' in page
    assert "&lt;b&gt;.mp4" in page
    assert "+0.25 s (correlation 0.98)" in page
    assert 'data-from="1.0" data-to="1.5"' in page
    assert '"offset": 0.25' in page
    unlike = render_html(
        forged(), "./x.mp4", CloseUps(reference=dataclasses.replace(take, offset_s=None)), "./take.mp4"
    )
    assert "too unlike" in unlike
    assert 'class="compare"' not in unlike


def test_the_reference_is_embedded_or_linked_and_never_replaced(tmp_path):
    take = write_clip(tmp_path / "take.wav", sound=tone(1.0), sound_rate=16_000, audio_codec="pcm_s16le")
    closeups = CloseUps(reference=Reference(str(take), False, None, 0.0))
    write_html(forged(), tmp_path / "page.html", closeups=closeups)
    assert '<audio id="reference" src="./take.wav"' in (tmp_path / "page.html").read_text()
    with pytest.raises(UsageError):
        write_html(forged(), take, closeups=closeups)
