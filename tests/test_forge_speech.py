"""Swapped words: the rest of the clip untouched, no seam, the clip's own pitch, level, timbre and room.

Speech is made here: pulses through formants, syllables with pauses, noise of a room.
"""

from __future__ import annotations

import functools
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.config import SAMPLE_RATE
from fakespan.forge.pitch import PitchTrack, _below, _correlate, change_speech, semitones, track_pitch
from fakespan.forge.speech import FAMILIES, METHODS, Donor, cut_points, join, matching_cuts, swap_speech
from fakespan.forge.tone import Recording, active_level_db, limit_band, match_timbre
from fakespan.forge.vocoders import FINGERPRINTS

pytestmark = pytest.mark.usefixtures("one_thread")

VOWELS = ((700, 1200, 2600), (350, 2200, 2900), (450, 900, 2500))  # formants in Hz
WORD_S, GAP_S = 0.35, 0.15


@functools.cache
def vowel(seconds: float, f0_hz: float, formants: tuple[int, ...], glide: float = 0.0) -> np.ndarray:
    """Pulses at a pitch that falls by `glide` semitones, through resonances; of power about 1."""
    n = round(seconds * SAMPLE_RATE)
    hz = f0_hz * 2 ** (-glide * np.linspace(-0.5, 0.5, n) / 12)
    turns = np.cumsum(hz / SAMPLE_RATE)
    sound = sum(
        sum(1 / (1 + ((k * hz - f) / (60 + 0.03 * f)) ** 2) for f in formants) * np.cos(2 * np.pi * k * turns) / k**0.5
        for k in range(1, int(5000 / f0_hz))
    )
    return sound / np.std(sound) * np.minimum(1, np.minimum(np.arange(n), n - 1 - np.arange(n)) / 320)


