"""From a sample's file to an Example: lengths, missing modalities, spans, the longest face track."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clips import load_pictures, numbered_picture, read_number, tone, write_clip
from fakespan.data.clip import fit_spans, read_example
from fakespan.errors import DataError, MediaError
from fakespan.media.crop import prepare_crop
from fakespan.media.decode import read_sound
from fakespan.types import Sample, Segment

SIZE = 224


def sample_of(path, *segments, **facts) -> Sample:
    return Sample(path.name, path, "train", 2.0, tuple(segments), facts=facts)


def numbered_clip(path, n=50, rate=25.0, seconds_of_sound=2.0, **options):
    pictures = [numbered_picture(k, SIZE, SIZE) for k in range(n)]
    sound = tone(seconds_of_sound, 16_000) if seconds_of_sound else None
    return write_clip(path, pictures, np.arange(n) / rate, sound=sound, sound_rate=16_000, **options)


def test_whole_pictures_and_sound_in_step(tmp_path):
    path = numbered_clip(tmp_path / "a.mp4")
    example = read_example(sample_of(path, Segment(0.5, 1.0, 1.0, "audio"), method="tts"))
    assert [read_number(face) for face in example.faces] == list(range(50))
    assert example.faces.shape == (50, 96, 96, 3)
    assert example.faces.dtype == np.uint8
    assert example.sound.shape == (50 * 640,)
    assert example.sound.dtype == np.float32
    np.testing.assert_allclose(example.sound, read_sound(path)[: 50 * 640])
    assert (example.audio_spans, example.visual_spans) == (((0.5, 1.0),), ())
    assert (example.name, example.method, example.start_s) == ("a.mp4", "tts", 0.0)
    assert (example.has_picture, example.has_sound) == (True, True)


@pytest.mark.parametrize(("side", "pix_fmt"), [(224, "yuv420p"), (224, "yuv444p"), (96, "yuv420p"), (160, "yuv420p")])
def test_faces_are_prepared_crops_within_one_level(tmp_path, side, pix_fmt):
    rng = np.random.default_rng(0)
    images = [cv2.resize(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8), (side, side)) for _ in range(4)]
    path = write_clip(tmp_path / "a.mp4", images, np.arange(4) / 25, pix_fmt=pix_fmt)
    slow = [prepare_crop(image) for image in load_pictures(path)]
    difference = np.abs(read_example(sample_of(path)).faces.astype(int) - np.stack(slow))
    assert difference.mean() < 0.6
    assert difference.max() <= 3


def test_picture_decides_the_length(tmp_path):
    short = read_example(sample_of(numbered_clip(tmp_path / "short.mp4", seconds_of_sound=1.0)))
    assert np.abs(short.sound[:16_000]).max() > 0.3
    assert not short.sound[18_000:].any()
    assert len(read_example(sample_of(numbered_clip(tmp_path / "long.mp4", seconds_of_sound=3.0))).sound) == 32_000


def test_thirty_frames_a_second_become_twenty_five(tmp_path):
    example = read_example(sample_of(numbered_clip(tmp_path / "a.mp4", 60, 30.0)))
    shown = [read_number(face) for face in example.faces]
    assert len(shown) == 50
    assert np.abs(np.array(shown) - np.arange(50) * 1.2).max() <= 0.5


def test_without_sound(tmp_path):
    example = read_example(sample_of(numbered_clip(tmp_path / "a.mp4", seconds_of_sound=0)))
    assert (example.has_picture, example.has_sound) == (True, False)
    assert example.sound.shape == (32_000,)
    assert not example.sound.any()


def test_without_picture(tmp_path):
    path = write_clip(tmp_path / "a.wav", sound=tone(1.01, 16_000), sound_rate=16_000, audio_codec="pcm_s16le")
    example = read_example(sample_of(path, Segment(0.5, 9.0, 1.0, "audio")))
    assert (example.has_picture, example.has_sound) == (False, True)
    assert example.faces.shape == (26, 96, 96, 3)
    assert example.sound.shape == (26 * 640,)
    assert not example.faces.any()
    assert example.audio_spans == ((0.5, 1.04),)


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_unusable_file_is_named(tmp_path, content):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        read_example(sample_of(path))


def test_neither_face_nor_sound(tmp_path):
    path = numbered_clip(tmp_path / "a.mp4", seconds_of_sound=0)
    with pytest.raises(DataError, match=r"a\.mp4: expected a face or sound"):
        read_example(sample_of(path), "auto")


def test_no_face_found_leaves_the_sound(tmp_path):
    example = read_example(sample_of(numbered_clip(tmp_path / "a.mp4")), "auto")
    assert (example.has_picture, example.has_sound) == (False, True)
    assert 50 <= len(example.faces) <= 53  # AAC pads the sound to its own blocks
    assert not example.faces.any()


def test_longest_track_is_taken_with_its_sound_and_spans(tmp_path):
    """A portrait that appears after 0.8 s of grey, in a wide picture, and stays for 1.6 s."""
    from skimage import data

    portrait = cv2.resize(data.astronaut()[:300, 80:380], (160, 160))
    empty = np.full((180, 400, 3), 120, np.uint8)
    shown = empty.copy()
    shown[10:170, 120:280] = portrait
    sound = np.pad(tone(1.6, 16_000), ((0, 0), (12_800, 0)))
    path = write_clip(
        tmp_path / "a.mkv", [empty] * 20 + [shown] * 40, np.arange(60) / 25, sound=sound, sound_rate=16_000,
        audio_codec="pcm_s16le",
    )  # fmt: skip
    example = read_example(sample_of(path, Segment(0.0, 1.2, 1.0, "visual"), Segment(2.0, 2.2, 1.0, "audio")), "auto")
    assert abs(example.start_s - 0.8) <= 0.04
    assert 38 <= len(example.faces) <= 40
    assert len(example.sound) == 640 * len(example.faces)
    assert np.abs(example.sound[:1600]).max() > 0.3  # the tone begins where the track does
    (visual,) = example.visual_spans
    (audio,) = example.audio_spans
    assert visual == pytest.approx((0.0, 1.2 - example.start_s))
    assert audio == pytest.approx((2.0 - example.start_s, 2.2 - example.start_s))


@pytest.mark.parametrize("n", [29, 50, 275])
def test_a_fake_of_a_set_that_labels_videos_is_forged_throughout_however_long(tmp_path, n):
    """DFDC: every clip counts as 10 s, whatever its file holds."""
    path = write_clip(tmp_path / "a.mp4", [numbered_picture(k, 96, 96) for k in range(n)], np.arange(n) / 25)
    example = read_example(sample_of(path, Segment(0.0, 10.0, 1.0, "both"), length="nominal"))
    assert len(example.faces) == n
    assert example.spans == example.audio_spans == example.visual_spans == ((0.0, n / 25),)
    assert read_example(sample_of(path, length="nominal")).spans == ()


@given(
    st.lists(st.tuples(st.floats(-5, 20), st.floats(-5, 20))), st.floats(0, 10), st.floats(0.04, 10)
)  # fmt: skip
def test_spans_that_fit_lie_within_and_cover_the_same_instants(spans, start_s, length_s):
    spans = tuple((min(a, b), max(a, b)) for a, b in spans)
    fitted = fit_spans(spans, start_s, length_s)
    assert all(0 <= a < b <= length_s for a, b in fitted)
    overlaps = [min(b, start_s + length_s) - max(a, start_s) for a, b in spans]
    total = math.fsum(o for o in overlaps if o > 0)
    assert math.fsum(b - a for a, b in fitted) == pytest.approx(total, abs=1e-9)


def test_sound_that_waits_is_the_same_sound(tmp_path, monkeypatch):
    """Frames are converted together; one by one gives the same samples, also where they are resampled."""
    for rate in (16_000, 44_100):
        pictures = [numbered_picture(k, SIZE, SIZE) for k in range(5)]
        path = tmp_path / f"{rate}.mp4"
        write_clip(path, pictures, np.arange(5) / 25, sound=tone(2.0, rate), sound_rate=rate)
        together = read_sound(path)
        with monkeypatch.context() as patched:
            patched.setattr("fakespan.media.sound._AT_ONCE", 1)
            np.testing.assert_array_equal(read_sound(path), together)
