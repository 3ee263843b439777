"""Regions of speech -> utterances of 1 to 12 s: short ones joined, long ones split where it is quiet.

Times are seconds of one recording. A piece is what is cut out of a recording; an utterance is one piece, or, where
recordings are single words, several of one speaker after each other: their seams are told, so that who trains on
genuine joins only can leave them out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from speech_sound import RATE

__all__ = ["LONGEST_S", "SHORTEST_S", "Piece", "Sound", "Utterance", "join", "pieces"]

Sound = np.ndarray[Any, np.dtype[np.float32]]
Span = tuple[float, float]

SHORTEST_S, LONGEST_S = 1.0, 12.0
_SAME_BREATH_S = 0.6  # a shorter pause does not end an utterance
_MARGIN_S = 0.15  # kept on both sides
_JOINED_S = 3.0  # what single words are joined to
_FADE_S = 0.005  # at a seam: no click


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a recording with speech in it."""

    source: str
    start_s: float
    sound: Sound

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.sound) / RATE


@dataclass(frozen=True, slots=True)
class Utterance:
    """One or more pieces of one speaker.

    `seams_s` are the places at which pieces meet; () where nothing was joined.
    """

    pieces: tuple[Piece, ...]

    @property
    def sound(self) -> Sound:
        """float32 (n,)."""
        if len(self.pieces) == 1:
            return self.pieces[0].sound
        return np.concatenate([_faded(piece.sound) for piece in self.pieces])

    @property
    def seconds(self) -> float:
        """Length."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def seams_s(self) -> tuple[float, ...]:
        """Where pieces meet."""
        return tuple(float(t) for t in np.cumsum([piece.seconds for piece in self.pieces])[:-1])


def pieces(source: str, sound: Sound, regions: Iterable[Span]) -> list[Piece]:
    """Cuts a recording into stretches of 12 s at most, each with a margin, at its pauses.

    Args:
        source: name of the recording.
        sound: float32 (n,) at 16 kHz.
        regions: where somebody speaks, in seconds, in order.
    """
    end_s = len(sound) / RATE
    spans: list[Span] = []
    for start_s, stop_s in regions:
        if spans and start_s - spans[-1][1] < _SAME_BREATH_S and stop_s - spans[-1][0] <= LONGEST_S - 2 * _MARGIN_S:
            spans[-1] = (spans[-1][0], stop_s)
        else:
            spans.append((start_s, stop_s))
    found = [part for start_s, stop_s in _with_margins(spans, end_s) for part in _split(sound, start_s, stop_s)]
    edges = [(round(a * RATE), round(b * RATE)) for a, b in found]
    return [Piece(source, start / RATE, sound[start:stop]) for start, stop in edges]


def join(waiting: Sequence[Piece]) -> list[Utterance]:
    """Pieces of one speaker, each too short alone, to utterances of about 3 s; a rest of less than 1 s is left out."""
    utterances, taken = [], list[Piece]()
    for piece in waiting:
        taken.append(piece)
        if sum(one.seconds for one in taken) >= _JOINED_S:
            utterances.append(Utterance(tuple(taken)))
            taken = []
    rest = Utterance(tuple(taken))
    return [*utterances, rest] if rest.seconds >= SHORTEST_S else utterances


def _with_margins(spans: Sequence[Span], end_s: float) -> list[Span]:
    """Wider by the margin, but never over the middle of a pause."""
    edges = [0.0, *((a[1] + b[0]) / 2 for a, b in itertools.pairwise(spans)), end_s]
    return [
        (max(start_s - _MARGIN_S, low), min(stop_s + _MARGIN_S, high))
        for (start_s, stop_s), low, high in zip(spans, edges, edges[1:], strict=False)
    ]


def _split(sound: Sound, start_s: float, stop_s: float) -> list[Span]:
    """Halves what is too long at the quietest moment of its middle third, until it fits."""
    if stop_s - start_s <= LONGEST_S:
        return [(start_s, stop_s)]
    third_s = (stop_s - start_s) / 3
    low, n = round((start_s + third_s) * RATE), RATE // 20
    middle = sound[low : round((stop_s - third_s) * RATE)]
    energy = np.convolve(np.square(middle, dtype=np.float64), np.ones(n), "valid")
    cut_s = (low + int(energy.argmin()) + n // 2) / RATE
    return [*_split(sound, start_s, cut_s), *_split(sound, cut_s, stop_s)]


def _faded(sound: Sound) -> Sound:
    n = min(round(_FADE_S * RATE), len(sound) // 2)
    ramp = np.ones(len(sound), np.float32)
    ramp[:n] = np.linspace(0, 1, n)
    ramp[len(ramp) - n :] = np.linspace(1, 0, n)
    return sound * ramp
