"""Faces that are out of focus or stand still: not judged by the picture, and said so."""

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
from fakespan.localizer.seeing import Seeing, sharpness, soft_frames, still_frames
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.encode import write_video
from fakespan.models.picture import log_sharpness
from fakespan.types import FaceTrack

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample.mp4"


def test_both_libraries_agree_on_sharpness() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3)).astype(np.uint8)
    faces[1:] = [cv2.GaussianBlur(face, (0, 0), sigma) for face, sigma in zip(faces[1:], (0.5, 1, 20), strict=True)]
    video = torch.from_numpy(faces).permute(3, 0, 1, 2)[None] / 255
    ours = [sharpness(face.sum(2, dtype=np.int16)) for face in faces]
    np.testing.assert_allclose(ours, log_sharpness(video)[0].numpy(), atol=1e-3)
    assert sorted(ours, reverse=True) == ours


def test_frames_that_are_softer_than_those_around_them_are_soft() -> None:
    curve = np.random.default_rng(1).normal(2, 0.05, 200)
    curve[100:130] -= 0.6
    is_soft = soft_frames(curve.astype(np.float32), 100)
    assert is_soft[105:125].all()
    assert not is_soft[:95].any()
    assert not is_soft[135:].any()
    assert len(soft_frames(np.zeros(0, np.float32), 100)) == 0


def test_where_the_face_is_soft_the_sound_decides() -> None:
    full, low = np.full((3, 6), 0.9, np.float32), np.full((3, 6), 0.2, np.float32)
    labels = np.array([0, 0, 0, 1, 2, 1])
    seen = seen_part(ClipMaps(25.0, full, visual=full, audio=low, visual_frames=full[0]), labels)
    assert seen.score[0].tolist() == pytest.approx([0.9] * 3 + [0.2] * 3)
    assert seen.visual is not None
    assert not seen.visual[0, 3:].any()
    alone = seen_part(ClipMaps(25.0, full, visual=full, visual_frames=full[0]), labels)
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
    is_soft = soft_frames(np.repeat(np.float32([2, 1, 2]), [100, 30, 100]), 230)
    begin, end = np.flatnonzero(is_soft)[[0, -1]]
    assert begin - 100 == 129 - end


def test_a_picture_is_judged_where_one_of_two_faces_is_sharp() -> None:
    tracks = [FaceTrack(k, 0.0, 0.4, (0.1, 0.1, 0.5, 0.5)) for k in range(2)]
    first, second = (np.arange(10) < 6).astype(np.int64), 2 * (np.arange(10) >= 4)
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


@pytest.mark.parametrize("n_still", [9, 10, 40])
def test_frames_that_repeat_one_for_long_enough_are_still(n_still: int) -> None:
    changes = np.r_[np.inf, np.full(20, 2.0), np.full(n_still, 0.1), np.full(20, 2.0)].astype(np.float32)
    found = np.flatnonzero(still_frames(changes)).tolist()
    assert found == ([] if n_still < 10 else list(range(20, 21 + n_still)))  # with the one that is repeated


def test_few_pictures_a_second_are_no_standstill() -> None:
    seeing, rng = Seeing(), np.random.default_rng(0)
    for face in rng.integers(0, 256, (12, 96, 96, 3)).astype(np.uint8):
        for _ in range(5):  # as at five a second
            seeing.push(face)
    assert not seeing.labels(60).any()


def test_a_picture_that_freezes_is_not_judged_and_the_sound_is(tmp_path: Path) -> None:
    pictures = [picture.rgb() for picture in read_pictures(SAMPLE)]
    frozen = [pictures[50] if 50 <= k < 90 else picture for k, picture in enumerate(pictures)]
    write_video(tmp_path / "frozen.mp4", frozen, sound=read_sound(SAMPLE), crf=0, repeatable=True)  # or scores vary
    scan = fakespan.scan(tmp_path / "frozen.mp4")
    (left_out,) = [part for part in scan.not_judged if part.reason == "face_still"]
    assert left_out.modality == "visual"
    assert (left_out.start_s, left_out.end_s) == pytest.approx((2.0, 3.6), abs=0.09)
    assert any(5.6 < segment.start_s < 6.0 for segment in scan.segments)
    assert scan.judged_share.picture == pytest.approx(1 - 1.6 / 8.28, abs=0.02)


def test_a_photo_with_a_voice_is_judged_by_the_voice(tmp_path: Path) -> None:
    photo = next(iter(read_pictures(SAMPLE))).rgb()
    write_video(tmp_path / "photo.mp4", [photo] * 100, sound=read_sound(SAMPLE)[: 100 * 640])
    scan = fakespan.scan(tmp_path / "photo.mp4")
    assert scan.judged_share.picture == 0.0
    assert scan.judged_share.sound is not None
    assert scan.judged_share.sound > 0.3
