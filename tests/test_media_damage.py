"""Files that are damaged, whose sound begins late, or whose channels cancel each other: what is there is read."""

from __future__ import annotations

import contextlib
import struct
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

import fakespan
from clips import numbered_picture, tone, write_clip, write_frames_at
from fakespan.data.clip import read_example
from fakespan.errors import MediaError
from fakespan.media.container import open_media, picture_streams, sound_streams
from fakespan.media.damage import Damage
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.probe import probe
from fakespan.types import Sample
from remade import SAMPLE
from remux import remuxed, without_packets


def _flv_tags(data: bytes) -> list[int]:
    """Where the tags of an FLV file begin."""
    places, place = [], 13
    while place < len(data) - 11:
        places.append(place)
        place += 11 + int.from_bytes(data[place + 1 : place + 4], "big") + 4
    return places


@pytest.mark.parametrize("type_", [0, 8, 18])
def test_one_damaged_byte_does_not_fail_a_whole_file(tmp_path, type_):
    path, _ = write_frames_at(tmp_path / "clip.flv", 25, 8.0, sound=tone(8.0))
    data = bytearray(path.read_bytes())
    pictures = [place for place in _flv_tags(data) if data[place] == 9]
    data[pictures[len(pictures) * 3 // 4]] = type_  # read as sound it is a stream that did not exist so far
    path.write_bytes(data)
    assert probe(path).has_video
    assert len(list(read_pictures(path))) >= 190
    assert len(read_sound(path)) >= 7.8 * 16_000


def test_sound_that_begins_after_five_megabytes_of_picture_is_heard(tmp_path):
    path, rng = tmp_path / "late.ts", np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=25, options={"qmin": "1", "qmax": "1"})
        video.width, video.height, video.pix_fmt, video.gop_size = 640, 480, "yuv420p", 1
        audio = container.add_stream("mp2", rate=48_000, layout="mono")
        for k in range(75):
            noise = rng.integers(0, 255, (720, 640), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, "yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first in range(0, 48_000, 1152):
            wave = np.round(tone(1.0, 48_000)[:, first : first + 1152] * 32767).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), "s16", "mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, first + 3 * 48_000, Fraction(1, 48_000)
            container.mux(audio.encode(heard))
        container.mux(audio.encode(None))
    assert path.stat().st_size > 10_000_000
    info, sound = probe(path), read_sound(path)
    assert (info.has_video, info.has_audio) == (True, True)
    assert len(sound) == pytest.approx(4 * 16_000, abs=1600)
    assert np.abs(sound[: 2 * 16_000]).max() == 0
    assert np.sqrt(np.square(sound[-12_000:-2000]).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def _write_stereo(path, left, right):
    both = np.concatenate([left, right])
    return write_clip(path, sound=both, sound_rate=16_000, layout="stereo", audio_codec="pcm_s16le")


@pytest.mark.parametrize("share", [1.0, 0.98])
def test_channels_that_cancel_each_other_are_not_silence(tmp_path, share):
    left = tone(1.0, 16_000)
    path = write_clip(
        tmp_path / "c.wav",
        sound=np.concatenate([left, -share * left]),
        sound_rate=16_000,
        layout="stereo",
        audio_codec="pcm_s16le",
    )
    np.testing.assert_allclose(read_sound(path), left[0], atol=1e-3)


def test_one_silent_channel_still_counts_half(tmp_path):
    left = tone(1.0, 16_000)
    path = write_clip(
        tmp_path / "c.wav",
        sound=np.concatenate([left, 0 * left]),
        sound_rate=16_000,
        layout="stereo",
        audio_codec="pcm_s16le",
    )
    np.testing.assert_allclose(read_sound(path), left[0] / 2, atol=1e-3)


def _damaged(path, share, n_bytes=4096, source=SAMPLE):
    data = bytearray(source.read_bytes())
    place = int(share * len(data))
    data[place : place + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    return path


def _remuxed(path):
    """The sample in another container, its packets unchanged."""
    with av.open(str(SAMPLE)) as source, av.open(str(path), "w") as container:
        streams = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    return path


def damaged_parts(result):
    return [stretch for stretch in result.not_judged if stretch.reason == "damaged"]


def test_a_file_that_was_cut_short_says_so(tmp_path, tiny_path, call):
    path = tmp_path / "cut.mp4"
    path.write_bytes(SAMPLE.read_bytes()[:100_000])
    result = fakespan.load_model(tiny_path).scan(path)
    (end,) = damaged_parts(result)
    assert end.end_s == pytest.approx(8.28, abs=0.1)
    assert 3.2 < end.start_s < 3.8
    assert any("before its stated length" in note for note in result.notes)
    code, out, err = call("scan", path, "--model", tiny_path, "--strict")
    assert (code, out) == (1, "")
    assert "damage at 3." in err
    assert call("scan", SAMPLE, "--model", tiny_path, "--strict", "--json")[0] == 0


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_damage_in_the_middle_is_named_and_not_judged(tmp_path, tiny_path, ending):
    whole = SAMPLE if ending == ".mp4" else _remuxed(tmp_path / f"whole{ending}")
    path = _damaged(tmp_path / f"damaged{ending}", 0.5, source=whole)
    localizer = fakespan.load_model(tiny_path)
    assert not damaged_parts(localizer.scan(whole))
    result = localizer.scan(path)
    damaged = damaged_parts(result)
    assert damaged
    assert any("damaged" in note for note in result.notes)
    for stretch in damaged:
        assert stretch.start_s > 2.5
        for curve in result.curves:
            end_s = curve.start_s + len(curve.values) / curve.fps
            assert end_s <= stretch.start_s + 0.05 or curve.start_s >= stretch.end_s - 0.05


def test_pictures_are_judged_again_from_the_next_key_frame(tmp_path, tiny_path):
    options = {"video_codec": "mpeg2video", "audio_codec": "mp2"}  # a key frame every 12 pictures
    whole, _ = write_frames_at(tmp_path / "whole.ts", 25, 8.0, sound=tone(8.0), **options)
    path = _damaged(tmp_path / "damaged.ts", 0.3, 1000, source=whole)
    result = fakespan.load_model(tiny_path).scan(path, faces="whole")
    assert 0.1 < sum(stretch.length_s for stretch in damaged_parts(result)) < 2.0
    first, *_, last = result.tracks
    assert first.end_s < 4 < last.end_s


@pytest.mark.parametrize(
    "make", [lambda path: without_packets(path, 3.0, 3.9), lambda path: _damaged(path, 0.5)], ids=["lost", "damaged"]
)
def test_what_a_picture_says_of_itself_is_what_is_known_at_the_end(tmp_path, make):
    """However far ahead the decoder is: a scan must not depend on it."""
    path, damage = make(tmp_path / "a.mkv"), Damage()
    read_sound(path, damage=damage)
    pictures = list(read_pictures(path, damage=damage))
    said = [picture.is_damaged for picture in pictures]
    assert said == [damage.covers(picture.time_s) for picture in pictures]
    assert not any(said[:65])
    assert all(said[115:])


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_recording_that_pauses_and_begins_with_a_key_frame_is_not_damaged(tmp_path, ending):
    path, damage = remuxed(tmp_path / f"twice{ending}", (0.0, 9.0), sound_later_s=0.3, sound_codec="mp2"), Damage()
    assert len(read_sound(path, damage=damage)) > 17 * 16_000
    assert damage.merged(99.0) == []


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_pauses_of_the_picture_are_no_damage(tmp_path, tiny_path, ending):
    times_s = np.array([0, 1, 2, 2.04, 2.08, 4, 6, 6.04, 7])
    path = tmp_path / f"pauses{ending}"
    write_clip(path, [numbered_picture(k) for k in range(9)], times_s, sound=tone(8.0))
    result = fakespan.load_model(tiny_path).scan(path)
    assert damaged_parts(result) == []


def test_damage_of_the_picture_does_not_matter_if_the_sound_alone_is_judged(tmp_path, tiny_path):
    path = _damaged(tmp_path / "damaged.mp4", 0.5)
    result = fakespan.load_model(tiny_path).scan(path, faces="none")
    assert 0 < sum(stretch.length_s for stretch in damaged_parts(result)) < 1.0


def test_the_clips_of_a_data_set_know_of_damage_in_the_middle(tmp_path):
    """And of none if the same clip is intact."""
    for path, is_damaged in ((_damaged(tmp_path / "damaged.mp4", 0.5), True), (SAMPLE, False)):
        example = read_example(Sample(path.name, path, "test", 8.28))
        assert len(example.faces) == pytest.approx(8.28 * 25, abs=2)
        assert any(2.5 < start_s < 6 for start_s, _ in example.damaged) == bool(example.damaged) == is_damaged


def test_a_duration_that_cannot_be_is_not_believed(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.mkv", 25, 1.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Duration, a float of 8 bytes
    for stated_ms in (1e15, -5000.0):
        data[at : at + 8] = struct.pack(">d", stated_ms)
        path.write_bytes(data)
        assert probe(path).duration_s == pytest.approx(1.0, abs=0.05)


def test_a_rate_that_cannot_be_gives_no_duration(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.avi", 25, 1.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"vids") + 20  # scale and rate: a picture lasts that many seconds
    data[at : at + 8] = struct.pack("<II", 85_899_345, 1)
    path.write_bytes(data)
    assert probe(path).duration_s == 0.0


def test_sizes_beyond_any_file_print_nothing_but_the_error(tmp_path, capfd):
    whole = write_clip(tmp_path / "whole.wmv", sound=tone(0.5), audio_codec="libmp3lame").read_bytes()
    path, n_opened = tmp_path / "clip.wmv", 0
    for at in range(16, 480, 8):
        path.write_bytes(whole[:at] + struct.pack("<Q", 0x5E4718D0A1975920) + whole[at + 8 :])
        with contextlib.suppress(MediaError):
            n_opened += probe(path).has_audio
    assert 0 < n_opened < 58
    assert capfd.readouterr().err == ""


def test_a_best_stream_that_appeared_while_reading_is_none():
    def best(kind, related=None):
        raise IndexError("list index out of range")

    with open_media(SAMPLE) as container:
        streams = SimpleNamespace(best=best, video=container.streams.video, audio=container.streams.audio)
        seen = SimpleNamespace(streams=streams)
        assert [len(found(seen)) for found in (picture_streams, sound_streams)] == [1, 1]


def test_a_packet_that_does_not_fit_into_memory_is_told():
    with pytest.raises(MediaError, match="packets that fit into memory"), open_media(SAMPLE):
        raise av.error.MemoryError(12, "Cannot allocate memory")


def test_damage_that_takes_no_time_is_not_listed():
    """A transport stream that was cut within its last packet is damaged at its very end."""
    assert Damage(spans=[(1.0, 2.0), (3.0, 3.0)], open_s=5.0).merged(5.0) == [(1.0, 2.0)]


@pytest.mark.parametrize("type_", ["avi", "wav"])
def test_a_list_of_texts_longer_than_its_file_is_refused_before_it_takes_memory(tmp_path, type_):
    path = write_clip(tmp_path / f"a.{type_}", sound=tone(1.0, 16_000), sound_rate=16_000, audio_codec="pcm_s16le")
    texts = b"LIST" + (2_667_270_661).to_bytes(4, "little") + b"INFO"
    path.write_bytes(path.read_bytes() + texts)
    with pytest.raises(MediaError, match="a list of them that is longer than all of it"):
        probe(path)
    path.write_bytes(path.read_bytes()[: -len(texts)] + b"LIST" + (900).to_bytes(4, "little") + b"INFO")  # cut short
    assert probe(path).has_audio


@pytest.mark.parametrize(("kind", "has_picture"), [("matroska", False), ("matroska", True), ("asf", False)])
def test_a_live_recording_without_a_length_is_not_cut_short(tmp_path, kind, has_picture):
    path = tmp_path / "live"
    options = {"live": "1"} if kind == "matroska" else {}
    with path.open("wb") as file, av.open(SimpleNamespace(write=file.write), "w", kind, options=options) as container:
        sound = container.add_stream("mp3", rate=44_100, layout="mono")  # FFmpeg guesses the length by its bit rate
        picture = container.add_stream("mpeg4", rate=5, width=96, height=64) if has_picture else None
        for second, wave in enumerate(np.split((tone(20.0) * 32_000).astype(np.int16), 20, axis=1)):
            block = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            block.sample_rate = 44_100
            container.mux(sound.encode(block))
            for number in range(second * 5, second * 5 + 5) if picture else ():
                container.mux(picture.encode(av.VideoFrame.from_ndarray(numbered_picture(number), "rgb24")))
        for stream in (sound, *([picture] if picture else ())):
            container.mux(stream.encode(None))
    assert probe(path).duration_s == pytest.approx(20.0, abs=0.1)
    scan = fakespan.scan(path)
    assert not any("cut short" in note for note in scan.notes)
    assert not any(part.reason == "damaged" for part in scan.not_judged)
