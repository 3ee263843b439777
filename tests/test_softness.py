"""Faces out of focus: not judged by the picture, and said so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import fakespan
from fakespan.localizer.hearing import Hearing
from fakespan.localizer.judged import heard_part, seen_labels, seen_part
from fakespan.localizer.maps import ClipMaps
from fakespan.localizer.softness import sharpness, soft_frames
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.encode import write_video
from fakespan.models.picture import log_sharpness
from fakespan.types import FaceTrack

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"


def test_both_libraries_agree_on_sharpness() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3)).astype(np.uint8)
    faces[1:] = [cv2.GaussianBlur(face, (0, 0), sigma) for face, sigma in zip(faces[1:], (0.5, 1, 20), strict=True)]
    video = torch.from_numpy(faces).permute(3, 0, 1, 2)[None] / 255
    ours = [sharpness(face) for face in faces]
    np.testing.assert_allclose(ours, log_sharpness(video)[0].numpy(), atol=1e-3)
    assert sorted(ours, reverse=True) == ours


def test_frames_that_are_softer_than_those_around_them_are_soft() -> None:
    curve = np.random.default_rng(1).normal(2, 0.05, 200)
    curve[100:130] -= 0.6
    is_soft = soft_frames(list(curve), 100)
    assert is_soft[105:125].all()
    assert not is_soft[:95].any()
    assert not is_soft[135:].any()
    assert len(soft_frames([], 100)) == 0


def test_where_the_face_is_soft_the_sound_decides() -> None:
    full, low = np.full((3, 6), 0.9, np.float32), np.full((3, 6), 0.2, np.float32)
    is_soft = np.array([False, False, False, True, True, True])
    seen = seen_part(ClipMaps(25.0, full, visual=full, audio=low, visual_frames=full[0]), is_soft)
    assert seen.score[0].tolist() == pytest.approx([0.9] * 3 + [0.2] * 3)
    assert seen.visual is not None
    assert not seen.visual[0, 3:].any()
    alone = seen_part(ClipMaps(25.0, full, visual=full, visual_frames=full[0]), is_soft)
    assert not alone.score[0, 3:].any()


def test_a_span_of_which_half_can_be_judged_is_judged() -> None:
    full = np.full((4, 8), 0.9, np.float32)
    maps = ClipMaps(25.0, full, audio=full, audio_frames=full[0], first_frame=2)
    heard = heard_part(maps, Hearing(np.array([0] * 6 + [1] * 4)))  # of the eight frames the first four
    assert (heard.score[3] > 0).tolist() == [True] * 3 + [False] * 5  # [2, 6) has two of four
    assert (heard.score[2] > 0).tolist() == [True] * 3 + [False] * 5  # [3, 6) has one of three
    assert heard.audio_frames is not None
    assert (heard.audio_frames > 0).tolist() == [True] * 4 + [False] * 4


def test_sharpness_is_compared_with_as_much_before_as_after() -> None:
    is_soft = soft_frames([2.0] * 100 + [1.0] * 30 + [2.0] * 100, 230)
    begin, end = np.flatnonzero(is_soft)[[0, -1]]
    assert begin - 100 == 129 - end


def test_a_picture_is_judged_where_one_of_two_faces_is_sharp() -> None:
    tracks = [FaceTrack(k, 0.0, 0.4, (0.1, 0.1, 0.5, 0.5)) for k in range(2)]
    first, second = np.arange(10) < 6, np.arange(10) >= 4
    labels = seen_labels(10, tracks, {0: first, 1: second})
    assert np.flatnonzero(labels).tolist() == [4, 5]


def test_a_scan_names_the_stretch_that_is_out_of_focus(tmp_path: Path) -> None:
    pictures = [picture.rgb() for picture in read_pictures(SAMPLE)]
    blurred = [cv2.GaussianBlur(p, (0, 0), 4) if 50 <= k < 90 else p for k, p in enumerate(pictures)]
    write_video(tmp_path / "blurred.mp4", blurred, sound=read_sound(SAMPLE))
    scan = fakespan.scan(tmp_path / "blurred.mp4")
    (left_out,) = [part for part in scan.not_judged if part.reason == "face_too_soft"]
    assert left_out.modality == "visual"
    assert abs(left_out.start_s - 2.0) < 0.25
    assert abs(left_out.end_s - 3.6) < 0.25
    assert "face_too_soft" in scan.reasons
    assert not any(segment.start_s < 3.6 for segment in scan.segments)
    assert any(5.6 < segment.start_s < 6.0 for segment in scan.segments)