def talk(*, f0_hz=120.0, n_words=5, level=0.1, room=1e-3, seed=0) -> np.ndarray:
    """Words of one falling vowel each at 0.15, 0.65, 1.15 s ..., in a room with a little noise."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(round(GAP_S * SAMPLE_RATE))]
    for k in range(n_words):
        parts += [level * vowel(WORD_S, f0_hz, VOWELS[(k + seed) % 3], 2.0), parts[0]]
    sound = np.concatenate(parts)
    return (sound + room * rng.standard_normal(len(sound))).astype(np.float32)


def word_s(k: int) -> tuple[float, float]:
    """Where word k of `talk` is."""
    start_s = GAP_S + k * (WORD_S + GAP_S)
    return start_s, start_s + WORD_S


def donor_for(method: str, **made) -> Donor | None:
    return None if method.startswith("resynthesis") else Donor(talk(**{"seed": 1, **made}), *word_s(2))


def swap(sound=None, method="donor-clean", donor=None, seed=0, **options):
    sound = talk() if sound is None else sound
    donor = donor_for(method) if donor is None else donor
    return swap_speech(sound, word_s(2), donor, method=method, rng=np.random.default_rng(seed), **options)


def new_words(swapped) -> np.ndarray:
    return swapped.sound[round(swapped.start_s * SAMPLE_RATE) : round(swapped.end_s * SAMPLE_RATE)]


def db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(sound.astype(np.float64) ** 2) + 1e-12))


# -- the whole swap


@pytest.mark.parametrize(
    ("method", "n_wanted"), [(m, (None, 5000, 6600)[k % 3]) for k, m in enumerate((*METHODS, *METHODS[::-1]))]
)
def test_outside_the_span_every_sample_is_kept(method, n_wanted):
    sound = talk()
    sound.flags.writeable = False
    swapped = swap(sound, method, n_wanted=n_wanted)
    start, end, old_start, old_end = (round(t * SAMPLE_RATE) for t in astuple(swapped)[1:])
    assert start == old_start
    np.testing.assert_array_equal(swapped.sound[:start], sound[:old_start])
    np.testing.assert_array_equal(swapped.sound[end:], sound[old_end:])
    assert swapped.sound.dtype == np.float32
    assert np.isfinite(swapped.sound).all()
    assert n_wanted is None or end - start == n_wanted
    assert abs(old_start / SAMPLE_RATE - word_s(2)[0]) <= 0.038
    assert abs(old_end / SAMPLE_RATE - word_s(2)[1]) <= 0.038
    if end == old_end:
        assert db(swapped.sound[start:end] - sound[start:end]) > db(sound[start:end]) - 45


@pytest.mark.parametrize("method", METHODS)
def test_a_seam_is_no_click(method):
    sound = talk(room=3e-3)
    swapped = swap(sound, method, seed=2)
    jumps = np.abs(np.diff(swapped.sound, n=2))
    for at_s in (swapped.start_s, swapped.end_s):
        at = round(at_s * SAMPLE_RATE)
        assert jumps[at - 16 : at + 16].max() < 0.5 * np.abs(np.diff(sound, n=2)).max()


@pytest.mark.parametrize("f0_hz", [100.0, 112.0, 135.0, 148.0])
@pytest.mark.parametrize("method", ["donor-clean", "donor-mel", "synthesis-lpc", "donor-images"])
def test_the_new_words_have_the_pitch_of_the_clip(method, f0_hz):
    words = new_words(swap(method=method, donor=donor_for(method, f0_hz=f0_hz)))
    came_hz = track_pitch(words).median_hz()
    assert came_hz is not None
    assert abs(semitones(came_hz / 120)) < 0.5


def test_the_pitch_moves_by_at_most_four_semitones():
    came_hz = track_pitch(new_words(swap(donor=donor_for("donor", f0_hz=240.0)))).median_hz()
    assert semitones(240 / came_hz) == pytest.approx(4, abs=0.4)


def test_the_melody_goes_on_over_the_seams():
    """A voice that falls by six semitones without a pause, and a flat word in it."""
    sound = (0.1 * vowel(1.6, 120.0, VOWELS[0], 6.0)).astype(np.float32)
    flat = (0.1 * vowel(1.2, 135.0, VOWELS[1])).astype(np.float32)
    for method in ("donor-clean", "synthesis-images"):
        swapped = swap_speech(sound, (0.5, 1.1), Donor(flat, 0.3, 0.9), method=method, rng=np.random.default_rng(0))
        track = track_pitch(swapped.sound)
        for at_s in (swapped.start_s, swapped.end_s):
            before_hz, after_hz = (
                track.near_hz(*(round((at_s + d) * 16000) for d in w)) for w in ((-0.06, -0.02), (0.02, 0.06))
            )
            assert abs(semitones(after_hz / before_hz)) < 0.8


@pytest.mark.parametrize(
    ("method", "level"), [(m, (0.005, 0.05, 0.2)[k % 3]) for k, m in enumerate((*METHODS, "donor-clean"))]
)
def test_the_new_words_are_as_loud_as_the_old(method, level):
    sound = talk(level=0.08)
    donor = donor_for(method, level=level, room=level / 100)
    swapped = swap(sound, method, donor)
    start, end = (round(t * SAMPLE_RATE) for t in astuple(swapped)[3:])
    assert active_level_db(new_words(swapped)) == pytest.approx(active_level_db(sound[start:end]), abs=1.5)


@pytest.mark.parametrize("method", ["donor-clean", "donor-mel", "synthesis-lpc"])
def test_where_the_new_words_pause_the_room_is_heard(method):
    """A donor from digital silence, too short for its place: the clip's noise is in all the gaps."""
    sound = talk(room=4e-3)
    donor = Donor(talk(room=0.0, seed=1), *word_s(2))
    words = new_words(swap(sound, method, donor, n_wanted=16000))
    for gap in (words[500:2500], words[-2500:-500]):
        assert db(gap) == pytest.approx(20 * np.log10(4e-3), abs=2.5)
        assert np.abs(np.diff(gap)).min() < np.abs(np.diff(gap)).mean()  # noise, not a constant


def test_a_donor_brings_no_noise_of_its_own():
    sound, noisy = talk(room=5e-4), talk(room=8e-3, seed=1)
    words = new_words(swap(sound, donor=Donor(noisy, 1.02, 1.63)))  # with pauses of 0.1 s around the word
    assert db(noisy[16400:17600]) > -43
    assert db(words[300:1100]) < -54


def test_clean_words_in_the_same_room_get_no_second_room():
    sound, donor = talk(room=4e-3), Donor(talk(room=4e-3, seed=1), 1.03, 1.62)
    words = new_words(swap(sound, donor=donor))
    assert db(words[300:1100]) == pytest.approx(20 * np.log10(4e-3), abs=2.0)


def test_words_of_a_full_band_lose_what_the_clip_has_not():
    sound = limit_band(talk(room=5e-3), 3400.0)
    hiss = talk(room=2e-2, seed=1)
    assert Recording.of(sound).edge_hz == pytest.approx(4000, abs=200)  # 60 dB down
    assert Recording.of(hiss).edge_hz == 8000
    power = np.abs(np.fft.rfft(new_words(swap(sound, donor=Donor(hiss, *word_s(2)))))) ** 2
    edge = int(4800 / 8000 * len(power))
    assert 10 * np.log10(power[edge:].mean() / power[:edge].mean()) < -45


