"""The facts of a file, and one clear sentence for every file that is none."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from clips import HEIGHT, WIDTH, numbered_picture, tone, write_clip, write_frames_at
from fakespan.errors import MediaError
from fakespan.media import container
from fakespan.media.choice import choose_tracks
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.probe import probe


def test_facts_of_a_clip(tmp_path):
    sound = {"sound": tone(2.0, 48_000, n_channels=2), "sound_rate": 48_000, "layout": "stereo"}
    path, _ = write_frames_at(tmp_path / "clip.mp4", 30, 2.0, **sound)
    info = probe(path)
    assert (info.has_video, info.has_audio) == (True, True)
    assert info.duration_s == pytest.approx(2.0, abs=0.05)
    assert (info.width, info.height, info.rotation_deg) == (WIDTH, HEIGHT, 0)
    assert info.fps == pytest.approx(30, abs=0.1)
    assert (info.video_codec, info.audio_codec) == ("h264", "aac")
    assert (info.sample_rate, info.n_channels) == (48_000, 2)
    assert "mp4" in info.container


@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv", ".mxf"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001)])
def test_the_frame_rate_is_exact(tmp_path, ending, rate):
    codec = "mpeg2video" if ending == ".mxf" else "h264"
    path = timecoded(tmp_path / f"clip{ending}", rate, codec, {})
    assert Fraction(probe(path).frame_rate) == rate
    assert probe(path).start_timecode in ("", "00:00:00:00")  # MXF always has one


@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv", ".mxf"])
@pytest.mark.parametrize("timecode", ["01:00:00;02", "10:20:30:04"])
def test_the_timecode_of_the_first_frame_is_read(tmp_path, ending, timecode):
    codec = "mpeg2video" if ending == ".mxf" else "h264"
    path = timecoded(tmp_path / f"clip{ending}", Fraction(30000, 1001), codec, {"timecode": timecode})
    assert probe(path).start_timecode == timecode


def test_a_timecode_that_is_none_is_ignored(tmp_path):
    path = timecoded(tmp_path / "clip.mkv", Fraction(25), "h264", {"timecode": "=1+1\n01:00:00:00"})
    assert probe(path).start_timecode == ""


def timecoded(path, rate, codec, metadata):
    with av.open(str(path), "w") as output:
        output.metadata.update(metadata)
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata.update(metadata)
        for number in range(30):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8))
            picture.pts, picture.time_base = number, 1 / rate
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("turn_deg", [90, 180, 270])
def test_size_is_given_after_rotation(tmp_path, turn_deg):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 0.2, turn_deg=turn_deg)
    info = probe(path)
    assert info.rotation_deg == turn_deg
    assert (info.width, info.height) == ((WIDTH, HEIGHT) if turn_deg == 180 else (HEIGHT, WIDTH))


@pytest.mark.parametrize(("flags", "is_interlaced"), [("+ildct+ilme", True), ("", False)])
def test_interlaced_pictures_are_known(tmp_path, flags, is_interlaced):
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg2video", rate=25, options={"flags": flags} if flags else {})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_picture(number, 64, 64), format="rgb24")))
        output.mux(stream.encode())
    assert probe(path).is_interlaced == is_interlaced


def test_sound_alone_and_picture_alone(tmp_path):
    sound = probe(write_clip(tmp_path / "tone.wav", sound=tone(1.0), audio_codec="pcm_s16le"))
    assert (sound.has_video, sound.has_audio, sound.width) == (False, True, 0)
    assert sound.duration_s == pytest.approx(1.0, abs=0.01)
    picture = probe(write_frames_at(tmp_path / "clip.mp4", 25, 0.2)[0])
    assert (picture.has_video, picture.has_audio) == (True, False)


def test_the_codec_is_named_not_the_library_that_decodes_it(tmp_path):
    sound = write_clip(tmp_path / "tone.mp3", sound=tone(1.0), audio_codec="libmp3lame")
    assert probe(sound).audio_codec == "mp3"  # by mp3float
    assert [track.codec for track in choose_tracks(sound).every] == ["mp3"]


def test_a_length_that_no_header_states_is_found(tmp_path):
    path, _ = write_frames_at(tmp_path / "clip.h264", 25, 2.0)
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("ending", "words"), [(".mp4", "neither"), (".avi", "cannot be decoded")])
def test_a_file_of_zero_frames(tmp_path, ending, words):
    path = tmp_path / f"zero{ending}"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    assert read_sound(path).shape == (0,)
    with pytest.raises(MediaError, match=words):
        list(read_pictures(path))


def test_a_file_cut_within_its_header(tmp_path):
    path = write_clip(tmp_path / "header.mkv", sound=np.zeros((1, 0), np.float32))
    with pytest.raises(MediaError, match="cut short"):
        probe(path)


@pytest.mark.parametrize("reader", [probe, read_sound, lambda path: next(read_pictures(path))])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("folder", "a folder"),
        ("empty", "an empty file"),
        ("text", "a text file"),
        ("truncated", "cut short"),
        ("noise", "a format that FFmpeg does not read"),
    ],
)
def test_every_bad_file_is_told_in_one_sentence(tmp_path, kind, words, reader):
    path = bad_file(tmp_path, kind)
    with pytest.raises(MediaError) as caught:
        reader(path)
    sentence = str(caught.value)
    assert words in sentence
    assert str(path) in sentence
    assert "expected" in sentence
    assert "\n" not in sentence


def bad_file(folder, kind):
    path = folder / "bad.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("Dear reader,\nthis is a letter.\n" * 50)
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(1).bytes(5000))
    elif kind == "truncated":
        write_frames_at(path, 25, 1.0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_a_file_with_neither_picture_nor_sound(tmp_path):
    path = tmp_path / "words.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(MediaError, match="neither"):
        probe(path)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/a.mp4", "concat:a.mp4|b.mp4", "file:/etc/hostname", "rtsp://x/y", "-"]
)
def test_addresses_are_only_names_of_files(address):
    with pytest.raises(MediaError, match="no such file"):
        probe(address)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.ts\n"),
        ("list.mp4", "ffconcat version 1.0\nfile clip.ts\n"),
        ("list.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>'),
        (
            "list.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\nc=IN IP4 127.0.0.1\na=rtpmap:96 H264/90000\n",
        ),
        ("ansi.txt", "some words that an old terminal could show\n" * 30),
    ],
)
def test_playlists_open_no_other_file(tmp_path, name, text):
    write_frames_at(tmp_path / "clip.ts", 25, 1.0)
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MediaError):
        probe(path)


def test_a_device_is_refused():
    with pytest.raises(MediaError, match="device"):
        probe("/dev/zero")


def test_a_picture_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path, _ = write_frames_at(tmp_path / "clip.mp4", 25, 0.2)
    monkeypatch.setattr(container, "MAX_SIDE", WIDTH - 1)
    with pytest.raises(MediaError, match=f"{WIDTH}x{HEIGHT}"):
        probe(path)


class Pipe:
    """What a program writes to that cannot go back."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)


