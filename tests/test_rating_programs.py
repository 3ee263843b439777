"""The programs that rate fold models: what a fold leaves out, and the figures of a row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fakespan.config import PostConfig
from fakespan.models import build_model
from fakespan.practice.sound import SoundRecipe
from fakespan.practice.sound_bank import SoundBank
from programs import load_program
from sound_banks import TINY_EXPERTS, recording, speech_like, twins

folds: Any = load_program("examples/pairs", "folds")
rating: Any = load_program("examples/pairs", "rating")
rate_sounds: Any = load_program("examples/pairs", "rate_sounds")
rate_words: Any = load_program("examples/pairs", "rate_words")

SPLITS = ("train", "validation", "train")


@pytest.mark.parametrize(
    ("systems", "fold"),
    [
        (("a/b:melgan", "c/d:MelGAN_v2", "e/f:melgan (22k)", "zoo:subband-19k"), 0),
        (("a/b:hifigan_v1", "a/c:HiFiGAN-large", "zoo:gpu-bigvgan-large"), 1),
        (("a/b:pwg", "a/b:svcodec 8x", "zoo:spectral-codec-1cb"), 2),
    ],
)
def test_versions_of_a_system_and_its_own_kind_are_left_out_by_one_fold(systems: tuple[str, ...], fold: int) -> None:
    for system in systems:
        assert [folds.is_system_left_out(system, k) for k in range(folds.N_FOLDS)] == [k == fold for k in range(3)]


def test_a_speaker_is_left_out_by_one_fold_and_a_corpus_for_all_by_none() -> None:
    for k in range(20):
        assert sum(folds.is_speaker_left_out(f"speaker {k}", fold) for fold in range(folds.N_FOLDS)) == 1
    assert not any(folds.is_speaker_left_out("fillets-ng-data-cs 3", fold) for fold in range(folds.N_FOLDS))


def rows(right: bool) -> str:
    """Twelve clips of four people: each forged span gets the best score of its map, or another span does."""
    clips = []
    for k in range(12):
        found = np.full((40, 100), 0.01, np.float32)
        begin, n = 20 + 3 * k, 8 + k
        found[n - 1, begin if right else (begin + 50) % 60] = 0.5 + 0.01 * k
        clips.append(rating.rated(found, 100, [(begin, begin + n)], f"person {k % 4}", PostConfig()))
    return str(
        rating.row(
            "a row", [*clips, rating.rated(np.full((40, 100), 0.01, np.float32), 100, (), "other", PostConfig())]
        )
    )


def test_a_row_tells_right_from_wrong() -> None:
    assert "12 spans in 13 clips of 5 people, AP@0.5 92" in rows(right=True)  # the first of n hits adds no area
    assert "clips 100" in rows(right=True)
    told = re.search(r"AP@0.5 (\d+) \((\d+) to (\d+)\)", rows(right=False))
    assert told is not None
    assert max(map(int, told.groups())) < 5


def test_spans_found_count_from_the_threshold_on() -> None:
    found = np.full((40, 100), 0.01, np.float32)
    found[9, 30] = 0.6
    clip = rating.rated(found, 100, [(30, 40)], "a", PostConfig())
    assert [rating.n_found([clip], threshold) for threshold in (0.5, 0.7)] == [1, 0]


def test_sound_clips_are_rated_with_their_truth() -> None:
    network: Any = build_model(TINY_EXPERTS)
    recipe = SoundRecipe(clean=True, **rate_sounds.SHARES)
    clips = rate_sounds.rate(network.sound.eval(), SoundBank.of(twins()), recipe, 12, PostConfig())
    assert {clip.person for clip in clips} <= {"s0", "s1", "s2"}
    forged = [clip for clip in clips if len(clip.spans_s)]
    assert 0 < len(forged) < 12
    for clip in forged:
        assert (clip.spans_s[:, 1] <= clip.n_frames / 25).all()
        assert len(clip.proposals) > 0
        assert (clip.proposals[:, 0] > 0).all()


def test_words_are_rated_by_voice_among_speakers_of_no_training() -> None:
    genuine = [recording(f"real{k}", "real", speech_like(80_000, k), split=split) for k, split in enumerate(SPLITS)]
    words = [
        recording(f"{s}{k}", "voice", speech_like(8_000, k), system=s)
        for s in ("voice:b", "voice:a", "published:tts")
        for k in (1, 2)
    ]
    banks = rate_words.words_of([*genuine, *words, *twins()])
    assert list(banks) == ["voice:a", "voice:b"]
    for name, bank in banks.items():
        assert [r.name for r in bank.reals] == ["real1"]
        assert [r.name for r in bank.voices] == [f"{name}1", f"{name}2"]
        assert not bank.twins
