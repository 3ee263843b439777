"""The shipped model on the bundled clip: what `make demo` promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fakespan
from fakespan.media.decode import read_sound
from fakespan.types import Scan
from programs import load_program

SAMPLES = Path(fakespan.__file__).parent / "samples"


@pytest.fixture(scope="module")
def localizer() -> fakespan.Localizer:
    return fakespan.load_model("small", device="cpu")


@pytest.fixture(scope="module")
def found(localizer: fakespan.Localizer) -> Scan:
    return localizer.scan(SAMPLES / "sample.mp4")


def test_the_planted_words_are_found_where_they_were_planted(found: Scan) -> None:
    truth = json.loads((SAMPLES / "sample.json").read_text(encoding="utf-8"))
    assert found.is_fake
    assert len(found.segments) == len(truth["fake_periods"])
    for segment, (start_s, end_s) in zip(found.segments, truth["fake_periods"], strict=True):
        assert abs(segment.start_s - start_s) <= 0.2
        assert abs(segment.end_s - end_s) <= 0.2
        assert segment.modality == "visual"


def test_music_is_neither_forged_nor_genuine(localizer: fakespan.Localizer) -> None:
    result = localizer.scan(SAMPLES / "music.wav")
    assert (result.outcome, result.segments) == ("inconclusive", ())
    assert "music_or_noise" in result.reasons
    assert result.judged_share.either == 0


def test_the_bundled_music_is_what_its_program_makes() -> None:
    made = load_program("examples", "make_music").make_music(6.0)
    np.testing.assert_allclose(read_sound(SAMPLES / "music.wav"), made, atol=1e-4)


def test_the_untouched_take_is_not_accused(localizer: fakespan.Localizer) -> None:
    result = localizer.scan(SAMPLES / "sample_real.mp4")
    assert not result.is_fake
    assert result.segments == ()


def test_the_face_is_followed_through_the_whole_clip(found: Scan) -> None:
    (track,) = found.tracks
    assert track.start_s == 0
    assert track.end_s == pytest.approx(found.duration_s, abs=0.1)
    assert found.notes == ()


def test_the_sound_alone_and_the_picture_alone_are_scanned_too(localizer: fakespan.Localizer) -> None:
    heard = localizer.scan(SAMPLES / "sample.mp4", faces="none")
    assert {s.modality for s in heard.segments} <= {"audio"}
    assert any("sound alone" in note for note in heard.notes)


def test_the_shipped_file_is_small_and_says_where_it_comes_from() -> None:
    path = SAMPLES.parent / "weights" / "small.safetensors"
    assert path.stat().st_size < 8e6
    localizer = fakespan.load_model("small")
    assert "/" not in localizer.notes["data"]  # the set, but not where it lay
    assert sum(p.numel() for p in localizer.network.parameters()) < 3e6