def test_the_timbre_is_brought_nearer_but_not_by_more_than_12_db():
    hz = np.fft.rfftfreq(len(talk()), 1 / SAMPLE_RATE)
    tilt_db = np.clip(6 * np.log2(np.maximum(hz, 50) / 700), -9, 9)
    dull = np.fft.irfft(np.fft.rfft(talk(seed=1)) * 10 ** (-tilt_db / 20), len(talk())).astype(np.float32)
    clip = Recording.of(talk())
    speech = slice(6, 100)  # 200 to 3000 Hz

    def apart_db(sound: np.ndarray) -> float:
        gap = Recording.of(sound).timbre_db[speech] - clip.timbre_db[speech]
        return float(np.std(gap))

    mended = match_timbre(dull, Recording.of(dull).timbre_db, clip.timbre_db)
    assert apart_db(mended) < 0.35 * apart_db(dull)
    extreme = match_timbre(dull, np.zeros(257), np.linspace(-60, 60, 257))
    change_db = 20 * np.log10(np.abs(np.fft.rfft(extreme)) / np.abs(np.fft.rfft(dull)))
    assert np.quantile(np.abs(change_db), 0.95) < 13


def test_the_same_seed_swaps_the_same_and_another_seed_another():
    for method in METHODS[::3]:
        first, again, second = (swap(method=method, seed=k).sound for k in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert len(first) != len(second) or not np.array_equal(first, second)


@pytest.mark.parametrize("method", METHODS[::2])
@pytest.mark.parametrize("span_s", [(0.0, 0.2), (1.1, 1.16), (2.5, 2.65)])
def test_short_spans_and_the_ends_of_a_clip_are_swapped_too(method, span_s):
    sound = talk()
    swapped = swap_speech(sound, span_s, donor_for(method), method=method, rng=np.random.default_rng(0))
    assert np.isfinite(swapped.sound).all()
    assert 0 <= swapped.start_s < swapped.end_s <= len(swapped.sound) / SAMPLE_RATE


@pytest.mark.parametrize("method", METHODS)
def test_silence_stays_finite(method):
    silence = np.zeros(len(talk()), np.float32)
    for sound, said in ((silence, talk(seed=1)), (talk(), silence), (silence, silence)):
        donor = None if method.startswith("resynthesis") else Donor(said, *word_s(2))
        swapped = swap_speech(sound, word_s(2), donor, method=method, rng=np.random.default_rng(0))
        assert np.isfinite(swapped.sound).all()
        assert np.abs(swapped.sound).max() <= 1.0


def test_calls_that_make_no_sense_are_refused():
    donor = Donor(talk(seed=1), *word_s(2))
    for method, given_donor in (
        ("donor-clean", None),
        ("resynthesis-mel", donor),
        ("resynthesis-clean", None),
        ("x", donor),
    ):
        with pytest.raises(ValueError, match="no such swap"):
            swap_speech(talk(), word_s(2), given_donor, method=method, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"do not fit into 3000: at most 1\.4 times faster"):
        swap(n_wanted=3000)


def test_each_family_has_methods_to_hold_out():
    assert {method.split("-")[0] for method in METHODS} == set(FAMILIES)
    assert all(len(kinds) >= 2 and set(kinds) <= set(FINGERPRINTS) for kinds in FAMILIES.values())
    assert "resynthesis-clean" not in METHODS


# -- cutting and joining


def test_words_are_cut_in_the_pauses():
    sound = talk()
    start, end = cut_points(sound, word_s(2)[0] + 0.02, word_s(2)[1] - 0.02)
    assert start < word_s(2)[0] * SAMPLE_RATE + 160
    assert end > word_s(2)[1] * SAMPLE_RATE - 160
    assert cut_points(sound, 0.5, 0.7, reach_s=0) == (8000, 11200)


@given(start_s=st.floats(-0.1, 2.6), length_s=st.floats(0.02, 1.0), reach_s=st.floats(0, 0.05))
@settings(max_examples=40, deadline=None)
def test_cuts_stay_near_and_in_order(start_s, length_s, reach_s):
    sound = talk()
    start, end = cut_points(sound, start_s, start_s + length_s, reach_s)
    first, last = (np.clip(t * SAMPLE_RATE, 0, len(sound)) for t in (start_s, start_s + length_s))
    assert 0 <= start <= end <= len(sound)
    assert max(abs(start - first), abs(end - last)) <= reach_s * SAMPLE_RATE + 33
    assert end - start >= (last - first) / 6 - 66


def test_matching_cuts_find_the_same_moment_in_a_copy():
    """The donor is the clip itself 0.5 s (a word and its pause) later: what is alike lies at the same phase."""
    sound = np.tile(talk(n_words=3), 2)
    period_s = len(sound) / 2 / SAMPLE_RATE
    start_s, end_s = word_s(1)
    donor = Donor(sound, start_s + period_s + 0.02, end_s + period_s - 0.01)
    (start, end), (first, last) = matching_cuts(sound, (start_s, end_s), donor)
    assert abs(start + len(sound) // 2 - first) <= 160
    assert abs(end + len(sound) // 2 - last) <= 160


@given(seed=st.integers(0, 50), alike=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_fade_keeps_the_power_whether_the_sounds_are_alike_or_not(seed, alike):
    rng = np.random.default_rng(seed)
    old = rng.standard_normal(8000).astype(np.float32)
    new = old[2000:6000].copy() if alike else rng.standard_normal(4000).astype(np.float32)
    joined = join(old, 2000, 6000, new, fade_s=0.05)
    assert db(joined[2000:2800]) == pytest.approx(0, abs=0.8)
    assert db(joined[5200:6000]) == pytest.approx(0, abs=0.8)
    if alike:
        np.testing.assert_allclose(joined, old, atol=1e-5)


# -- pitch


@pytest.mark.parametrize("f0_hz", [75.0, 110.0, 180.0, 260.0, 350.0])
def test_the_pitch_of_a_vowel_is_found(f0_hz):
    for formants in VOWELS:
        noisy = vowel(0.6, f0_hz, formants) + 0.05 * np.random.default_rng(0).standard_normal(9600)
        track = track_pitch(noisy.astype(np.float32))
        assert abs(semitones(track.median_hz() / f0_hz)) < 0.15
        assert np.mean(track.f0_hz[3:-3] > 0) > 0.9


def test_a_glide_is_followed():
    track = track_pitch(vowel(1.0, 150.0, VOWELS[0], glide=8.0).astype(np.float32))
    for share in (0.2, 0.5, 0.8):
        assert abs(semitones(track.at(int(share * 16000)) / (150 * 2 ** (-8 * (share - 0.5) / 12)))) < 0.3


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert np.mean(track_pitch(noise).f0_hz > 0) < 0.05
    assert track_pitch(np.zeros(16000, np.float32)).median_hz() is None
    assert track_pitch(np.zeros(0, np.float32)).median_hz() is None
    assert PitchTrack(np.zeros(0)).at(5) == 0


def test_the_fast_correlation_agrees_with_its_definition():
    low = _below(talk(n_words=1).astype(np.float64), 1000.0)
    correlation, power = _correlate(low)
    padded = np.pad(low, (374, 748))
    for frame in (12, 20, 31):
        head = padded[frame * 160 : frame * 160 + 480]
        assert power[frame] == pytest.approx(np.mean(head**2))
        for lag in (45, 133, 260):
            later = padded[frame * 160 + lag : frame * 160 + lag + 480]
            expected = np.dot(head, later) / np.sqrt(np.dot(head, head) * np.dot(later, later) + 1e-12)
            assert correlation[frame, lag] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("tempo", [0.72, 1.0, 1.38])
def test_speech_changes_its_pitch_and_length_but_not_its_formants(ratio, tempo):
    said = (0.1 * vowel(0.6, 140.0, VOWELS[0])).astype(np.float32)
    n = round(len(said) / tempo)
    changed = change_speech(said, n, ratio)
    assert changed.shape == (n,)
    assert abs(semitones(track_pitch(changed).median_hz() / (140 * ratio))) < 0.2
    assert abs(db(changed) - db(said)) < 3
    before, after = (Recording.of(np.tile(s, 3)).timbre_db for s in (said, changed))
    peaks = [int(np.argmax(t[13:32])) for t in (before, after)]  # the first formant, 400 to 1000 Hz
    assert abs(peaks[0] - peaks[1]) * 31.25 < 130


def test_nothing_to_change_changes_nothing():
    said = talk(n_words=1)
    np.testing.assert_array_equal(change_speech(said, len(said), 1.0), said)


# -- fingerprints


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_a_fingerprint_keeps_length_and_envelope(name):
    said = talk()
    for seed in range(3):
        left = FINGERPRINTS[name](said, np.random.default_rng(seed))
        assert left.shape == said.shape
        assert left.dtype == np.float32
        gap = Recording.of(left).timbre_db[6:80] - Recording.of(said).timbre_db[6:80]
        assert np.std(gap) < 5
        assert np.array_equal(left, said) == (name == "clean")
    for n in (1, 100, 700):
        assert FINGERPRINTS[name](said[3000 : 3000 + n], np.random.default_rng(0)).shape == (n,)


def test_images_mirror_the_lower_band_and_nothing_below_it_changes():
    rng = np.random.default_rng(0)
    said = limit_band(rng.standard_normal(16000).astype(np.float32), 7900.0)
    left = FINGERPRINTS["images"](said, np.random.default_rng(1))
    before, after = np.fft.rfft(said), np.fft.rfft(left)
    np.testing.assert_allclose(np.abs(after[200:2000]), np.abs(before[200:2000]), rtol=0.2, atol=3)
    assert np.mean(np.abs(after[4000:7000] - before[4000:7000])) > 0.5 * np.mean(np.abs(before[4000:7000]))
