"""What is written plays back the same, in step; codec round trips keep length and alignment."""

from __future__ import annotations

import numpy as np
import pytest

from clips import load_pictures, numbered_picture, read_number, tone
from fakespan.media.decode import read_sound
from fakespan.media.encode import roundtrip_sound, roundtrip_video, write_video
from fakespan.media.probe import probe


def pictures(n, width=160, height=48):
    return np.stack([numbered_picture(k, width, height) for k in range(n)])


def noise_bursts(seconds, rate):
    rng = np.random.default_rng(0)
    smooth = np.convolve(rng.normal(size=round(seconds * rate)), np.ones(8) / 8, "same")
    envelope = (np.arange(len(smooth)) // (rate // 8)) % 2
    return (0.5 * smooth / np.abs(smooth).max() * envelope).astype(np.float32)


def lag_samples(a, b):
    """How far b comes after a."""
    n = min(len(a), len(b))
    correlation = np.fft.irfft(np.conj(np.fft.rfft(a[:n], 2 * n)) * np.fft.rfft(b[:n], 2 * n))
    lag = int(np.argmax(correlation))
    return lag if lag < n else lag - 2 * n


@pytest.mark.parametrize("fps", [25, 30, 30_000 / 1001])
def test_a_written_clip_plays_back(tmp_path, fps):
    path = tmp_path / "clip.mp4"
    sound = noise_bursts(2.0, 16_000)
    write_video(path, pictures(round(2 * fps)), fps, sound)
    info = probe(path)
    assert info.fps == pytest.approx(fps, abs=0.01)
    assert (info.video_codec, info.audio_codec) == ("h264", "aac")
    images = load_pictures(path)
    assert len(images) == 50
    assert [read_number(image) for image in images[:3]] == [0, round(fps * 0.04), round(fps * 0.08)]
    back = read_sound(path)
    assert 0 <= len(back) - len(sound) <= 1024
    assert abs(lag_samples(sound, back)) <= 1
    assert list(tmp_path.iterdir()) == [path]


def test_frames_may_come_one_by_one_and_sound_may_be_missing(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, (numbered_picture(k) for k in range(10)), 25, preset="ultrafast", crf=23)
    assert [read_number(image) for image in load_pictures(path)] == list(range(10))
    assert not probe(path).has_audio


def test_a_failure_leaves_no_file_and_the_old_one_untouched(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"precious")

    def breaks():
        yield from pictures(3)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_video(path, breaks())
    with pytest.raises(ValueError, match="no frames"):
        write_video(path, [])
    with pytest.raises(ValueError, match="one size"):
        write_video(path, [numbered_picture(0), numbered_picture(0, 80, 40)])
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("width", "height"), [(160, 48), (161, 49)])
def test_a_video_round_trip_keeps_every_frame(width, height):
    frames = pictures(30, width, height)
    back = roundtrip_video(frames, 25, crf=20)
    assert back.shape == frames.shape
    assert [read_number(image) for image in back] == list(range(30))
    error = np.abs(back.astype(int) - frames).mean()
    assert 0 < error < 8


def test_a_higher_crf_loses_more():
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (4, 24, 24, 3), dtype=np.uint8), 4, axis=1), 4, axis=2)
    fine, coarse = (np.abs(roundtrip_video(frames, crf=crf).astype(int) - frames).mean() for crf in (10, 45))
    assert coarse > 1.5 * fine


def test_colours_survive_a_round_trip():
    frames = np.zeros((5, 64, 64, 3), np.uint8)
    frames[:] = (180, 60, 90)
    assert np.abs(roundtrip_video(frames, crf=10).astype(int) - frames).max() <= 4


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("bitrate", [32_000, 96_000])
@pytest.mark.parametrize("codec", ["aac", "mp3"])
def test_a_sound_round_trip_is_aligned(rate, bitrate, codec):
    sound = noise_bursts(1.3, rate)
    back = roundtrip_sound(sound, rate, bitrate, codec)
    assert back.shape == sound.shape
    assert back.dtype == np.float32
    assert abs(lag_samples(sound, back)) <= rate // 1000
    assert np.corrcoef(sound, back)[0, 1] > 0.8
    assert np.any(back != sound)


@pytest.mark.parametrize("n", [0, 1, 100, 1024, 5000])
def test_short_sounds_keep_their_length(n):
    assert roundtrip_sound(tone(1.0, 16_000)[0, :n]).shape == (n,)


def test_equal_frames_give_equal_bytes_where_that_is_asked_for(tmp_path):
    frames = np.stack([numbered_picture(k) for k in range(60)])
    for name in ("a", "b", "c"):
        write_video(tmp_path / f"{name}.mp4", frames, sound=tone(2.4, 16_000)[0], repeatable=True)
    assert len({(tmp_path / f"{name}.mp4").read_bytes() for name in ("a", "b", "c")}) == 1
