"""Interlaced frames: one picture each, of one time, at the time of the frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from clips import numbered_picture, read_number
from fakespan.media.decode import read_both, read_pictures

INTERLACED = {"flags": "+ildct+ilme"}  # the lower field first


def write_frames(path: Path, frames: Sequence[np.ndarray], options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg2video", rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())
    return path


def code(k: int) -> int:
    """Gray's code: from each number to the next one bar changes, as things that move change a part of a picture."""
    return k ^ k >> 1


def woven(times: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Frames whose odd lines show one picture and whose even lines the next."""
    frames = []
    for first, second in zip(times[::2], times[1::2], strict=True):
        frame = first.copy()
        frame[::2] = second[::2]
        frames.append(frame)
    return frames


@pytest.mark.parametrize("fps", [25.0, 12.5])
def test_each_frame_gives_its_first_field_at_its_own_time(tmp_path, fps):
    """Numbers of 20 frames whose fields have 0 and 1, 2 and 3, ...; none is lost, at the end neither."""
    numbers = [numbered_picture(code(k), 160, 64) for k in range(40)]
    path = write_frames(tmp_path / "clip.ts", woven(numbers), INTERLACED)
    step = round(25 / fps)
    assert [read_number(picture.rgb()) for picture in read_pictures(path, fps)] == [
        code(2 * k) for k in range(0, 20, step)
    ]
    if fps == 25:
        shown, _ = read_both(path, lambda pictures: [read_number(picture.rgb()) for picture in pictures])
        assert shown == [code(2 * k) for k in range(20)]


def test_what_moves_has_no_comb_and_what_stands_still_keeps_its_lines(tmp_path):
    """A bar that moves over a pattern of fine lines: only where it is are lines made anew."""
    times = [_scene(left) for left in range(16, 64)]
    frames = woven(times)
    pictures = [picture.rgb() for picture in read_pictures(write_frames(tmp_path / "clip.ts", frames, INTERLACED))]
    for picture, wanted, torn in zip(pictures[4:-4], times[::2][4:-4], frames[4:-4], strict=True):
        assert np.abs(picture.astype(int) - wanted).mean() < 3
        assert _comb(picture[24:72, :96]) < 0.2 * _comb(torn[24:72, :96])
        assert _comb(picture[:, 104:116]) > 0.8 * _comb(wanted[:, 104:116])


def test_one_instant_marked_as_two_fields_stays_as_it_is(tmp_path):
    scenes = [_scene(left) for left in range(16, 64)]
    path = write_frames(tmp_path / "clip.ts", scenes, INTERLACED)
    with av.open(str(path)) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    shown = [picture.source.frame.to_ndarray() for picture in read_pictures(path)]
    assert len(shown) == len(stored)
    assert all(np.array_equal(one, other) for one, other in zip(shown[8:], stored[8:], strict=True))


def test_frames_of_another_size_follow(tmp_path):
    """As where two recordings are joined: no picture is lost at the joint."""
    for name, width in (("one", 160), ("other", 320)):
        numbers = [numbered_picture(code(k), width, 64) for k in range(24)]
        write_frames(tmp_path / f"{name}.ts", woven(numbers), INTERLACED)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "one.ts").read_bytes() + (tmp_path / "other.ts").read_bytes())
    shown = [(picture.width, read_number(picture.rgb())) for picture in read_pictures(joined)]
    assert [width for width, _ in shown] == 12 * [160] + 12 * [320]
    for first in (0, 12):  # what comes after the last frame of a size is not known to its fields
        assert [number for _, number in shown[first : first + 11]] == [code(2 * k) for k in range(11)]


def _scene(left: int) -> np.ndarray:
    """Grey with a bright bar of 12 pixels at `left`, and fine lines on the right."""
    scene = np.full((96, 128, 3), 90, np.uint8)
    scene[16:80, left : left + 12] = 200
    scene[20:76:4, 100:120] = 130
    return scene


def _comb(picture: np.ndarray) -> float:
    """How much neighbouring lines differ beyond what lines of one field do."""
    lines = picture.mean(axis=2)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())
