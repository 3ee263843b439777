"""Mouths in the bundled sample's face: laid where they belong, the rest untouched; frames between; lips by sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fakespan
from fakespan.errors import DataError
from fakespan.forge.mouth import Look, draw_look, find_landmarks, swap_mouth
from fakespan.forge.retime import retime
from fakespan.forge.visemes import choose_mouths
from fakespan.media.decode import read_pictures, read_sound
from fakespan.media.detect import FaceDetector
from fakespan.media.faces import FaceConfig, TrackEnd, follow_faces

SAMPLE = Path(fakespan.__file__).parent / "samples" / "sample_real.mp4"


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def talking():
    """Three seconds of the sample: faces (75, 224, 224, 3) and their sound."""
    events = follow_faces(read_pictures(SAMPLE), config=FaceConfig(face_size=224))
    faces = [e.face for e, _ in zip((e for e in events if not isinstance(e, TrackEnd)), range(75), strict=False)]
    return np.stack(faces), read_sound(SAMPLE)[: 75 * 640]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_landmarks_lie_on_a_face_and_keep_still(talking, detector):
    points = find_landmarks(talking[0][:20], detector)
    eyes, mouth = points[:, :2].mean(1), points[:, 3:].mean(1)
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (mouth[:, 1] - eyes[:, 1] > 30).all()
    assert np.abs(np.diff(points, axis=0)).max() < 3


def test_without_a_face_there_are_none(detector):
    with pytest.raises(DataError, match="expected a face"):
        find_landmarks(np.full((4, 224, 224, 3), 128, np.uint8), detector)


@pytest.mark.parametrize("region", ["mouth", "lower", "face"])
def test_the_region_shows_the_donor_and_the_rest_is_untouched(talking, detector, rng, region):
    own = talking[0][:6]
    points = find_landmarks(own, detector)[2]
    x, y = points[3:].mean(0).astype(int)
    donor = own.copy()
    donor[:, y - 5 : y + 5, x - 8 : x + 8] = (20, 230, 20)
    out = swap_mouth(own, np.roll(donor, (6, -9), axis=(1, 2)), Look(region=region), rng, detector)
    changed = np.abs(out[2].astype(int) - own[2]).sum(-1) > 0
    green = np.argwhere(out[2, ..., 1].astype(int) - out[2, ..., 0] > 80)
    np.testing.assert_allclose(green.mean(0), (y, x), atol=2.5)  # the donor's shift is undone
    assert changed[y, x - 10 : x + 10].any()
    assert not changed[:, :12].any()
    if region != "face":
        assert not changed[: int(points[:2, 1].mean())].any()


def test_a_donor_in_another_light_takes_the_face_s_colour(talking, detector, rng):
    own = talking[0][:6]
    tinted = np.clip(own + np.array([25, -10, 5]), 0, 255).astype(np.uint8)
    out = swap_mouth(own, tinted, Look(), rng, detector)
    assert np.abs(out.astype(int) - own).mean() < 1.0


def test_poisson_blending_keeps_the_rest_too(talking, detector, rng):
    own, donor = talking[0][:4], talking[0][30:34]
    out = swap_mouth(own, donor, Look(region="mouth", blend="poisson"), rng, detector)
    changed = (out != own).any(axis=(0, 3))
    assert 200 < changed.sum() < 0.2 * changed.size


def test_a_generator_s_traces_are_left_where_they_are_asked_for(talking, detector, rng):
    own = talking[0][:4]
    clean = swap_mouth(own, own, Look(), rng, detector)
    blurred = swap_mouth(own, own, Look(shrink=3.0), rng, detector)
    detail = [np.abs(np.diff(f[2].astype(int), axis=1))[100:180, 60:160].mean() for f in (own, clean, blurred)]
    assert detail[1] > 0.9 * detail[0]
    assert detail[2] < 0.9 * detail[0]


def test_drawn_looks_differ_and_may_be_free_of_traces(rng):
    looks = [draw_look(rng, is_generated=False) for _ in range(20)]
    assert {look.region for look in looks} == {"mouth", "lower", "face"}
    assert all(look.shrink == 1.0 and look.noise == 0.0 for look in looks)
    assert draw_look(rng).shrink > 1.0


def moving_square(n: int) -> np.ndarray:
    """A square that moves four pixels a frame over a texture that keeps still."""
    faces = np.tile(np.random.default_rng(1).integers(90, 110, (1, 64, 64, 3), np.uint8), (n, 1, 1, 1))
    for k in range(n):
        faces[k, 24:40, 4 + 4 * k : 20 + 4 * k] = 220
    return faces


def centre(face: np.ndarray) -> float:
    return float(np.nonzero(face[..., 0] > 180)[1].mean())


@pytest.mark.parametrize("n_wanted", [5, 8, 13])
def test_retimed_motion_is_even(n_wanted):
    faces = moving_square(8)
    out = retime(faces, n_wanted)
    wanted = np.linspace(centre(faces[0]), centre(faces[-1]), n_wanted)
    assert len(out) == n_wanted
    np.testing.assert_allclose([centre(f) for f in out], wanted, atol=1.0)
    np.testing.assert_array_equal(out[0], faces[0])
    np.testing.assert_array_equal(out[-1], faces[-1])


def test_nothing_is_retimed_to_its_own_length():
    faces = moving_square(4)
    assert retime(faces, 4) is faces


def test_sound_that_was_filmed_finds_its_own_mouths(talking):
    faces, sound = talking
    chosen = choose_mouths(sound[20 * 640 : 40 * 640], [(faces, sound)])
    # its own frames are the nearest, but level and mean are taken from the stretch alone
    right = sum((a == b).all() for a, b in zip(chosen, faces[20:40], strict=True))
    assert right >= 12


def test_frames_that_are_forbidden_are_not_used(talking):
    faces, sound = talking
    chosen = choose_mouths(sound[20 * 640 : 40 * 640], [(faces, sound)], forbidden=(18, 42))
    assert not any((a == b).all() for a in chosen for b in faces[18:42])
    assert len(chosen) == 20
