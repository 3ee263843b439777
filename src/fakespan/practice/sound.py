"""Practice audio: a genuine recording with spans from its neural twin or from another voice.

The words do not change in a span from a twin: only the generator's artefacts reveal it. Other spans, also of genuine
recordings, get benign edits; then the channel of the whole recording is changed (see `edits`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.config import FPS, SAMPLE_RATE
from fakespan.practice.edits import at_rate, benign_edit, channel, cross_fade, matched
from fakespan.practice.sound_bank import Recording, SoundBank

__all__ = ["SoundClip", "SoundPractice", "SoundRecipe"]

Rng = np.random.Generator
Span = tuple[int, int]
HOP = int(SAMPLE_RATE / FPS)  # samples of a frame
FAMILY_WEIGHTS = {
    "gan": 2.0,
    "lpc": 0.3,
}  # GAN vocoders are the hardest and the most common, LPC is not a neural generator


@dataclass(frozen=True)
class SoundRecipe:
    """Configuration of practice audio; the shares of spans follow LAV-DF (2204.06228, section 3)."""

    min_frames: int = 50
    max_frames: int = 160
    forged: float = 0.6  # share of clips with a forged span
    voices: float = 0.3  # share of forged clips with words of another voice; the others have spans of twins
    two_spans: float = 0.2  # share of forged clips with a second span
    edits: float = 0.5  # share of clips, forged or not, with benign edits
    shots: float = 0.0  # share of clips, forged or not, with hard cuts to other people's recordings
    min_shot_s: float = 0.8
    max_shot_s: float = 4.0
    speed: float = 0.14  # largest relative change of speed
    min_span_s: float = 0.16
    max_span_s: float = 1.6
    mean_span_s: float = 0.6
    std_span_s: float = 0.35
    clean: bool = False  # no edits, no channel: for evaluation


@dataclass(frozen=True)
class SoundClip:
    """Audio (640 n,) of n frames and its forged spans in frames (not rounded)."""

    sound: Float32Array
    spans: tuple[tuple[float, float], ...]
    method: str
    speaker: str


class SoundPractice:
    """Generates practice clips from a bank; `FAMILY_WEIGHTS` are the weights of the generator families."""

    def __init__(self, bank: SoundBank, recipe: SoundRecipe) -> None:
        self.bank, self.recipe = bank, recipe
        self._twins: dict[str, dict[str, list[tuple[Recording, Recording]]]] = defaultdict(lambda: defaultdict(list))
        for real, twin in bank.twins:
            self._twins[twin.family][twin.system].append((real, twin))
        self._families = sorted(self._twins)
        weights = np.array([FAMILY_WEIGHTS.get(f, 1.0) * len(self._twins[f]) ** 0.5 for f in self._families])
        self._weights = weights / weights.sum() if len(weights) else weights
        self._voices: dict[str, list[Recording]] = defaultdict(list)
        for voice in bank.voices:
            self._voices[voice.system].append(voice)
        self._by_speaker: dict[str, list[Recording]] = defaultdict(list)
        for real in bank.reals:
            self._by_speaker[real.speaker].append(real)
        self._speakers = sorted(self._by_speaker)

    def draw(self, n_frames: int, rng: Rng) -> SoundClip:
        """One clip of n_frames."""
        rate = 1.0 if self.recipe.clean else float(np.exp(rng.uniform(-1, 1) * np.log1p(self.recipe.speed)))
        n = HOP * round(n_frames * rate)  # whole frames: Fourier transforms of few prime factors are quick
        is_forged = rng.random() < self.recipe.forged
        if is_forged and (rng.random() < self.recipe.voices or not self._twins) and self._voices:
            sound, spans, method, speaker = self._with_voice(n, rng)
        elif is_forged:
            sound, spans, method, speaker = self._with_twin(n, rng)
        else:
            sound, speaker = self._genuine(n, rng)
            spans, method = [], ""
        if not self.recipe.clean:
            if rng.random() < self.recipe.edits:
                sound = self._edited(sound, spans, speaker, rng)
            if rng.random() < self.recipe.shots:
                sound = self._among_shots(sound, spans, rng)
            sound = channel(at_rate(sound, n_frames * HOP), rng)
        scale = n_frames / n
        return SoundClip(sound, tuple((a * scale, b * scale) for a, b in spans), method, speaker)

    def _with_twin(self, n: int, rng: Rng) -> tuple[Float32Array, list[Span], str, str]:
        family = self._families[rng.choice(len(self._families), p=self._weights)]
        systems = self._twins[family]
        system = _some_system(systems, rng)
        for _ in range(20):
            real, twin = systems[system][rng.integers(len(systems[system]))]
            if min(len(real.samples), len(twin.samples)) >= n:
                break
        length = min(len(real.samples), len(twin.samples))
        first = int(rng.integers(0, max(0, length - n) + 1))
        sound = _cut(real.sound[:length], first, n)
        made = _cut(twin.sound[:length], first, n)
        if not self.recipe.clean:
            made = matched(made, sound, tone=rng.random() < 0.5)
        spans = self._spans(sound, min(n, length), rng)
        for span in spans:
            local = made * _gain(made, sound, span) if rng.random() < 0.5 else made
            sound = cross_fade(sound, span, local, rng)
        return sound, spans, f"{family}/{system}", real.speaker

    def _with_voice(self, n: int, rng: Rng) -> tuple[Float32Array, list[Span], str, str]:
        sound, speaker = self._genuine(n, rng)
        system = _some_system(self._voices, rng)
        words = self._voices[system]
        spans = self._spans(sound, n, rng)
        for k, (start, end) in enumerate(spans):
            word = words[rng.integers(len(words))].sound
            spans[k] = start, min(n, start + _spoken_length(len(word), end - start))
            m = spans[k][1] - start
            if len(word) > 1.3 * m:  # an excerpt of a longer phrase
                skip = int(rng.integers(0, len(word) - m + 1))
                word = word[skip : skip + m]
            new = sound.copy()
            new[start : start + m] = matched(at_rate(word, m), sound[start : start + m], tone=rng.random() < 0.5)
            sound = cross_fade(sound, spans[k], new, rng)
        return sound, spans, f"voice/{system}", speaker

    def _genuine(self, n: int, rng: Rng) -> tuple[Float32Array, str]:
        """N samples of one speaker, from several recordings if one is too short; occasionally benign twins."""
        if self.bank.benign and rng.random() < 0.12 and not self.recipe.clean:
            real, twin = self.bank.benign[rng.integers(len(self.bank.benign))]
            length = min(len(real.samples), len(twin.samples))
            if length >= n:
                first = int(rng.integers(0, length - n + 1))
                a, b = real.sound[first : first + n], twin.sound[first : first + n]
                base, other = (a, b) if rng.random() < 0.5 else (b, a)
                for span in self._spans(base, n, rng):
                    base = cross_fade(base, span, other, rng)
                return base, real.speaker
        speaker = self._speakers[rng.integers(len(self._speakers))]
        own = self._by_speaker[speaker]
        recording = own[rng.integers(len(own))]
        sound = recording.sound
        while len(sound) < n:  # joined without a cross-fade: another benign seam
            more = own[rng.integers(len(own))].sound
            sound = np.concatenate([sound, more])
        first = int(rng.integers(0, len(sound) - n + 1))
        return sound[first : first + n], speaker

    def _spans(self, sound: Float32Array, n: int, rng: Rng) -> list[Span]:
        """One or two spans of speech, with seams in pauses or inside words, at least half a second apart."""
        recipe = self.recipe
        spans: list[Span] = []
        for _ in range(1 + int(rng.random() < recipe.two_spans)):
            for _ in range(8):
                draw_s = rng.normal(recipe.mean_span_s, recipe.std_span_s)
                m = int(np.clip(draw_s, recipe.min_span_s, recipe.max_span_s) * SAMPLE_RATE)
                m = min(m, n // 2)
                start = int(rng.integers(0, n - m + 1))
                start, end = _at_pauses(sound, start, start + m) if rng.random() < 0.5 else (start, start + m)
                end = min(end, n)
                apart = all(start > b + 0.3 * SAMPLE_RATE or end < a - 0.3 * SAMPLE_RATE for a, b in spans)
                if not apart or end - start < recipe.min_span_s * SAMPLE_RATE:
                    continue
                if np.std(sound[start:end]) > 0.25 * np.std(sound[:n]):
                    spans.append((start, end))
                    break
        return sorted(spans)

    def _among_shots(self, sound: Float32Array, spans: Sequence[Span], rng: Rng) -> Float32Array:
        """Other people speak before and after one shot with all spans, with hard cuts, as in a programme."""
        recipe, n = self.recipe, len(sound)
        m = min(n, int(rng.uniform(recipe.min_shot_s, recipe.max_shot_s) * SAMPLE_RATE))
        start = int(rng.integers(0, n - m + 1))
        end = start + m
        for a, b in spans:
            margin = int(rng.uniform(0, 0.5) * SAMPLE_RATE)
            start, end = max(0, min(start, a - margin)), min(n, max(end, b + margin))
        return np.concatenate([self._shots(start, rng), channel(sound[start:end], rng), self._shots(n - end, rng)])

    def _shots(self, n: int, rng: Rng) -> Float32Array:
        """N samples of genuine recordings, each with its own channel."""
        shots, missing = [np.zeros(0, np.float32)], n
        while missing:
            m = int(rng.uniform(self.recipe.min_shot_s, self.recipe.max_shot_s) * SAMPLE_RATE)
            m = min(missing, max(m, SAMPLE_RATE // 4))
            shots.append(channel(self._shot(m, rng), rng))
            missing -= m
        return np.concatenate(shots)

    def _shot(self, n: int, rng: Rng) -> Float32Array:
        """N samples of a genuine recording, half of the time its last ones: editors cut after the last word."""
        own = self._by_speaker[self._speakers[rng.integers(len(self._speakers))]]
        recording = own[rng.integers(len(own))]
        if len(recording.samples) >= n and rng.random() < 0.5:
            return recording.sound[-n:]
        return self._genuine(n, rng)[0]

    def _edited(self, sound: Float32Array, spans: Sequence[Span], speaker: str, rng: Rng) -> Float32Array:
        """One to three benign edits outside the forged spans."""
        for _ in range(int(rng.integers(1, 4))):
            m = int(rng.uniform(0.12, 1.5) * SAMPLE_RATE)
            start = int(rng.integers(0, max(1, len(sound) - m)))
            span = start, min(len(sound), start + m)
            if any(span[0] < b and span[1] > a for a, b in spans):
                continue
            source = speaker if rng.random() < 0.7 else self._speakers[rng.integers(len(self._speakers))]
            donors = self._by_speaker.get(source)
            donor = donors[rng.integers(len(donors))].sound if donors else None
            sound, _ = benign_edit(sound, span, donor, rng)
        return sound


def _some_system(systems: Mapping[str, Sequence[object]], rng: Rng) -> str:
    """Choose a system, weighted by the cube root of its number of recordings."""
    names = sorted(systems)
    weights = np.cbrt([len(systems[name]) for name in names])
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _cut(sound: Float32Array, first: int, n: int) -> Float32Array:
    stretch = sound[first : first + n]
    return np.pad(stretch, (0, n - len(stretch)))


def _spoken_length(n_word: int, n_wanted: int) -> int:
    """Length in samples of a span for a word that is at most 30 % faster or slower."""
    return n_wanted if n_word >= 0.7 * n_wanted else max(n_word, int(0.16 * SAMPLE_RATE))


def _gain(made: Float32Array, sound: Float32Array, span: Span) -> float:
    a, b = made[span[0] : span[1]], sound[span[0] : span[1]]
    return float(np.clip(np.sqrt((np.mean(b**2) + 1e-7) / (np.mean(a**2) + 1e-7)), 0.25, 4))


def _at_pauses(sound: Float32Array, start: int, end: int) -> Span:
    """Move both seams by at most 0.15 s to the quietest place."""
    reach, step = int(0.15 * SAMPLE_RATE), 80

    def quietest(seam: int) -> int:
        first, last = max(0, seam - reach), min(len(sound), seam + reach)
        n = (last - first) // step
        if n < 2:
            return seam
        power = (sound[first : first + n * step].reshape(n, step) ** 2).sum(1)
        power = np.convolve(power, np.ones(5), mode="same")
        return first + int(power.argmin()) * step + step // 2

    return quietest(start), quietest(end)
