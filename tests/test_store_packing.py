"""What a prepared store does to faces and sound: bounded errors, and nothing else gets through."""

from __future__ import annotations

import io
import wave

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import moving_disc
from fakespan.data.packing import MAX_ERROR, pack_faces, pack_sound, unpack_faces, unpack_sound


def portrait_in_motion(n: int) -> np.ndarray:
    """(n, 96, 96, 3): a photographed face that turns and grows a little, in flickering light, with grain."""
    from skimage import data

    rng = np.random.default_rng(0)
    photo = data.astronaut()[20:230, 120:330]
    frames = []
    for k in range(n):
        turn = cv2.getRotationMatrix2D((105, 105), 6 * np.sin(k / 7), 1 + 0.05 * np.sin(k / 11))
        turned = cv2.warpAffine(photo, turn, (210, 210), borderMode=cv2.BORDER_REFLECT)
        small = cv2.resize(turned, (96, 96), interpolation=cv2.INTER_AREA)
        lit = small * (1 + 0.05 * np.sin(k / 3)) + rng.normal(0, 1.5, small.shape)
        frames.append(np.clip(lit, 0, 255).astype(np.uint8))
    return np.stack(frames)


def errors(faces: np.ndarray) -> np.ndarray:
    back = unpack_faces(pack_faces(faces), len(faces))
    assert back.shape == faces.shape
    assert back.dtype == np.uint8
    return np.abs(back.astype(int) - faces)


def test_errors_on_a_face_are_small_and_do_not_grow_with_time():
    found = errors(portrait_in_motion(100))
    assert found.max() <= MAX_ERROR
    assert found.mean() < 1.6
    assert found[90:].mean() < found[:10].mean() + 0.5  # a frame is made from all before it


def test_a_face_is_packed_small():
    faces = portrait_in_motion(50)
    assert (
        len(pack_faces(faces, "small")) < faces.nbytes / 2.5
    )  # grain everywhere, the worst case; filmed faces give 5 to 9


def test_what_does_not_move_costs_almost_nothing():
    still = np.repeat(portrait_in_motion(1), 200, axis=0)
    assert len(pack_faces(still, "small")) < len(pack_faces(still[:1], "small")) + 2000


@given(st.integers(0, 2**32 - 1), st.integers(1, 17), st.sampled_from([1, 4, 32, 128]))
@settings(max_examples=30, deadline=None)
def test_no_value_is_ever_further_off_than_stated(seed, n, amplitude):
    """Also for noise of any size, at the ends of the range, and across the groups that are worked on together."""
    rng = np.random.default_rng(seed)
    base = rng.choice([0, 255, 128], (1, 96, 96, 3))
    faces = np.clip(base + rng.integers(-amplitude, amplitude + 1, (n, 96, 96, 3)), 0, 255).astype(np.uint8)
    assert errors(faces).max() <= MAX_ERROR


def test_every_colour_is_within_the_bound():
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    padded = np.pad(colours, ((0, -len(colours) % 9216), (0, 0)))
    assert errors(padded.reshape(-1, 96, 96, 3)).max() <= MAX_ERROR


@pytest.mark.parametrize(("pack", "codec"), [("fast", "lz4"), ("small", "zstd")])
def test_unpacking_follows_the_description(pack, codec):
    """docs/store.md, step by step."""
    import pyarrow

    faces = moving_disc(9, 96, np.random.default_rng(1))
    packed = pack_faces(faces, pack)
    raw = pyarrow.Codec(codec).decompress(packed, 9 * 27648)
    change = np.frombuffer(raw, np.uint8).reshape(3, 9, 96, 96)
    planes = np.cumsum(change.astype(int), axis=1) % 256
    y, cr, cb = planes.astype(float)
    red, blue = y + 1.403 * (cr - 128), y + 1.773 * (cb - 128)
    green = y - 0.714 * (cr - 128) - 0.344 * (cb - 128)
    slow = np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255)
    assert np.abs(unpack_faces(packed, 9) - slow).max() <= 1


@pytest.mark.parametrize("pack", ["fast", "small"])
@pytest.mark.parametrize(
    ("n_frames", "reason"),
    [
        (0, "^0 frames"),
        (-1, "^-1 frames"),
        (3, "82945 bytes, not 82944|too small"),
        (5, "110592 bytes, not 138240|Corrupt"),
        (10**9, "^1000000000 frames"),
    ],
)
def test_a_wrong_number_of_frames_is_an_error(n_frames, reason, pack):
    packed = pack_faces(np.zeros((4, 96, 96, 3), np.uint8), pack)
    with pytest.raises(ValueError, match=reason):
        unpack_faces(packed, n_frames)


@pytest.mark.parametrize("pack", ["fast", "small"])
def test_damaged_bytes_are_an_error(pack):
    packed = pack_faces(portrait_in_motion(3), pack)
    for bad in (b"", b"junk", packed[100:]):
        with pytest.raises(ValueError, match="neither LZ4 nor Zstandard"):
            unpack_faces(bad, 3)
    with pytest.raises(ValueError, match=r"Truncated|size is incorrect"):
        unpack_faces(packed[:-5], 3)


def test_sound_is_a_wav_file_of_sixteen_bits():
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, 6400).astype(np.float32)
    packed = pack_sound(sound)
    with wave.open(io.BytesIO(packed)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()) == (16000, 1, 2, 6400)
    back = unpack_sound(packed, 6400)
    assert back.dtype == np.float32
    assert np.abs(back - sound).max() <= 1 / 32768
    assert np.abs(back - sound)[sound < 0.9999].max() <= 0.5 / 32768 + 1e-7
    with pytest.raises(ValueError, match="bytes of sound"):
        unpack_sound(packed, 6401)
