"""Forged faces: only the masked region changes, and each look leaves the trace that it names."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from skimage import data

from fakespan.forge.lips import LipsLook, draw_look, forge_faces

SIDE = 112
PLAIN = LipsLook()


def faces(n: int = 5, gain: float = 1.0, offset: tuple[float, float, float] = (0, 0, 0), mirror: bool = False):
    """A public-domain portrait, moved a little from frame to frame."""
    portrait = data.astronaut()[20:190, 140:310]
    still = cv2.resize(portrait[:, ::-1] if mirror else portrait, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tinted = np.clip(gain * still.astype(np.float32) + offset, 0, 255).astype(np.uint8)
    return np.stack([np.roll(tinted, k, axis=1) for k in range(n)])


def inside(look: LipsLook, grow: float = 1.0) -> np.ndarray:
    """Pixels (S, S) whose place lies in the ellipse, made larger by `grow`; a slow twin of the mask."""
    found = np.zeros((SIDE, SIDE), bool)
    for row in range(SIDE):
        for column in range(SIDE):
            x = (column / SIDE - look.centre[0]) / (grow * look.radii[0])
            y = (row / SIDE - look.centre[1]) / (grow * look.radii[1])
            found[row, column] = x * x + y * y < 1
    return found


def sharpness(images: np.ndarray, where: np.ndarray) -> float:
    return float(np.mean([cv2.Laplacian(image[:, :, 1], cv2.CV_64F)[where].var() for image in images]))


@pytest.mark.parametrize("has_donor", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_outside_the_mask_nothing_changes_and_inside_every_frame_does(seed, has_donor):
    rng = np.random.default_rng(seed)
    original = faces()
    original.flags.writeable = False
    donor = faces(mirror=True) if has_donor else None
    look = draw_look(rng, has_donor)
    forged = forge_faces(original, donor, look, rng)
    assert (forged.shape, forged.dtype) == (original.shape, np.uint8)
    far = ~inside(look, 1 + look.feather / min(look.radii) + 0.05)
    np.testing.assert_array_equal(forged[:, far], original[:, far])
    near = inside(look, 0.8)
    for before, after in zip(original, forged, strict=True):
        assert (before[near] != after[near]).any(axis=1).mean() > 0.25


def test_a_mouth_is_smaller_than_a_face_and_lies_lower():
    looks = [draw_look(np.random.default_rng(seed), has_donor=True) for seed in range(60)]
    mouths, whole = ([x for x in looks if x.region == r] for r in ("mouth", "face"))
    assert len(mouths) > len(whole) > 5
    assert max(x.radii[0] for x in mouths) < min(x.radii[0] for x in whole)
    assert np.mean([x.centre[1] for x in mouths]) > np.mean([x.centre[1] for x in whole])


def test_an_empty_look_without_a_donor_changes_nothing():
    np.testing.assert_array_equal(forge_faces(faces(), None, PLAIN, np.random.default_rng(0)), faces())


def test_a_donors_mouth_is_shown_frame_by_frame():
    donor = faces(mirror=True)
    flat = dataclasses.replace(PLAIN, feather=1e-6)
    forged = forge_faces(faces(), donor, flat, np.random.default_rng(0))
    near = inside(PLAIN, 0.9)
    for shown, lent in zip(forged, donor, strict=True):
        a, b = (image[near].astype(float) - image[near].mean(axis=0) for image in (shown, lent))
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99


def test_a_generator_of_low_resolution_loses_sharpness():
    near = inside(PLAIN, 0.8)
    levels = [
        sharpness(forge_faces(faces(), None, dataclasses.replace(PLAIN, shrink=s), np.random.default_rng(0)), near)
        for s in (1.0, 1.8, 3.5)
    ]
    assert levels[0] > 1.3 * levels[1] > 1.3 * 1.3 * levels[2]


def test_noise_adds_grain_and_colour_a_tint():
    near = inside(PLAIN, 0.8)
    grainy = forge_faces(faces(), None, dataclasses.replace(PLAIN, noise=6.0), np.random.default_rng(0))
    assert (grainy[:, near].astype(float) - faces()[:, near]).std() == pytest.approx(6, abs=1)
    tinted = forge_faces(faces(), None, dataclasses.replace(PLAIN, colour=(9.0, 0.0, -5.0)), np.random.default_rng(0))
    gap = (tinted[:, near].astype(float) - faces()[:, near]).mean(axis=(0, 1))
    np.testing.assert_allclose(gap, (9, 0, -5), atol=0.6)


def test_the_donors_colour_is_matched_to_the_originals():
    donor = faces(gain=0.8, offset=(30, -10, 15))
    near = inside(PLAIN, 0.9)
    forged = forge_faces(faces(), donor, PLAIN, np.random.default_rng(0))
    before = np.abs(donor[:, near].mean(axis=(0, 1)) - faces()[:, near].mean(axis=(0, 1)))
    after = np.abs(forged[:, near].mean(axis=(0, 1)) - faces()[:, near].mean(axis=(0, 1)))
    assert before.max() > 5
    assert after.max() < 2.5


def test_a_shift_moves_the_region():
    look = dataclasses.replace(PLAIN, shift=(4 / SIDE, 0.0), feather=1e-6)
    forged = forge_faces(faces(1), None, look, np.random.default_rng(0))
    near = inside(PLAIN, 0.7)
    np.testing.assert_array_equal(forged[0][near], np.roll(faces(1)[0], 4, axis=1)[near])


def test_everything_follows_from_the_generator():
    def forge(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        look = dataclasses.replace(draw_look(rng, has_donor=False), noise=3.0)
        return forge_faces(faces(), None, look, rng)

    np.testing.assert_array_equal(forge(1), forge(1))
    assert not np.array_equal(forge(1), forge(2))
