"""The longest face track of a file, and the sound of the same time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from clips import write_clip
from fakespan.config import SAMPLE_RATE
from fakespan.errors import MediaError
from fakespan.forge.studio.track import read_track
from fakespan.media.decode import read_sound

pytestmark = pytest.mark.usefixtures("one_thread")

N_EMPTY, N_FACE = 6, 30


def write(path: Path, *, silent: bool = False, faceless: bool = False) -> Path:
    """A portrait that comes after some empty frames."""
    empty = np.full((256, 256, 3), 90, np.uint8)
    portrait = empty if faceless else data.astronaut()[0:256, 96:352]
    pictures = [empty] * N_EMPTY + [portrait] * N_FACE
    sound = (0.2 * np.random.default_rng(0).standard_normal((1, len(pictures) * 640))).astype(np.float32)
    times_s = np.arange(len(pictures)) / 25
    return write_clip(path, pictures, times_s, sound=None if silent else sound, sound_rate=SAMPLE_RATE)


def test_a_track_begins_where_the_face_does_and_has_the_sound_of_that_time(tmp_path):
    path = write(tmp_path / "a.mp4")
    track = read_track(path)
    assert track is not None
    assert track.faces.shape[1:] == (224, 224, 3)
    assert N_EMPTY <= track.first_frame < N_EMPTY + 5
    assert track.first_frame + len(track.faces) == N_EMPTY + N_FACE
    first, last = track.first_frame * 640, (N_EMPTY + N_FACE) * 640
    np.testing.assert_array_equal(track.sound, read_sound(path)[first:last])


@pytest.mark.parametrize("lack", ["silent", "faceless"])
def test_without_a_face_or_sound_there_is_no_track(tmp_path, lack):
    assert read_track(write(tmp_path / "a.mp4", **{lack: True})) is None


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        read_track(path)
