"""Practice sound: forged where it says so and nowhere else, and honest where it says nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.arrays import Float32Array
from fakespan.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from fakespan.errors import DataError
from fakespan.practice.edits import EDITS, at_rate, benign_edit, channel, cross_fade, matched
from fakespan.practice.examples import SoundExamples
from fakespan.practice.sound import SoundPractice, SoundRecipe
from fakespan.practice.sound_bank import SoundBank, load_sound_bank
from sound_banks import recording, speech_like, twins, write_bank

MAX_FADE = 0.06 * SAMPLE_RATE  # half of a cross-fade lies outside its span
CLEAN = SoundRecipe(clean=True, forged=1.0, voices=0.0, two_spans=0.0)


def seeded(k: int) -> np.random.Generator:
    return np.random.default_rng(k)


@pytest.mark.parametrize("seed", range(12))
def test_a_twin_is_heard_in_the_span_and_nowhere_else(seed: int) -> None:
    bank = SoundBank.of(twins())
    clip = SoundPractice(bank, CLEAN).draw(100, seeded(seed))
    (begin, end), *more = (tuple(SAMPLES_PER_FRAME * t for t in span) for span in clip.spans)
    assert not more
    real = next(r for r in bank.reals if r.speaker == clip.speaker).sound
    first = next(k for k in range(len(real)) if np.allclose(real[k : k + 200], clip.sound[:200], atol=1e-4)) \
        if begin > MAX_FADE + 200 else None  # fmt: skip
    if first is None:
        return  # the clip begins with the span: another seed tells more
    genuine = real[first : first + len(clip.sound)]
    is_changed = np.abs(clip.sound - genuine) > 1e-3
    outside = np.ones(len(genuine), bool)
    outside[int(max(0, begin - MAX_FADE)) : int(end + MAX_FADE)] = False
    assert not is_changed[outside].any()
    inside = is_changed[int(begin + MAX_FADE) : int(end - MAX_FADE)]
    assert not len(inside) or inside.mean() > 0.9


def test_shares_of_forged_clips_and_families_are_those_asked_for() -> None:
    practice = SoundPractice(SoundBank.of(twins()), dataclasses.replace(CLEAN, forged=0.5))
    methods = [practice.draw(60, seeded(k)).method for k in range(200)]
    assert 0.4 < np.mean([bool(m) for m in methods]) < 0.6
    made = [m for m in methods if m]
    assert 0.5 < np.mean([m == "gan/hifi" for m in made]) < 0.85  # twice as often as the codec


def test_shots_of_others_leave_the_forged_span_where_it_is() -> None:
    recipe = dataclasses.replace(CLEAN, clean=False, speed=0.0, edits=0.0, voices=0.0)
    practice = SoundPractice(SoundBank.of(twins()), recipe)
    among = SoundPractice(SoundBank.of(twins()), dataclasses.replace(recipe, shots=1.0, max_shot_s=1.0))
    for k in range(20):
        alone, cut = practice.draw(100, seeded(k)), among.draw(100, seeded(k))
        assert len(cut.sound) == len(alone.sound)
        assert cut.spans == alone.spans
        assert cut.method == alone.method


def test_shots_of_others_replace_what_is_around_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakespan.practice.sound.channel", lambda sound, rng: sound)
    levels = {"a": 0.1, "b": -0.1}
    bank = SoundBank.of(
        recording(name, "real", np.full(80_000, levels[name], np.float32), speaker=name) for name in "ab"
    )
    practice = SoundPractice(bank, dataclasses.replace(CLEAN, min_shot_s=0.3, max_shot_s=0.6))
    sound, (start, end) = np.full(64_000, 0.5, np.float32), (30_000, 34_000)
    shown = [practice._among_shots(sound, [(start, end)], seeded(k)) for k in range(10)]
    for cut in shown:
        assert len(cut) == len(sound)
        assert (cut[start:end] == 0.5).all()
        assert np.abs(cut[[0, -1]]).max() < 0.11  # others
    assert any((cut < 0).any() and ((cut > 0) & (cut < 0.2)).any() for cut in shown)


def test_words_of_another_voice_replace_a_span_of_their_length() -> None:
    bank = SoundBank.of([*twins(1), recording("word", "voice", speech_like(6400, 9), system="piper", family="vits")])
    practice = SoundPractice(bank, dataclasses.replace(CLEAN, voices=1.0))
    for k in range(10):
        clip = practice.draw(80, seeded(k))
        assert clip.method == "voice/piper"
        assert all(0.1 <= (b - a) / 25 <= 0.4 / 0.7 + 0.05 for a, b in clip.spans)  # 0.4 s, at most 30 % slower


def test_honest_edits_leave_forged_spans_alone_and_are_no_truth() -> None:
    recipe = SoundRecipe(forged=0.0, edits=1.0)
    practice = SoundPractice(SoundBank.of(twins()), recipe)
    assert all(practice.draw(60, seeded(k)).spans == () for k in range(20))


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_changes_its_span_and_its_seams_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakespan.practice.edits.EDITS", {name: EDITS[name]})
    sound, span = speech_like(3 * SAMPLE_RATE, 1), (16_000, 26_000)
    edited, said = benign_edit(sound, span, None, seeded(3))
    assert said == name
    assert edited.shape == sound.shape
    assert np.isfinite(edited).all()
    outside = np.r_[0 : span[0] - int(MAX_FADE) - 1, span[1] + int(MAX_FADE) + 1 : len(sound)]
    np.testing.assert_array_equal(edited[outside], sound[outside])
    assert (name == "none") == np.allclose(edited, sound, atol=1e-6)


@given(st.integers(0, 10_000), st.integers(200, 6000), st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_a_cross_fade_never_leaves_the_range_of_both_sounds(seed: int, start: int, length: int) -> None:
    n = 8200
    old, new = np.zeros(n, np.float32), np.ones(n, np.float32)
    mixed = cross_fade(old, (start, min(n, start + length)), new, seeded(seed))
    assert mixed.min() >= 0
    assert mixed.max() <= 1
    assert abs(float(mixed.sum()) - (min(n, start + length) - start)) <= 0.12 * SAMPLE_RATE


def test_another_rate_moves_a_tone() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16_000) / SAMPLE_RATE).astype(np.float32)
    faster = at_rate(tone, 12_800)
    heard_hz = np.abs(np.fft.rfft(faster)).argmax() * SAMPLE_RATE / len(faster)
    assert heard_hz == pytest.approx(625, abs=2)
    assert np.std(faster) == pytest.approx(np.std(tone), rel=0.02)


def test_matched_sound_has_the_loudness_and_the_tone_of_the_other() -> None:
    dull = speech_like(16_000, 2)
    dull = np.convolve(dull, np.ones(8) / 8, mode="same").astype(np.float32) * 0.4
    bright = speech_like(16_000, 3)
    fitted = matched(bright, dull, tone=True)
    assert np.std(fitted) == pytest.approx(np.std(dull), rel=0.05)

    def treble(sound: Float32Array) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float(power[len(power) // 2 :].sum() / power.sum())

    gap = treble(bright) - treble(dull)
    assert abs(treble(fitted) - treble(dull)) < 0.5 * gap


def test_a_channel_keeps_length_and_range() -> None:
    for seed in range(30):
        sound = channel(speech_like(20_000, seed), seeded(seed))
        assert sound.shape == (20_000,)
        assert np.abs(sound).max() <= 1


def test_examples_are_the_same_every_time_and_of_one_length_in_a_group() -> None:
    recipe = SoundRecipe(min_frames=50, max_frames=90)
    examples = SoundExamples(SoundPractice(SoundBank.of(twins()), recipe), seed=3, n_examples=100, group=4)
    first, again = examples[17], examples[17]
    np.testing.assert_array_equal(first.sound, again.sound)
    assert first.audio_spans == again.audio_spans
    lengths = [len(examples[k].faces) for k in range(16)]
    assert all(len(set(lengths[k : k + 4])) == 1 for k in range(0, 16, 4))
    assert len(set(lengths)) > 1
    assert not first.has_picture
    assert len(first.sound) == len(first.faces) * SAMPLES_PER_FRAME


def test_a_bank_is_read_from_its_folder(tmp_path: Path) -> None:
    recordings = [dataclasses.replace(r, split="validation" if r.speaker == "s0" else "train") for r in twins()]
    folder = write_bank(tmp_path / "bank", recordings)
    read = load_sound_bank([folder])
    train, validation = (SoundBank.of(read, split) for split in ("train", "validation"))
    assert {r.speaker for r in train.reals} == {"s1", "s2"}
    assert {r.speaker for r in validation.reals} == {"s0"}
    assert len(train.twins) == 4
    real, twin = train.twins[0]
    np.testing.assert_allclose(real.sound, -twin.sound, atol=1e-3)


def test_names_in_a_bank_may_have_any_letters(tmp_path: Path) -> None:
    folder = write_bank(tmp_path, [dataclasses.replace(twins(1, seconds=0.1)[0], speaker="one\u2028two\x85")])
    index = folder / "index.jsonl"
    line = json.dumps(json.loads(index.read_text()), ensure_ascii=False)
    index.write_text(f"{line}\n", encoding="utf-8")
    assert [r.speaker for r in load_sound_bank([folder])] == ["one\u2028two\x85"]
    index.write_text("")
    assert load_sound_bank([folder]) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"path": "a.wav", "kind": "fake", "speaker": "x"}', "one of the kinds real, twin, voice, benign, got 'fake'"),
        ('{"path": ', "one JSON object per line"),
        ('{"kind": "real", "speaker": "x"}', "path"),
        ("[1, 2]", "one JSON object per line"),
        ('{"path": "a.wav", "kind": "real", "speaker": "x"}', "a.wav: no such file; build the bank again"),
        ('{"path": 5, "kind": "real", "speaker": "x"}', "index.jsonl:1: expected text in all fields"),
        ('{"path": "a.wav", "kind": "real", "speaker": null}', "index.jsonl:1: expected text in all fields"),
        ('{"path": "a.wav", "kind": "real", "speaker": "x", "split": null}', "index.jsonl:1: expected text in all"),
    ],
)
def test_a_bad_index_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "index.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"index\.jsonl") as caught:
        load_sound_bank([tmp_path])
    assert reason in str(caught.value)


def test_a_folder_without_an_index_is_no_bank(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.jsonl: expected the index of a bank, got no such file"):
        load_sound_bank([tmp_path])
