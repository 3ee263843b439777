"""Pictures and sound arrive at the clock, in step, whatever the file's rate, rotation, layout or damage."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from clips import HEIGHT, WIDTH, load_pictures, numbered_picture, read_number, tone, write_clip, write_frames_at
from fakespan.errors import MediaError
from fakespan.media.cuts import mark_cuts
from fakespan.media.decode import iter_sound, read_pictures, read_sound
from fakespan.media.jumps import at_clock
from fakespan.media.picture import Picture, Source

CLOCK_S = 1 / 25


def shown_numbers(path):
    return [read_number(picture.rgb()) for picture in read_pictures(path)]


def onset_s(sound, rate=16_000):
    return np.flatnonzero(np.abs(sound) > 0.1)[0] / rate


# --- the clock


@pytest.mark.parametrize("rate", [24, 25, 30_000 / 1001, 30, 50, 60, 12])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_every_instant_shows_the_frame_due_at_that_time(tmp_path, rate, ending):
    path, times_s = write_frames_at(tmp_path / f"clip{ending}", rate, 2.0)
    numbers = shown_numbers(path)
    assert len(numbers) == 50
    for k, number in enumerate(numbers):
        early_s = times_s[number] - k * CLOCK_S  # of the frame shown; a slow source is held, never anticipated
        assert -max(1 / rate, CLOCK_S) / (1 if rate < 24 else 2) - 2e-3 <= early_s <= CLOCK_S / 2 + 2e-3


@pytest.mark.parametrize("rate", [25, 30, 50, 60])
def test_the_nearest_frame_is_shown_from_25_a_second_on(tmp_path, rate):
    path, times_s = write_frames_at(tmp_path / "clip.mp4", rate, 2.0)
    for k, number in enumerate(shown_numbers(path)):
        assert abs(times_s[number] - k * CLOCK_S) <= np.abs(times_s - k * CLOCK_S).min() + 1e-3


def test_variable_rate_lands_within_half_a_clock_frame(tmp_path):
    times_s = np.cumsum([0, 0.03, 0.05, 0.02, 0.5, 0.04, 0.1, 0.033, 0.9, 0.04, 0.07])
    path = write_clip(tmp_path / "vfr.mkv", [numbered_picture(k) for k in range(len(times_s))], times_s)
    numbers = np.array(shown_numbers(path))
    for k in (4, 6, 8, 10):  # frames that are shown for long: when do they appear?
        appears_s = np.flatnonzero(numbers >= k)[0] * CLOCK_S
        assert abs(appears_s - times_s[k]) <= CLOCK_S / 2 + 1e-3


def test_every_frame_of_a_25_fps_file_is_shown_once(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 3.0)
    assert shown_numbers(path) == list(range(75))


def test_raw_h264_and_mpeg_program_streams_count_their_frames(tmp_path):
    for ending, codec in ((".h264", "libx264"), (".mpg", "mpeg2video"), (".avi", "mpeg4"), (".ts", "libx264")):
        path, _ = write_frames_at(tmp_path / f"clip{ending}", 25, 1.0, video_codec=codec)
        numbers = shown_numbers(path)
        assert abs(len(numbers) - 25) <= 1, ending
        assert sorted(set(numbers)) == list(range(25)), ending


gaps_s = st.lists(st.floats(0.005, 0.5), min_size=1, max_size=30)


@given(gaps_s)
def test_clock_rule_against_its_slow_twin(gaps):
    times = np.cumsum([0.0, *gaps[:-1]])
    pieces = [(t, gap, i) for i, (t, gap) in enumerate(zip(times, gaps, strict=True))]
    for k, shown in at_clock(pieces, 25.0):
        now = k * CLOCK_S
        change_s = [-1.0] + [max((a + b) / 2, b - CLOCK_S / 2) for a, b in itertools.pairwise(times)]
        twin = max(i for i, change in enumerate(change_s) if change + 2e-4 < now or i == 0)
        assert shown == twin or abs(change_s[max(shown, twin)] - now) < 5e-4


@given(gaps_s)
def test_clock_has_no_holes_and_covers_the_clip(gaps):
    times = np.cumsum([0.0, *gaps[:-1]])
    ks = [k for k, _ in at_clock([(t, g, None) for t, g in zip(times, gaps, strict=True)], 25.0)]
    assert ks == list(range(len(ks)))
    assert abs(len(ks) * CLOCK_S - sum(gaps)) <= CLOCK_S


# --- picture and sound in step


@pytest.mark.parametrize(("video_start_s", "sound_start_s"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (1.0, 1.2)])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_flash_and_beep_stay_together(tmp_path, video_start_s, sound_start_s, ending):
    event_s = 2.0
    times_s = video_start_s + np.arange(75) / 30
    pictures = [np.full((HEIGHT, WIDTH, 3), 230 if t >= event_s - 1e-6 else 20, np.uint8) for t in times_s]
    sound = tone(2.5)
    sound[:, : round((event_s - sound_start_s) * 44_100)] = 0
    path = write_clip(
        tmp_path / f"clip{ending}", pictures, times_s, sound=sound, sound_start_s=sound_start_s, b_frames=False
    )
    shown = [p.thumbnail(32).mean() for p in read_pictures(path)]
    flash_s = next(k for k, level in enumerate(shown) if level > 125) * CLOCK_S
    zero_s = min(video_start_s, sound_start_s) if ending == ".ts" else 0.0  # transport streams have no absolute zero
    beep_s = onset_s(read_sound(path))
    assert abs(flash_s - beep_s) <= CLOCK_S / 2 + 0.005
    assert (
        abs(beep_s + zero_s - event_s) <= CLOCK_S + 0.005
        or abs(beep_s + min(video_start_s, sound_start_s) - event_s) <= 0.03
    )


def test_a_late_picture_is_preceded_by_its_first_frame(tmp_path):
    path = write_clip(
        tmp_path / "late.mkv", [numbered_picture(k + 7) for k in range(25)], 0.4 + np.arange(25) / 25, sound=tone(1.4)
    )
    assert shown_numbers(path) == [7] * 10 + list(range(7, 32))


def test_late_sound_is_preceded_by_silence(tmp_path):
    path = write_clip(
        tmp_path / "late.mkv", [numbered_picture(0)] * 25, np.arange(25) / 25, sound=tone(0.5), sound_start_s=0.5
    )
    sound = read_sound(path)
    assert np.all(sound[: round(0.49 * 16_000)] == 0)
    assert onset_s(sound) == pytest.approx(0.5, abs=0.01)


def test_a_gap_in_the_sound_becomes_silence(tmp_path):
    path = tmp_path / "gap.mkv"
    beep = tone(0.25, 16_000)
    silence = np.zeros_like(beep)
    write_gapped_sound(path, beep, gap_s=0.5)
    sound = read_sound(path)
    expected = np.concatenate([beep, silence, silence, beep], axis=1)[0]
    assert abs(len(sound) - len(expected)) <= 160
    n = min(len(sound), len(expected))
    assert np.abs(sound[:n] - expected[:n]).mean() < 0.01


def write_gapped_sound(path, beep, gap_s):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, beep.shape[1] + round(gap_s * 16_000)):
            frame = av.AudioFrame.from_ndarray((beep * 32767).astype(np.int16), "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), start
            container.mux(stream.encode(frame))


# --- what the picture looks like


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_rotation_puts_the_corner_where_it_belongs(tmp_path, turn_deg):
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[:16, :16] = (250, 30, 30)  # top left as stored
    path = write_clip(tmp_path / "turned.mp4", [image] * 5, np.arange(5) / 25, turn_deg=turn_deg)
    picture = next(read_pictures(path))
    upright = np.rot90(image, -turn_deg // 90)
    assert (picture.height, picture.width) == upright.shape[:2] == picture.rgb().shape[:2]
    assert np.abs(picture.rgb().astype(int) - upright).mean() < 6
    box = (picture.width - 20, 3, picture.width, 19)
    np.testing.assert_array_equal(picture.crop(*box), picture.rgb()[3:19, -20:])
    assert picture.thumbnail(40).shape[:2] == (40 * picture.height // WIDTH, 40 * picture.width // WIDTH)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv422p", "gray"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_survive_any_pixel_format(tmp_path, pix_fmt, full_range):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32], image[:, 32:64], image[:, 64:] = (200, 40, 40), (40, 180, 60), (255, 255, 255)
    if pix_fmt == "gray":
        image[:] = image.mean(axis=2, keepdims=True).astype(np.uint8)
    path = write_clip(tmp_path / "colour.mkv", [image] * 3, np.arange(3) / 25, pix_fmt=pix_fmt, full_range=full_range)
    shown = next(read_pictures(path)).rgb().astype(int)
    for x in (16, 48, 80):
        assert np.abs(shown[32, x] - image[32, x].astype(int)).max() <= 8, (x, shown[32, x], image[32, x])


@pytest.mark.parametrize("codec", ["ffv1", "prores_ks", "libvpx-vp9", "mpeg4", "mjpeg"])
def test_other_codecs_are_read(tmp_path, codec):
    pix_fmt = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    path, _ = write_frames_at(tmp_path / "clip.mkv", 25, 0.4, video_codec=codec, pix_fmt=pix_fmt)
    assert shown_numbers(path) == list(range(10))


@pytest.mark.parametrize("size", [(63, 47), (8, 8), (1, 1), (33, 18)])
def test_any_box_equals_the_slice_of_the_whole(tmp_path, size):
    width, height = size
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "odd.mkv", [image], [0.0], video_codec="ffv1", pix_fmt="yuv420p")
    picture = next(read_pictures(path))
    whole = picture.rgb()
    assert whole.shape == (height, width, 3)
    padded = np.pad(whole, ((99, 99), (99, 99), (0, 0)), mode="edge")
    for _ in range(60):
        x0, y0 = rng.integers(-90, width + 40), rng.integers(-90, height + 40)
        x1, y1 = x0 + rng.integers(1, 50), y0 + rng.integers(1, 50)
        box = picture.crop(int(x0), int(y0), int(x1), int(y1))
        expected = padded[y0 + 99 : y1 + 99, x0 + 99 : x1 + 99]
        assert box.shape == expected.shape
        assert np.abs(box.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("turn_deg", [0, 90, 180, 270])
def test_a_large_box_may_come_scaled_down(tmp_path, turn_deg):
    smooth = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (200, 260), np.uint8), (0, 0), 10)
    image = np.repeat(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)[:, :, None], 3, axis=2)
    path = write_clip(tmp_path / "large.mp4", [image] * 3, np.arange(3) / 25, turn_deg=turn_deg)
    picture = next(read_pictures(path))
    box = (21, 14, 171, 164)
    scaled = picture.crop(*box, at_most=50)
    errors = []
    for shift in (0, 2):
        moved = picture.crop(*(edge + shift for edge in box))
        plain = cv2.resize(moved, (50, 50), interpolation=cv2.INTER_AREA)
        errors.append(np.abs(scaled.astype(int) - plain).mean())
    assert scaled.shape == (50, 50, 3)
    assert errors[0] < errors[1]  # nearer to its place than to one two pixels off
    assert errors[0] < 4
    assert picture.crop(*box, at_most=150).shape == (150, 150, 3)
    assert picture.crop(-9, 0, 141, 150, at_most=50).shape == (150, 150, 3)  # it leaves the picture: as it is


def test_an_empty_box_is_a_mistake(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 0.2)
    with pytest.raises(ValueError, match="box"):
        next(read_pictures(path)).crop(5, 5, 5, 9)


def test_thumbnail_keeps_proportions_and_never_enlarges(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 0.2)
    picture = next(read_pictures(path))
    assert picture.thumbnail(80).shape == (24, 80, 3)
    assert picture.thumbnail(80, gray=True).shape == (24, 80)
    assert picture.thumbnail(5000).shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(picture.thumbnail(80).mean(), picture.rgb().mean(), atol=3)


@pytest.mark.parametrize(("height", "kind"), [(1080, "yuv420p"), (721, "yuv420p"), (1080, "yuv420p10le")])
def test_a_tiny_thumbnail_of_some_lines_looks_like_that_of_all(height, kind, monkeypatch):
    rng = np.random.default_rng(0)
    rgb = cv2.resize(rng.integers(0, 256, (18, 32, 3), np.uint8), (1920, height))
    picture = Picture(0, 0.0, Source(VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=kind)))
    tiny = picture.thumbnail(32).astype(int)
    monkeypatch.setattr("fakespan.media.picture._LEAST_LINES", 2000)
    from_all = picture.thumbnail(32)
    assert np.abs(tiny - from_all).mean() < 1
    assert np.abs(np.roll(tiny, 1, axis=0) - from_all).mean() > 10


@pytest.mark.parametrize("height", [2, 3, 4, 16, 30])
def test_a_very_wide_picture_has_a_tiny_thumbnail(height):
    rgb = np.full((height, 4096, 3), 90, np.uint8)
    picture = Picture(0, 0.0, Source(VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")))
    tiny = picture.thumbnail(32)
    assert tiny.shape == (1, 32, 3)
    np.testing.assert_allclose(tiny, 90, atol=3)


@pytest.mark.parametrize("speed", [0, 7])
def test_cuts_are_the_same_from_some_lines_as_from_all(speed, monkeypatch):
    rng = np.random.default_rng(1)
    scenes = [cv2.resize(rng.integers(40, 200, (9, 16, 3), np.uint8), (1920, 1080)) for _ in range(2)]
    shown = [np.roll(scenes[k >= 6], speed * k, axis=0) for k in range(12)]
    frames = [VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p") for rgb in shown]

    def cuts():
        pictures = [Picture(k, k / 25, Source(frame)) for k, frame in enumerate(frames)]
        return [picture.index for picture, is_cut in mark_cuts(pictures) if is_cut]

    from_some = cuts()
    monkeypatch.setattr("fakespan.media.picture._LEAST_LINES", 2000)
    assert from_some == cuts() == [6]


def test_a_change_of_size_midway_is_followed(tmp_path):
    parts = []
    for number, (width, height) in ((1, (160, 48)), (2, (320, 96))):
        part = write_clip(tmp_path / f"{number}.ts", [numbered_picture(number, width, height)] * 5, np.arange(5) / 25)
        parts.append(part.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    sizes = [(p.width, p.height) for p in read_pictures(path)]
    assert set(sizes) == {(160, 48), (320, 96)}
    assert load_pictures(path).shape[1:] == (48, 160, 3)


# --- sound of any kind


@pytest.mark.parametrize(
    "kind",
    [
        ("mono", 1, 8_000, "pcm_s16le", ".wav"),
        ("mono", 1, 8_000, "pcm_u8", ".wav"),
        ("stereo", 2, 44_100, "aac", ".mp4"),
        ("stereo", 2, 48_000, "libopus", ".webm"),
        ("7.1", 8, 48_000, "pcm_s16le", ".wav"),
        ("7.1", 8, 48_000, "aac", ".mp4"),
        ("5.1", 6, 48_000, "flac", ".mkv"),
        ("stereo", 2, 22_050, "pcm_f32le", ".wav"),
        ("stereo", 2, 96_000, "pcm_s32le", ".wav"),
        ("stereo", 2, 44_100, "mp2", ".mpg"),
    ],
)
def test_any_layout_and_rate_gives_the_same_tone(tmp_path, kind):
    layout, n_channels, rate, codec, ending = kind
    path = tmp_path / f"tone{ending}"
    write_clip(path, sound=tone(1.0, rate, n_channels=n_channels), sound_rate=rate, layout=layout, audio_codec=codec)
    sound = read_sound(path)
    assert sound.dtype == np.float32
    assert len(sound) / 16_000 == pytest.approx(1.0, abs=0.08)
    middle = sound[4000:12_000]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(440, abs=3)


def test_a_voice_in_the_centre_channel_stays_audible(tmp_path):
    sound = np.zeros((6, 48_000), np.float32)
    sound[2] = tone(1.0, 48_000)[0]
    path = write_clip(tmp_path / "film.wav", sound=sound, sound_rate=48_000, layout="5.1", audio_codec="pcm_s16le")
    assert np.abs(read_sound(path)).max() == pytest.approx(0.25, abs=0.02)


def test_blocks_are_the_whole_in_pieces(tmp_path):
    path = write_clip(tmp_path / "tone.wav", sound=tone(3.0), audio_codec="pcm_s16le")
    blocks = list(iter_sound(path))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), read_sound(path))


def test_no_sound_and_an_empty_sound_stream_give_nothing(tmp_path):
    silent, _ = write_frames_at(tmp_path / "silent.mp4", 25, 0.2)
    assert read_sound(silent).shape == (0,)
    empty, _ = write_frames_at(tmp_path / "empty.mp4", 25, 0.2, sound=np.zeros((1, 0), np.float32))
    assert read_sound(empty).shape == (0,)
    assert shown_numbers(empty) == list(range(5))


def test_silence_is_zeros(tmp_path):
    path = write_clip(
        tmp_path / "quiet.wav", sound=np.zeros((1, 8000), np.float32), sound_rate=8000, audio_codec="pcm_s16le"
    )
    assert read_sound(path).shape == (16_000,)
    assert not read_sound(path).any()


# --- damage and odd ends


def test_a_cut_off_file_gives_what_it_holds(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.ts", 25, 4.0, sound=tone(4.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers = shown_numbers(path)
    assert 25 <= len(numbers) < 100
    assert sorted(set(numbers[:21]))[:20] == list(range(20))
    assert 1.0 <= len(read_sound(path)) / 16_000 < 4.0


def test_damage_in_the_middle_is_passed_over(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.ts", 25, 8.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(0).bytes(4000)
    path.write_bytes(data)
    pictures = [p.index for p in read_pictures(path)]
    assert pictures == list(range(len(pictures)))
    assert len(pictures) > 150


def test_nothing_decodable_is_said(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 1.0)
    data = path.read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(read_pictures(path))


def test_one_frame_and_black_frames_are_pictures(tmp_path):
    one = write_clip(tmp_path / "one.mp4", [numbered_picture(5)], [0.0])
    assert shown_numbers(one) == [5]
    black = write_clip(tmp_path / "black.mp4", [np.zeros((8, 8, 3), np.uint8)] * 3, np.arange(3) / 25)
    images = load_pictures(black)
    assert images.shape == (3, 8, 8, 3)
    assert images.max() <= 3


def test_sound_alone_has_no_pictures(tmp_path):
    path = write_clip(tmp_path / "tone.wav", sound=tone(0.2), audio_codec="pcm_s16le")
    with pytest.raises(MediaError, match="sound alone"):
        next(read_pictures(path))


def test_the_decoding_thread_ends_with_its_consumer(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 8.0)
    pictures = read_pictures(path)
    next(pictures)
    pictures.close()
    assert not [t for t in threading.enumerate() if t.name == "fakespan-decode"]