def test_an_avi_that_was_written_to_a_pipe_is_as_long_as_what_it_holds(tmp_path):
    pipe = Pipe()
    with av.open(pipe, "w", format="avi") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(50):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")))
        output.mux(stream.encode())
    (tmp_path / "pipe.avi").write_bytes(pipe.written)
    assert probe(tmp_path / "pipe.avi").duration_s == pytest.approx(2.0, abs=0.05)


def test_a_still_picture_is_one_frame(tmp_path):
    path = write_clip(
        tmp_path / "still.mkv", [numbered_picture(3, 80, 40)], [0.0], video_codec="mjpeg", pix_fmt="yuvj420p"
    )
    assert len(list(read_pictures(path))) == 1


def test_ffmpeg_prints_nothing(tmp_path):
    truncated = bad_file(tmp_path, "truncated")
    clip, _ = write_frames_at(tmp_path / "clip.ts", 25, 4.0, sound=tone(4.0))
    data = bytearray(clip.read_bytes())
    data[len(data) // 2 :: 7] = bytes(len(data[len(data) // 2 :: 7]))
    clip.write_bytes(data)
    program = (
        "import sys\nfrom fakespan.errors import MediaError\n"
        "from fakespan.media.decode import read_pictures, read_sound\n"
        "list(read_pictures(sys.argv[1])); read_sound(sys.argv[1])\n"
        "try: list(read_pictures(sys.argv[2]))\nexcept MediaError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program, clip, truncated], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x1f\x8b\x08" + bytes(200), "got a gzip archive; unpack it first"),
        (b"PK\x03\x04" + bytes(200), "got a ZIP archive; unpack it first"),
        (b"%PDF-1.7" + bytes(200), "got a PDF document; give the video itself"),
    ],
)
def test_what_is_no_media_is_named(tmp_path, content, said):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=said):
        probe(path)


@pytest.mark.parametrize(("ending", "codec"), [(".png", "png"), (".jpg", "mjpeg"), (".webp", "libwebp")])
def test_a_still_picture_is_named(tmp_path, ending, codec):
    picture = av.VideoFrame.from_ndarray(numbered_picture(0), format="rgb24")
    with av.open(str(tmp_path / f"x{ending}"), "w", format="image2") as output:
        stream = output.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, stream.codec.video_formats[0].name
        output.mux([*stream.encode(picture), *stream.encode()])
    with pytest.raises(MediaError, match="got a still picture"):
        probe(tmp_path / f"x{ending}")


def test_an_animated_webp_is_not_called_a_still_picture(tmp_path):
    head = "52494646 22000000 57454250 56503858 0a000000 12000000 3f01003f 0100414e 494d0600 0000ffff ffff0000"
    (tmp_path / "x.webp").write_bytes(bytes.fromhex(head))
    with pytest.raises(MediaError, match="got an animated WebP picture; convert it to a video first"):
        probe(tmp_path / "x.webp")


@pytest.mark.parametrize("n_bytes", [12, 16, 20])
def test_a_webp_that_ends_within_its_header_is_refused(tmp_path, n_bytes):
    (tmp_path / "x.webp").write_bytes(b"RIFF\x22\0\0\0WEBPVP8X\x0a\0\0\0"[:n_bytes])
    with pytest.raises(MediaError):
        probe(tmp_path / "x.webp")


def test_an_encrypted_file_is_named(tmp_path):
    """Not as one without a face: no option would help."""
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    plain, _ = write_frames_at(tmp_path / "plain.mp4", 25, 1.0)
    path = tmp_path / "encrypted.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w", format="mp4", options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    with pytest.raises(MediaError, match="got an encrypted MP4 file; decrypt it first"):
        probe(path)
