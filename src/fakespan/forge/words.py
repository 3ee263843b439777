"""Selection of words to replace in a clip, of their replacements, and of donors where the same speaker says them.

As in LAV-DF (2204.06228, section 3) a word is preferably replaced by its opposite; if the speaker does not offer one,
by a word of the same kind (a colour for a colour), otherwise by anything that the speaker says in about the same time,
or, for speech synthesis, by a word with about as many letters. Short words are replaced together with their neighbours,
so that spans have LAV-DF's lengths (0.16 to 1.6 s, mean 0.65 s).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakespan.errors import ConfigError
from fakespan.forge.labels import Word
from fakespan.forge.lexicon import of_about_its_length, opposites, same_kind

__all__ = ["Donor", "Rule", "Swap", "SwapConfig", "choose_swap"]

Rule = Literal["opposite", "kind", "other", "same"]
RULES: tuple[Rule, ...] = ("opposite", "kind", "other")  # in order of preference
MAX_GAP_S = 0.25  # between words that are replaced together
MAX_STRETCH = 1.5  # ratio of the lengths of new and old words
N_RUNS = 12  # number of candidates with about the requested length


@dataclass(frozen=True)
class SwapConfig:
    """Lengths of the replaced spans; the defaults are LAV-DF's."""

    min_span_s: float = 0.16
    max_span_s: float = 1.6
    mean_span_s: float = 0.65
    std_span_s: float = 0.29

    def __post_init__(self) -> None:
        if not 0 < self.min_span_s <= self.max_span_s:
            got, remedy = repr(self.min_span_s), "change this key in the config"
            raise ConfigError("swap.min_span_s", expected=f"0 < it <= {self.max_span_s}", got=got, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Donor:
    """Where the new words are spoken."""

    clip: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Swap:
    """Words of a clip and their replacement."""

    start_s: float
    end_s: float
    before: str
    after: str
    rule: Rule
    donor: Donor | None  # None: the words must be synthesised


@dataclass(frozen=True, slots=True)
class _Run:
    """Words [first, stop) of a clip, spoken without a pause."""

    words: Sequence[Word]
    first: int
    stop: int

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(w.text for w in self.words[self.first : self.stop])

    @property
    def start_s(self) -> float:
        return self.words[self.first].start_s

    @property
    def end_s(self) -> float:
        return self.words[self.stop - 1].end_s

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def choose_swap(
    words: Sequence[Word],
    elsewhere: Mapping[str, Sequence[Word]],
    config: SwapConfig,
    rng: np.random.Generator,
    *,
    source: Literal["donor", "synthesis", "same"],
    taken: Sequence[tuple[float, float]] = (),
    gap_s: float = 0.3,
) -> Swap | None:
    """Choose a swap for a clip; None if the clip, or its speaker, offers none.

    Args:
        words: the words of the clip, in order.
        elsewhere: clip name -> words, for possible donors (the same speaker).
        config: lengths of the spans.
        rng: random choice of the length, the words and the donor.
        source: "donor": the new words must be spoken in `elsewhere`; "synthesis": any text; "same": the words stay the
            same (for a forgery that only re-renders them).
        taken: spans in seconds that the swap must not touch.
        gap_s: minimum distance to them.
    """
    runs = [r for r in _runs(words, config) if all(r.end_s + gap_s < a or r.start_s > b + gap_s for a, b in taken)]
    if not runs:
        return None
    wanted_s = float(np.clip(rng.normal(config.mean_span_s, config.std_span_s), config.min_span_s, config.max_span_s))
    order = rng.permutation(len(runs))  # before sorting: random order of ties
    near = sorted((runs[k] for k in order), key=lambda r: abs(np.log(r.length_s / wanted_s)))[:N_RUNS]
    if source == "same":
        return Swap(near[0].start_s, near[0].end_s, " ".join(near[0].texts), " ".join(near[0].texts), "same", None)
    names = sorted(elsewhere)
    for rule in RULES:
        for run in near:
            found = _spoken(run, rule, elsewhere, names, rng) if source == "donor" else _imagined(run, rule, rng)
            if found is not None:
                return found
    return None


def _imagined(run: _Run, rule: Rule, rng: np.random.Generator) -> Swap | None:
    """Another text for a run, for synthesis."""
    places = [k for k, text in enumerate(run.texts) if _others(text, rule)]
    if not places:
        return None
    texts, place = list(run.texts), int(rng.choice(places))
    texts[place] = str(rng.choice(_others(texts[place], rule)))
    return Swap(run.start_s, run.end_s, " ".join(run.texts), " ".join(texts), rule, None)


def _spoken(
    run: _Run, rule: Rule, elsewhere: Mapping[str, Sequence[Word]], names: Sequence[str], rng: np.random.Generator
) -> Swap | None:
    """Words of other clips for a run, of about its length."""
    if rule != "other" and not any(_others(text, rule) for text in run.texts):
        return None
    for k in rng.permutation(len(names)):
        fitting = [r for r in _like(elsewhere[names[k]], run) if _is_swap(run.texts, r.texts, rule)]
        if fitting:
            donor = fitting[int(rng.integers(len(fitting)))]
            lent = Donor(names[k], donor.start_s, donor.end_s)
            return Swap(run.start_s, run.end_s, " ".join(run.texts), " ".join(donor.texts), rule, lent)
    return None


def _runs(words: Sequence[Word], config: SwapConfig) -> Iterator[_Run]:
    """Every sequence of words without a pause whose length is permitted."""
    for first in range(len(words)):
        for stop in range(first + 1, len(words) + 1):
            if stop - first > 1 and words[stop - 1].start_s - words[stop - 2].end_s > MAX_GAP_S:
                break
            run = _Run(words, first, stop)
            if run.length_s > config.max_span_s:
                break
            if run.length_s >= config.min_span_s:
                yield run


def _like(words: Sequence[Word], run: _Run) -> Iterator[_Run]:
    """Runs of other words of about the same length."""
    limits = SwapConfig(run.length_s / MAX_STRETCH, run.length_s * MAX_STRETCH)
    return _runs(words, limits)


def _is_swap(before: Sequence[str], after: Sequence[str], rule: Rule) -> bool:
    """Whether the second text may replace the first by this rule."""
    if rule == "other":
        return not set(before) & set(after)
    if len(before) != len(after):
        return False
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    if rule == "opposite":
        return len(changed) == 1 and changed[0][1] in opposites(changed[0][0])
    return bool(changed) and all(b in same_kind(a) for a, b in changed)


def _others(text: str, rule: Rule) -> tuple[str, ...]:
    return {"opposite": opposites, "kind": same_kind, "other": of_about_its_length}[rule](text)
