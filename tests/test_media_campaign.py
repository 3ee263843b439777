"""The short forms of the campaigns on media, and what they build on; see tests/campaigns/media.py and hour.py."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path

import pytest

from campaigns import hour
from campaigns.structure import PARTS
from clips import tone, write_frames_at
from fakespan.localizer.hearing import hear
from fakespan.media.decode import read_sound

PROGRAM = Path(__file__).parent / "campaigns" / "media.py"


@pytest.mark.slow
def test_a_damaged_file_gives_a_result_or_one_typed_line() -> None:
    command = [sys.executable, str(PROGRAM), "--kind", "x264", "--files", "1", "--seed", "3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (ran.returncode, ran.stdout.count(" 0 else;")) == (0, 4), ran.stdout + ran.stderr


def test_long_sound_is_held_in_memory_once(tmp_path: Path) -> None:
    path, n = tmp_path / "long.wav", 200 * 16_000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * n))
    tracemalloc.start()
    try:
        sound = read_sound(path)
        after_reading = tracemalloc.get_traced_memory()[1]
        labels = hear(sound).labels
        after_hearing = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(sound), len(labels)) == (n, 200 * 25)
    assert after_reading < 1.5 * sound.nbytes  # blocks put together at the end: twice
    assert after_hearing < 3 * sound.nbytes  # with copies of the whole sound: eight times


@pytest.mark.parametrize(
    ("suffix", "marks"),
    [
        (".mp4", {b"ftyp", b"moov", b"mdat", b"stco", b"stsz"}),
        (".mkv", {b"\x1a\x45\xdf\xa3", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\xa3"}),
        (".avi", {b"RIFF", b"strh", b"00dc", b"01wb", b"idx1"}),
        (".ts", {b"\x47"}),
        (".flv", {b"\x08", b"\x09", b"\x12"}),
    ],
)
def test_the_parts_of_a_container_are_where_its_marks_are(tmp_path: Path, suffix: str, marks: set[bytes]) -> None:
    audio = {"audio_codec": "aac"} if suffix != ".avi" else {"audio_codec": "pcm_s16le", "video_codec": "mpeg4"}
    path, _ = write_frames_at(tmp_path / f"clip{suffix}", 25, 0.4, sound=tone(0.4), **audio)
    content = path.read_bytes()
    parts = list(PARTS[suffix](content))
    begins = [content[part.begin + 4 : part.begin + 8] if suffix == ".mp4" else content[part.begin :] for part in parts]
    assert all(0 <= part.begin < part.payload <= part.end <= len(content) for part in parts)
    assert all(part.begin <= part.field <= part.payload - part.field_bytes for part in parts)
    assert marks <= {mark for mark in marks for begin in begins if begin.startswith(mark)}


def test_segments_that_move_or_go_missing_in_the_hour_are_named() -> None:
    def segment(start_s: float) -> dict[str, object]:
        return {"start_s": start_s, "end_s": start_s + 1, "score": 0.9, "modality": "audio"}

    piece = {"segments": [segment(5.0), segment(70.0)]}
    same = {"segments": [segment(s) for s in (5.0, 70.0, 605.04, 670.0)]}
    other = {"segments": [segment(s) for s in (5.0, 70.0, 605.0, 671.0)]}
    assert hour.differences(same, piece, 2) == []
    assert [line.split(" {")[0] for line in hour.differences(other, piece, 2)] == ["piece 2 lacks", "piece 2 also has"]
