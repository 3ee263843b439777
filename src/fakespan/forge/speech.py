"""Replaces words in a clip: cuts at quiet places, matches voice and room, joins inaudibly.

Mono float32 at 16 kHz; seconds in the interface, samples inside. This is the audio part of a content-driven forgery
(LAV-DF, 2204.06228, section 3): if the new words are longer or shorter than the old ones, everything after them shifts,
and the video must follow. Outside the replaced span every sample of the clip is kept, bit for bit.

A method names the source of the words and the artefact of the tool: `donor-mel`, `synthesis-clean`, `resynthesis-lpc`;
`METHODS` lists all. A "resynthesis" uses the clip's own words, so the content does not change.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fakespan.arrays import Float32Array, Float64Array, Int64Array
from fakespan.config import SAMPLE_RATE
from fakespan.forge.pitch import PitchTrack, change_speech, semitones, track_pitch
from fakespan.forge.tone import Recording, active_level_db, settle
from fakespan.forge.vocoders import FINGERPRINTS

__all__ = [
    "MAX_TEMPO",
    "METHODS",
    "MIN_TEMPO",
    "Donor",
    "Swapped",
    "cut_points",
    "join",
    "matching_cuts",
    "swap_speech",
]

MIN_TEMPO, MAX_TEMPO = 0.7, 1.4  # of the new words, as a multiple of how they were spoken
MAX_SEMITONES = 4.0
FADE_S = 0.012
NEAR_S = 0.3  # speech this near to the span tells the pitch wanted
EDGE_S = 0.04  # and this near, how the melody must go on

# family: possible artefacts; the clip's own words without any would not be a forgery
FAMILIES = {
    "donor": ("clean", "mel", "phase", "images"),
    "synthesis": ("clean", "mel", "lpc", "images"),
    "resynthesis": ("mel", "lpc", "phase", "images"),
}
METHODS = tuple(f"{family}-{fingerprint}" for family, kinds in FAMILIES.items() for fingerprint in kinds)


@dataclass(frozen=True)
class Donor:
    """New words, in the audio that they are cut from."""

    sound: Float32Array
    start_s: float  # of the words, about
    end_s: float
    recording: Float32Array | None = None  # more of that voice in that room, if `sound` is shorter than a second

    @property
    def recording_tone(self) -> Recording | None:
        """Statistics of the donor's recording; None if it is too short (its timbre is then not matched)."""
        known = self.sound if self.recording is None else self.recording
        return Recording.of(known) if len(known) >= SAMPLE_RATE else None


@dataclass(frozen=True)
class Swapped:
    """A clip with replaced words."""

    sound: Float32Array
    start_s: float  # of the new words, in the new audio
    end_s: float
    old_start_s: float  # of what they stand for, in the old sound; start_s is the same
    old_end_s: float


