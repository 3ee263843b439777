"""Makes the clips of one scene: selects words, forges audio and video, records the labels.

The audio is forged first; if the new words are longer or shorter than the old ones, the video is resampled in time to
match, as in LAV-DF (2204.06228, section 3), whether the lips are forged too or not. 25 fps, 16 kHz: lengths change by
whole frames, so that audio and video stay in sync.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from fakespan.errors import DataError, FakespanError
from fakespan.forge.labels import Word
from fakespan.forge.mouth import draw_look, swap_mouth
from fakespan.forge.retime import retime
from fakespan.forge.speech import Donor, cut_points, matching_cuts, swap_speech
from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.methods import UNHEARD, family_of, go_together, source_of
from fakespan.forge.studio.plan import Kind
from fakespan.forge.studio.tools import Tools
from fakespan.forge.studio.track import Track
from fakespan.forge.visemes import choose_mouths
from fakespan.forge.words import Swap, choose_swap

__all__ = ["Forged", "Span", "Stage", "make_clip"]

N_TRIES = 30  # to find words for a span
N_FILMED = 5  # clips whose mouths are looked through
N_FAILURES = 2  # after which a method is not tried again for a clip
FALLBACKS: dict[Kind, tuple[Kind, ...]] = {"audio": ("visual",), "visual": ("audio",), "both": ("audio", "visual")}
TEMPO_SPREAD = 0.12  # of the length that a voice program is asked for, about that of the old words (log)


@dataclass(frozen=True)
class Stage:
    """The material of a scene: its own excerpt, and other recordings of its speaker."""

    faces: UInt8Array  # (n, 224, 224, 3)
    sound: Float32Array  # (640 n,)
    words: tuple[Word, ...]
    elsewhere: Mapping[str, Sequence[Word]]  # clip -> words, of the same speaker and split
    fetch: Any  # clip -> Track


@dataclass(frozen=True)
class Span:
    """Record of one forged span; seconds of the finished clip."""

    start_s: float
    end_s: float
    before: str
    after: str
    rule: str  # opposite, kind, other, same
    voice: str  # method, or "" if the audio is untouched
    lips: str
    look: str  # the region and its blending
    donor: str  # donor clip of the words, or the synthesiser


@dataclass(frozen=True)
class Forged:
    """A finished clip."""

    faces: UInt8Array
    sound: Float32Array
    spans: tuple[Span, ...] = field(default=())
    kind: Kind = "real"
    fallbacks: tuple[str, ...] = ()  # planned methods that failed and why, one line each


def make_clip(stage: Stage, kind: Kind, config: ForgeConfig, tools: Tools, rng: np.random.Generator) -> Forged:
    """One version of a scene.

    A method that fails is replaced by another one of the config. If none is left, the clip gets another kind
    (audio-only or visual-only), so that a failing program does not reduce the number of clips; the records state what
    was done.

    Raises:
        DataError: none of the methods can replace any words of the scene.
    """
    if kind == "real":
        return Forged(stage.faces, stage.sound)
    failed: dict[str, list[str]] = {}
    lost: list[FakespanError] = []
    for tried in (kind, *FALLBACKS[kind]):
        try:
            made = _make_kind(_Forger(stage, tried, config, tools, rng, failed))
        except FakespanError as error:
            lost.append(error)
            continue
        of_kind = [f"{kind}: {lost[0]}"] if tried != kind else []
        return replace(made, kind=tried, fallbacks=(*of_kind, *(f"{m}: {why[0]}" for m, why in failed.items())))
    raise lost[0]


def _make_kind(forger: _Forger) -> Forged:
    clip, rng, config = Forged(forger.stage.faces, forger.stage.sound), forger.rng, forger.config
    jobs: list[_Job] = []
    for _ in range(1 + int(rng.random() < config.two_spans)):
        job = forger.find_job([(j.swap.start_s, j.swap.end_s) for j in jobs])
        jobs += [job] if job is not None else []
    if not jobs:
        raise _nothing_to_forge()
    for job in sorted(jobs, key=lambda j: -j.swap.start_s):  # from back to front: positions before a span do not change
        clip = forger.forge(clip, job)
    return clip


@dataclass(frozen=True)
class _Job:
    swap: Swap
    voice: str  # audio method; for visual-only forgeries, the source of the unheard words
    lips: str
    donor: Donor | None = None
    source: str = ""
    track: Track | None = None  # the donor's pictures


@dataclass(frozen=True)
class _Forger:
    """Forges spans of one clip."""

    stage: Stage
    kind: Kind
    config: ForgeConfig
    tools: Tools
    rng: np.random.Generator
    failed: dict[str, list[str]]  # method ("voice plugin") -> error messages; mutable

    def find_job(self, taken: list[tuple[float, float]]) -> _Job | None:
        """Methods and words for one span; None after some unsuccessful attempts."""
        for _ in range(N_TRIES):
            job = self._try_job(taken)
            if job is not None and (job.donor is None or _fits(job)):
                return job
        return None

    def _try_job(self, taken: list[tuple[float, float]]) -> _Job | None:
        voices = self._working("voice", self.tools.voice_methods(self.config))
        voice = str(self.rng.choice(voices)) if voices else ""
        together = [m for m in self.config.lips if self.kind != "both" or go_together(source_of(voice), m)]
        fitting = self._working("lips", together) if self.kind != "audio" else together
        if not voice or (not fitting and self.kind != "audio"):
            return None
        lips = str(self.rng.choice(fitting)) if fitting else ""
        if self.kind == "visual":
            voice = UNHEARD.get(family_of(lips), voice)
        words, elsewhere = self.stage.words, self.stage.elsewhere
        swap = choose_swap(words, elsewhere, self.config.swap, self.rng, source=source_of(voice), taken=taken)
        if swap is None:
            return None
        try:
            return self._with_donor(_Job(swap, voice, lips))
        except FakespanError as error:  # a failing synthesiser or an unreadable donor: try other words
            self._note("voice", voice, error)
            return None

    def _working(self, what: str, methods: Sequence[str]) -> list[str]:
        """The methods that have not failed repeatedly."""
        return [m for m in methods if len(self.failed.get(f"{what} {m}", ())) < N_FAILURES]

    def _note(self, what: str, method: str, error: FakespanError) -> None:
        self.failed.setdefault(f"{what} {method}", []).append(str(error))

    def _with_donor(self, job: _Job) -> _Job:
        lent = job.swap.donor
        if lent is not None:
            track = self.stage.fetch(lent.clip)
            return replace(job, donor=Donor(track.sound, lent.start_s, lent.end_s), source=lent.clip, track=track)
        if source_of(job.voice) == "same":
            return job
        length_s = None
        if job.voice == "plugin":
            length_s = (job.swap.end_s - job.swap.start_s) * float(np.exp(self.rng.normal(0, TEMPO_SPREAD)))
        engine, spoken = self.tools.speak(job.swap.after, self.stage.sound, self.rng, plugin_length_s=length_s)
        return replace(job, donor=spoken, source=engine)

    def forge(self, clip: Forged, job: _Job) -> Forged:
        """The clip with one more forged span, before the existing ones."""
        if self.kind == "visual":
            first = round(job.swap.start_s * FPS)
            stop = min(max(round(job.swap.end_s * FPS), first + 2), len(clip.faces))
            sound, start_s, end_s, longer = clip.sound, first / FPS, stop / FPS, 0
        else:
            sound, start_s, end_s, old_end_s = _new_sound(clip.sound, job, self.rng)
            longer = (len(sound) - len(clip.sound)) // SAMPLES_PER_FRAME
            first, stop = int(start_s * FPS), min(int(np.ceil(old_end_s * FPS)), len(clip.faces))
        own, look = retime(clip.faces[first:stop], stop - first + longer), ""
        if self.kind != "audio":
            track_sound = sound if self.kind == "both" else _imagined(clip.sound, job)
            spoken = track_sound[first * SAMPLES_PER_FRAME :][: len(own) * SAMPLES_PER_FRAME]
            own, look, job = self._some_new_faces(own, spoken, job, (first, stop))
        swap, voice, lips = job.swap, job.voice * (self.kind != "visual"), job.lips * (self.kind != "audio")
        done = Span(start_s, end_s, swap.before, swap.after, swap.rule, voice, lips, look, job.source)
        moved = tuple(replace(s, start_s=s.start_s + longer / FPS, end_s=s.end_s + longer / FPS) for s in clip.spans)
        return Forged(np.concatenate([clip.faces[:first], own, clip.faces[stop:]]), sound, (done, *moved))

    def _some_new_faces(
        self, own: UInt8Array, spoken: Float32Array, job: _Job, span: tuple[int, int]
    ) -> tuple[UInt8Array, str, _Job]:
        """Forge by the job's method or, if that fails, by another suitable one; also returns the job as done.

        Raises:
            DataError: all of them failed.
        """
        others = [m for m in self.config.lips if m != job.lips and _can_follow(job, m)]
        errors: list[FakespanError] = []
        for method in self._working("lips", [job.lips, *others]):
            tried = replace(job, lips=method)
            try:
                return (*self._new_faces(own, spoken, tried, span), tried)
            except FakespanError as error:
                errors.append(error)
                self._note("lips", method, error)
        raise errors[0] if errors else _nothing_to_forge()

    def _new_faces(
        self, own: UInt8Array, spoken: Float32Array, job: _Job, span: tuple[int, int]
    ) -> tuple[UInt8Array, str]:
        """The frames of the span with other mouths, and a description."""
        family, _, traces = job.lips.partition("-")
        if family == "plugin":
            return self.tools.redraw(own, spoken), "plugin"
        mouths = own
        if family == "donor" and job.track is not None and job.swap.donor is not None:
            a, b = round(job.swap.donor.start_s * FPS), round(job.swap.donor.end_s * FPS)
            mouths = job.track.faces[a : max(b, a + 2)]
        elif family == "sound":
            tracks = [self.stage.fetch(name) for name in self._some_clips()]
            filmed = [(self.stage.faces, self.stage.sound), *((t.faces, t.sound) for t in tracks)]
            mouths = choose_mouths(spoken, filmed, forbidden=span)
        look = draw_look(self.rng, is_generated=traces == "generated")
        swapped = swap_mouth(own, retime(mouths, len(own)), look, self.rng, self.tools.detector)
        return swapped, f"{look.region} {look.blend}"

    def _some_clips(self) -> list[str]:
        names = sorted(self.stage.elsewhere)
        return [names[k] for k in self.rng.permutation(len(names))[:N_FILMED]]


def _nothing_to_forge() -> DataError:
    got = "no words that a method could replace"
    return DataError("clip", expected="something to forge", got=got, remedy="allow more methods")


def _can_follow(job: _Job, lips: str) -> bool:
    """Whether a lips method that was not chosen for a job can be used for its words."""
    return go_together(source_of(job.voice), lips) and (family_of(lips) != "donor" or job.track is not None)


def _fits(job: _Job) -> bool:
    """Whether the new words last about as long as the old ones."""
    assert job.donor is not None
    ratio = (job.donor.end_s - job.donor.start_s) / (job.swap.end_s - job.swap.start_s)
    return 0.62 <= ratio <= 1.6


def _new_sound(sound: Float32Array, job: _Job, rng: np.random.Generator) -> tuple[Float32Array, float, float, float]:
    """The audio with the new words, their start and end, and the old end; lengths differ by whole frames."""
    span_s = (job.swap.start_s, job.swap.end_s)
    if job.donor is None:
        start, end = cut_points(sound, *span_s)
        donor, natural = None, end - start
    else:
        (start, end), (first, last) = matching_cuts(sound, span_s, job.donor)
        donor = replace(job.donor, start_s=first / SAMPLE_RATE, end_s=last / SAMPLE_RATE)
        natural = last - first
    n_wanted = end - start + SAMPLES_PER_FRAME * round((natural - (end - start)) / SAMPLES_PER_FRAME)
    method = "synthesis-clean" if job.voice == "plugin" else job.voice
    at = (start / SAMPLE_RATE, end / SAMPLE_RATE)
    done = swap_speech(sound, at, donor, method=method, rng=rng, n_wanted=n_wanted, reach_s=0.0)
    return done.sound, done.start_s, done.end_s, at[1]


def _imagined(sound: Float32Array, job: _Job) -> Float32Array:
    """The audio that forged lips over untouched audio follow: the new words in the time of the old ones."""
    if job.donor is None:
        return sound
    start, end = (int(t * SAMPLE_RATE) for t in (job.swap.start_s, job.swap.end_s))
    spoken = job.donor.sound[int(job.donor.start_s * SAMPLE_RATE) : int(job.donor.end_s * SAMPLE_RATE)]
    fitted = np.interp(
        np.linspace(0, len(spoken) - 1, end - start), np.arange(len(spoken)), spoken
    )  # pitch is not visible
    out = sound.copy()
    out[start:end] = fitted
    return out
