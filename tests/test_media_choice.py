"""Files with several tracks of picture or sound: all are named, the right one is judged, another may be asked for."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import fakespan
from clips import read_number, tone, write_clip, write_frames_at
from fakespan.data.file_check import check_file
from fakespan.errors import NotInFileError, UsageError
from fakespan.localizer.options import ScanOptions
from fakespan.media.choice import choose_tracks, speech_share
from fakespan.media.damage import Damage
from fakespan.media.decode import read_both, read_pictures, read_sound
from fakespan.media.probe import probe
from remade import sample_pictures, sample_sound


def _write_tracks(path: Path, videos=(), sounds=(), languages=()) -> Path:
    """A file of several tracks; each video is a list of pictures at 25 a second, each sound (1, n) at 16 kHz."""
    with av.open(str(path), "w") as container:
        shown = []
        for pictures in videos:
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            shown.append((stream, pictures))
        heard = [(container.add_stream("pcm_s16le", rate=16_000, layout="mono"), sound) for sound in sounds]
        for (stream, _), language in zip(heard, languages, strict=False):
            stream.metadata["language"] = language
        for stream, pictures in shown:
            for k, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for audio, sound in heard:
            samples = np.round(sound * 32767).astype(np.int16)
            for first in range(0, samples.shape[1], 1600):
                block = av.AudioFrame.from_ndarray(samples[:, first : first + 1600].copy(), "s16", "mono")
                block.sample_rate, block.pts, block.time_base = 16_000, first, Fraction(1, 16_000)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
def two_sounds(tmp_path_factory):
    """A tone as the default track, speech second."""
    path = tmp_path_factory.mktemp("tracks") / "two.mkv"
    return _write_tracks(path, [sample_pictures()[:50]], [tone(8.0, 16_000), sample_sound()], ["und", "eng"])


@pytest.mark.parametrize(("number", "length_s"), [(1, 2.0), (2, 5.0)])
def test_a_length_that_is_not_stated_is_that_of_the_track(tmp_path, number, length_s):
    path = tmp_path / "live.mka"
    with av.open(str(path), "w", format="matroska", options={"live": "1"}) as container:
        streams = [container.add_stream("libopus", rate=16_000, layout="mono") for _ in range(2)]
        for stream, seconds in zip(streams, (2, 5), strict=True):
            for k in range(seconds * 50):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), "s16", "mono")
                block.sample_rate, block.pts, block.time_base = 16_000, 320 * k, Fraction(1, 16_000)
                container.mux(stream.encode(block))
            container.mux(stream.encode(None))
    assert probe(path, choose_tracks(path, audio=number).tracks).duration_s == pytest.approx(length_s, abs=0.1)


@pytest.mark.parametrize("kind", ["video_track", "audio_track"])
def test_tracks_are_counted_from_one(kind):
    with pytest.raises(UsageError, match=f"{kind}: expected the number of a track, from 1, got 0"):
        ScanOptions(**{kind: 0})


def test_the_track_with_speech_is_heard(two_sounds):
    choice = choose_tracks(two_sounds)
    judged = {(t.kind, t.number): t.is_judged for t in choice.every}
    assert judged == {("video", 1): True, ("audio", 1): False, ("audio", 2): True}
    assert [t.language for t in choice.every if t.kind == "audio"][1] == "eng"
    np.testing.assert_allclose(read_sound(two_sounds, tracks=choice.tracks), sample_sound()[0], atol=1e-3)
    assert choice.notes[0].startswith("the file has 2 audio tracks: track 2 was judged (the one with most speech; ")


def test_another_track_may_be_asked_for(two_sounds):
    choice = choose_tracks(two_sounds, audio=1)
    np.testing.assert_allclose(read_sound(two_sounds, tracks=choice.tracks)[:16_000], tone(1.0, 16_000)[0], atol=1e-3)
    assert any("track 1" in note for note in choice.notes)


@pytest.mark.parametrize("number", [{"audio": 3}, {"video": 2}])
def test_a_track_that_does_not_exist_is_said(two_sounds, number):
    with pytest.raises(NotInFileError, match="info FILE"):
        choose_tracks(two_sounds, **number)


def test_a_scan_names_all_tracks_and_says_which_it_judged(two_sounds, tiny_path, call):
    code, out, _ = call("scan", two_sounds, "--model", tiny_path, "--json")
    assert code == 0
    assert '"number":2' in out
    assert "2 audio tracks" in out
    code, out, _ = call("scan", two_sounds, "--model", tiny_path, "--json", "--audio-track", "1")
    assert "as asked" in out
    assert call("info", two_sounds)[1].count('"kind": "audio"') == 2
    result = fakespan.load_model(tiny_path).scan(two_sounds)
    assert fakespan.Scan.from_dict(result.to_dict()) == result


def test_the_video_with_a_face_is_seen(tmp_path):
    large = [np.full((480, 640, 3), 128, np.uint8)] * 60
    path = _write_tracks(tmp_path / "two.mkv", [large, sample_pictures()[:60]])
    choice = choose_tracks(path)
    assert [t.is_judged for t in choice.every] == [False, True]
    assert next(read_pictures(path, tracks=choice.tracks)).width == 320
    assert next(read_pictures(path, tracks=choose_tracks(path, video=1).tracks)).width == 640


@pytest.mark.parametrize("cut_bytes", [0, 32_000])
def test_a_clip_of_a_set_is_cut_short_only_if_all_its_tracks_are(tmp_path, cut_bytes):
    path = _write_tracks(tmp_path / "two.mkv", [sample_pictures()[:50]], [tone(2.0, 16_000), tone(3.0, 16_000)])
    path.write_bytes(path.read_bytes()[: -cut_bytes or None])
    damage = Damage()
    read_both(path, list, damage=damage)
    missing_s = [end_s - start_s for start_s, end_s in damage.spans]
    assert missing_s == ([] if not cut_bytes else [pytest.approx(1.0, abs=0.1)])
    assert (check_file(path).missing_s > 0) == bool(missing_s)


def test_dubs_of_equal_speech_leave_the_default(tmp_path):
    path = _write_tracks(tmp_path / "dubs.mkv", [], [sample_sound(), 0.5 * sample_sound()])
    choice = choose_tracks(path)
    assert [t.is_judged for t in choice.every] == [True, False]
    assert "track 1 was judged (FFmpeg's default; choose another with --audio-track)" in choice.notes[0]


def test_streams_whose_numbers_change_midway_are_one_track(tmp_path):
    parts = []
    for first in (0, 50):
        path, _ = write_frames_at(tmp_path / f"{first}.ts", 25, 2.0, sound=tone(2.0), audio_codec="mp2")
        parts.append(path.read_bytes())
    other = _with_other_numbers(parts[1])
    joined = tmp_path / "joined.ts"
    joined.write_bytes(parts[0] + other)
    choice = choose_tracks(joined)
    assert len(choice.every) == 2
    numbers = [read_number(p.rgb()) for p in read_pictures(joined, tracks=choice.tracks)]
    assert 95 <= len(numbers) <= 101  # FFmpeg gives the last pictures of the first part at the end of the file
    assert numbers[-10:] == list(range(40, 50))
    assert len(read_sound(joined, tracks=choice.tracks)) == pytest.approx(4 * 16_000, abs=3200)


def _with_other_numbers(data: bytes) -> bytes:
    """A transport stream whose picture and sound have PIDs that are 16 higher; the tables come from a rewrite."""
    packets = [bytearray(data[k : k + 188]) for k in range(0, len(data), 188)]
    for packet in packets:
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid in (0x100, 0x101):
            packet[2] += 16
        if pid == 0x1000:  # the map of the programme: after the pointer, 12 bytes and 5 for each stream
            _renumber_map(packet)
    return b"".join(packets)


def _renumber_map(packet: bytearray) -> None:
    section = packet[5 : 5 + 3 + ((packet[6] & 0x0F) << 8 | packet[7])]
    section[9] += 16 if section[8] & 0x1F == 1 else 0  # the stream with the clock
    place = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while place < len(section) - 4:
        section[place + 2] += 16
        place += 5 + ((section[place + 3] & 0x0F) << 8 | section[place + 4])
    section[-4:] = _crc(section[:-4]).to_bytes(4, "big")
    packet[5 : 5 + len(section)] = section


def _crc(data: bytes) -> int:
    """CRC-32 of MPEG-2."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def test_a_file_with_one_track_of_each_kind_is_only_opened(tmp_path, monkeypatch):
    path, _ = write_frames_at(tmp_path / "usual.mp4", 25, 1.0, sound=tone(1.0))
    monkeypatch.setattr("fakespan.media.choice.read_pictures", None)
    monkeypatch.setattr("fakespan.media.choice.iter_sound", None)
    assert [t.is_judged for t in choose_tracks(path).every] == [True, True]


def test_speech_changes_at_the_rate_of_syllables():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 64_000).astype(np.float32)
    others = [tone(4.0, 16_000)[0], noise, np.zeros(64_000, np.float32), np.zeros(0, np.float32)]
    assert all(speech_share(sound) < 0.2 for sound in others)
    assert speech_share(sample_sound()[0]) > 0.4


@pytest.mark.parametrize(("number", "asked"), [(1, "1 video track, got none"), (2, "2 video tracks, got none")])
def test_a_track_that_is_not_there_is_counted_in_good_english(tmp_path, number, asked):
    path = write_clip(tmp_path / "voice.wav", sound=tone(1.0), sound_rate=16_000, audio_codec="pcm_s16le")
    with pytest.raises(NotInFileError, match=asked):
        choose_tracks(path, video=number)