def cut_points(sound: Float32Array, start_s: float, end_s: float, reach_s: float = 0.03) -> tuple[int, int]:
    """The samples at which to cut out a word: each border moves to the quietest place nearby, on a zero crossing.

    Args:
        sound: (n,) the clip.
        start_s: approximate start of the word.
        end_s: approximate end.
        reach_s: maximum shift of a border; 0: none.

    Returns:
        Start and end, at least a sixth of the word apart.
    """
    n = len(sound)
    first, last = (min(n, max(0, round(t * SAMPLE_RATE))) for t in (start_s, end_s))
    reach = min(round(reach_s * SAMPLE_RATE), (last - first) // 3)
    return _quiet_place(sound, first, reach), _quiet_place(sound, last, reach)


def matching_cuts(
    sound: Float32Array, span_s: tuple[float, float], donor: Donor, reach_s: float = 0.03
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Cut points in the clip and in the donor where both are similar and quiet.

    As in unit selection (Hunt and Black, 1996), the pair of positions near the borders with the most similar spectra is
    chosen. Returns (start, end) in the clip and (start, end) in the donor's audio.
    """
    reach_s = min(reach_s, (span_s[1] - span_s[0]) / 3, (donor.end_s - donor.start_s) / 3)
    first = _matching_place(sound, span_s[0], donor.sound, donor.start_s, reach_s)
    last = _matching_place(sound, span_s[1], donor.sound, donor.end_s, reach_s)
    return (first[0], last[0]), (first[1], last[1])


def swap_speech(
    sound: Float32Array,
    span_s: tuple[float, float],
    donor: Donor | None,
    *,
    method: str = "donor-clean",
    rng: np.random.Generator,
    n_wanted: int | None = None,
    reach_s: float = 0.03,
) -> Swapped:
    """Replace the words between two times of a clip.

    Args:
        sound: (n,) the clip.
        span_s: start and end of the words; cuts may be up to `reach_s` away.
        donor: the new words; None for a method of the family "resynthesis".
        method: one of METHODS.
        rng: random choices of the method.
        n_wanted: length of the new words in samples; None: their own.
        reach_s: maximum shift of a cut (see `cut_points`, `matching_cuts`); 0: none.

    Raises:
        ValueError: an unknown method, a missing or superfluous donor, or one too long for `n_wanted` (see MAX_TEMPO).
    """
    family, _, fingerprint = method.partition("-")
    if method not in METHODS or (donor is None) != (family == "resynthesis"):
        raise ValueError(f"no such swap: method {method!r}, donor {donor is not None}; methods are {METHODS}")
    clip = Recording.of(sound)
    if donor is None:
        start, end = cut_points(sound, *span_s, reach_s)
        words, own = _conform(sound[start:end], n_wanted, None), None
    else:
        (start, end), (first, last) = matching_cuts(sound, span_s, donor, reach_s)
        words = _conform(donor.sound[first:last], n_wanted, _pitch_wanted(track_pitch(sound), start, end))
        own = donor.recording_tone
    words = FINGERPRINTS[fingerprint](words, rng)
    words = settle(words, own, clip, _level_wanted(sound, start, end), rng)
    if reach_s > 0:
        start, end = _in_step(sound, start, end, words)
    at = [k / SAMPLE_RATE for k in (start, start + len(words), start, end)]
    return Swapped(join(sound, start, end, words), *at)


def join(sound: Float32Array, start: int, end: int, words: Float32Array, fade_s: float = FADE_S) -> Float32Array:
    """The audio with words in place of the samples `[start, end)`.

    The old audio is cross-faded at both ends of the words. The weights keep the power of the sum constant, whether the
    two signals are correlated (they add) or not (their powers add).
    """
    fade = min(round(fade_s * SAMPLE_RATE), len(words) // 4, (end - start) // 2)
    middle = np.array(words, np.float32)
    if fade:
        middle[:fade] = _blend(sound[start : start + fade], words[:fade])
        middle[-fade:] = _blend(words[-fade:], sound[end - fade : end])
    return np.concatenate([sound[:start], middle, sound[end:]])


def _in_step(sound: Float32Array, start: int, end: int, words: Float32Array) -> tuple[int, int]:
    """Shift the cuts by up to 5 ms to align pitch pulses if voicing continues across a seam."""
    size = min(round(FADE_S * SAMPLE_RATE), len(words) // 4, (end - start) // 2)
    lags = np.arange(-80, 81)
    if size < 32 or start < 80 or end + 80 > len(sound) or end - start < 4 * size:
        return start, end

    def best(first: int, new: Float32Array) -> int:
        old = np.lib.stride_tricks.sliding_window_view(sound[first - 80 : first + 80 + size], size)
        alike = old @ new / np.sqrt((old**2).sum(axis=1) * (new**2).sum() + 1e-9)
        return int(lags[np.argmax(alike - 0.001 * np.abs(lags))])

    return start + best(start, words[:size]), end + best(end - size, words[-size:])


def _blend(old: Float32Array, new: Float32Array) -> Float32Array:
    """Cross-fade from one signal to another, (n,) each."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(len(old)) + 0.5) / len(old))
    alike = float(np.dot(old, new) / (np.sqrt(np.dot(old, old) * np.dot(new, new)) + 1e-9))
    power = (1 - rise) ** 2 + rise**2 + 2 * max(0.0, alike) * rise * (1 - rise)
    return np.asarray(((1 - rise) * old + rise * new) / np.sqrt(power), np.float32)


def _quiet_place(sound: Float32Array, at: int, reach: int) -> int:
    """The sample near `at` with the quietest surrounding 8 ms; a shift over the full range must gain 3 dB."""
    if reach < 1:
        return at
    half = SAMPLE_RATE // 250
    begin, stop = max(0, at - reach), min(len(sound), at + reach)
    padded = np.pad(sound[max(0, begin - half) : stop + half].astype(np.float64), half)
    energy = np.convolve(padded**2, np.ones(2 * half), "same")[half:-half][begin - max(0, begin - half) :]
    places = np.arange(begin, stop)
    cost = 10 * np.log10(energy[: len(places)] + 1e-9) + 3 * np.abs(places - at) / reach
    best = int(places[np.argmin(cost)]) if len(places) else at
    return _crossing(sound, best)


def _matching_place(
    sound: Float32Array, at_s: float, other: Float32Array, other_at_s: float, reach_s: float
) -> tuple[int, int]:
    """A sample near each of the two times, where the signals are similar and quiet."""
    at = min(len(sound), max(0, round(at_s * SAMPLE_RATE)))
    other_at = min(len(other), max(0, round(other_at_s * SAMPLE_RATE)))
    steps = np.arange(-round(reach_s * SAMPLE_RATE), round(reach_s * SAMPLE_RATE) + 1, 80)
    if reach_s <= 0 or len(steps) < 2:
        return at, other_at
    places, other_places = (steps + k for k in (at, other_at))
    places = places[(places >= 0) & (places <= len(sound))]
    other_places = other_places[(other_places >= 0) & (other_places <= len(other))]
    here, there = _looks(sound, places), _looks(other, other_places)
    apart = np.sqrt(np.mean((here[:, None] - there[None]) ** 2, axis=2))  # dB
    loud = 0.15 * (here.max(axis=1)[:, None] + there.max(axis=1)[None])
    far = (np.abs(places - at)[:, None] + np.abs(other_places - other_at)[None]) / (reach_s * SAMPLE_RATE)
    best = np.unravel_index(np.argmin(apart + loud + far), apart.shape)
    return _crossing(sound, int(places[best[0]])), _crossing(other, int(other_places[best[1]]))


def _looks(sound: Float32Array, places: Int64Array) -> Float64Array:
    """Level in dB of 16 bands of the 20 ms around each position, relative to its own speech, (positions, 16)."""
    padded = np.pad(sound.astype(np.float64), 160)
    frames = np.stack([padded[k : k + 320] for k in places]) * np.hanning(320)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, 1:] ** 2 / 320
    edges = np.unique(np.geomspace(2, 160, 17).astype(int))
    bands = np.stack([power[:, a:b].mean(axis=1) for a, b in itertools.pairwise(edges)], axis=1)
    return np.asarray(np.maximum(10 * np.log10(bands + 1e-10) - active_level_db(sound), -50.0))


def _crossing(sound: Float32Array, at: int) -> int:
    """The nearest zero crossing within 2 ms, or the position itself."""
    near = np.arange(max(1, at - 32), min(len(sound), at + 32))
    crossings = near[(sound[near] >= 0) != (sound[near - 1] >= 0)]
    return int(crossings[np.argmin(np.abs(crossings - at))]) if len(crossings) else at


def _conform(words: Float32Array, n_wanted: int | None, pitch: _Pitch | None) -> Float32Array:
    """The words in n samples at the target pitch, within natural limits."""
    n = len(words) if n_wanted is None else n_wanted
    if len(words) > MAX_TEMPO * 1.02 * n:
        raise ValueError(f"{len(words)} samples of words do not fit into {n}: at most {MAX_TEMPO} times faster")
    n_spoken = min(n, round(len(words) / MIN_TEMPO))
    spoken = change_speech(words, n_spoken) if pitch is None else _at_pitch(words, n_spoken, pitch)
    left = (n - n_spoken) // 2
    return np.pad(spoken, (left, n - n_spoken - left))  # room noise fills the rest


def _at_pitch(words: Float32Array, n: int, wanted: _Pitch) -> Float32Array:
    """The words in n samples with the target median pitch, approaching the neighbours' pitch at the borders."""
    track = track_pitch(words)
    own_hz, limit = track.median_hz(), 2 ** (MAX_SEMITONES / 12)
    if not wanted.median_hz or not own_hz:
        return change_speech(words, n, 1.0, track)
    ratio = float(np.clip(wanted.median_hz / own_hz, 1 / limit, limit))
    came_hz = track_pitch(change_speech(words, n, ratio, track)).median_hz() or own_hz * ratio
    off = own_hz * ratio / came_hz  # the set of voiced frames may change, and with it the median
    ratio *= off if 1 / 1.2 < off < 1.2 else 1.0
    return change_speech(words, n, ratio * 2 ** (_bridge(track, len(words), ratio, wanted) / 12), track)


def _bridge(track: PitchTrack, n: int, ratio: float, wanted: _Pitch) -> Float64Array:
    """Semitones to add, (n,), so that the pitch contour of the words continues that of the clip.

    Most of the gap at a border, at most three semitones, fading out over 120 ms; zero if either side is unvoiced.
    """
    edge = round(EDGE_S * SAMPLE_RATE)
    reach = max(1, min(round(0.12 * SAMPLE_RATE), n // 2))
    fade = np.maximum(0.0, 1 - np.arange(n) / reach)
    edges_hz = (track.near_hz(0, edge), track.near_hz(n - edge, n))
    gaps = [
        0.8 * float(np.clip(semitones(there / (here * ratio)), -3, 3)) if here and there else 0.0
        for here, there in zip(edges_hz, (wanted.before_hz, wanted.after_hz), strict=True)
    ]
    return np.asarray(gaps[0] * fade + gaps[1] * fade[::-1])


@dataclass(frozen=True)
class _Pitch:
    """Pitch of the clip around the new words."""

    median_hz: float | None  # of the replaced words and the speech near them; otherwise of the whole clip
    before_hz: float | None  # right before the start; None: unvoiced
    after_hz: float | None


def _pitch_wanted(track: PitchTrack, start: int, end: int) -> _Pitch:
    near, edge = round(NEAR_S * SAMPLE_RATE), round(EDGE_S * SAMPLE_RATE)
    median_hz = track.median_hz(start - near, end + near) or track.median_hz()
    return _Pitch(median_hz, track.near_hz(start - edge, start), track.near_hz(end, end + edge))


def _level_wanted(sound: Float32Array, start: int, end: int) -> float:
    """Level of the replaced words, unless they are much softer or louder than the speech of the clip."""
    usual_db = active_level_db(sound)
    return float(np.clip(active_level_db(sound[start:end]), usual_db - 8, usual_db + 6))
