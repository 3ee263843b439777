"""Video-level verdict from the maps of a file's stretches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fakespan.arrays import Float32Array
from fakespan.boundary_map import at_clock
from fakespan.config import FPS, ModelConfig
from fakespan.errors import UsageError
from fakespan.localizer.extent import Extent
from fakespan.localizer.findings import DIGITS
from fakespan.localizer.maps import ClipMaps, longest_span, window_frames
from fakespan.models.map_features import map_windows
from fakespan.rates import GenuineRates, Minutes
from fakespan.types import Verdict

if TYPE_CHECKING:  # it imports torch
    from fakespan.models.verdict_head import Head

__all__ = ["at_network_clock", "check_prior", "head_verdict", "judged_minutes", "plain_verdict"]


NO_PRIOR = 0.5  # as many forged as genuine files: the scan alone decides
MORE_LIKELY = 0.5  # from this probability on a file counts as forged, but not below the threshold of segments


def head_verdict(head: Head, maps: Sequence[Float32Array], model: ModelConfig, prior: float | None = None) -> Verdict:
    """Apply a head to a file; its score is the maximum over the stretches and their windows.

    Args:
        head: of this model.
        maps: the fused map of each stretch, (D', n) at 25 fps.
        model: sizes and clock of the network.
        prior: share of forged files that the probability is corrected for; None: that of the head's own calibration.
    """
    score = max(head.score(part) for whole in maps for part in at_network_clock(whole, model))
    fit = head.fit_of()
    return Verdict(
        way=head.way,
        score=round(score, DIGITS),
        threshold=round(fit.threshold, DIGITS),
        probability=round(_corrected(head.probability(score), head.fake_share, prior), DIGITS),
        fake_share=None if head.fake_share is None else round(head.fake_share, DIGITS),
        prior=prior,
    )


def plain_verdict(
    score: float, threshold: float, rates: GenuineRates | None, judged: Minutes, prior: float | None = None
) -> Verdict:
    """Without a head: the maximum, how many genuine files reach it, and a probability if forged files were measured.

    Args:
        score: of the file.
        threshold: of the segments.
        rates: of the model, if they were measured.
        judged: how much of the file was judged.
        prior: share of forged files; None: one half, that is, nothing is known before the scan.
    """
    if rates is None or (chance := rates.chance(score, judged)) is None:
        return Verdict("maximum", score, threshold)
    plain, share = Verdict("maximum", score, threshold, genuine_chance=round(chance, DIGITS)), prior or NO_PRIOR
    probability = rates.probability(score, judged, share)
    if probability is None:
        return plain
    at_threshold = rates.probability(threshold, judged, share) or 0.0
    decisive = round(max(MORE_LIKELY, at_threshold), DIGITS)
    if score < threshold:  # the ratio may be as high as at the threshold, where it rises no more
        probability = min(probability, decisive - 10**-DIGITS)
    return replace(plain, probability=round(probability, DIGITS), threshold=decisive, prior=share)


def check_prior(prior: float | None, head: Head | None, rates: GenuineRates | None) -> None:
    """Raise UsageError if a prior was given for a model whose probability cannot be corrected for it."""
    if prior is None or (head is not None and head.fake_share is not None):
        return
    if head is not None or rates is None or not rates.tells_probability:
        expected, got = "a model that gives a probability for whole files, of known prior", "another"
        raise UsageError("prior", expected=expected, got=got, remedy="leave it out, or calibrate the model")


def _corrected(probability: float, share: float | None, prior: float | None) -> float:
    """A probability for another prior than that share of the data that it was calibrated on."""
    if prior is None or share is None or not 0 < share < 1:
        return probability
    forged, genuine = probability * prior / share, (1 - probability) * (1 - prior) / (1 - share)
    return forged / (forged + genuine)


def judged_minutes(faces: Sequence[ClipMaps], extent: Extent, sound_s: float) -> Minutes:
    """How much was judged: the maps of every face within the extent, and seconds of sound."""
    n_frames = 0
    for maps in faces:
        end = maps.first_frame + maps.score.shape[1]
        n_frames += max(0, extent.end_in(end) - max(extent.begin, maps.first_frame))
    return Minutes(n_frames / FPS / 60, sound_s / 60)


def at_network_clock(score_map: Float32Array, model: ModelConfig) -> Iterator[Float32Array]:
    """Convert a map at 25 fps, (D', n), to the form that a head was fitted on: D rows, the network's steps.

    With the "pad" clock the map is unchanged. With "stretch" it is split into the network's windows, each in T steps
    again (`boundary_map.at_clock` in both directions: no score changes; if n < T, spans may be off by half a frame).
    Audio outside of face tracks was processed with its surroundings, so it has less than T steps of its own.
    """
    if model.clock == "pad":
        yield score_map
        return
    for part in map_windows(score_map, window_frames(model)):
        n_rows, n = part.shape
        is_whole = n_rows == longest_span(model, n)
        steps = model.n_frames if is_whole else max(1, round(n * model.max_duration / n_rows))
        yield _in_rows(at_clock(part, steps), model.max_duration)


def _in_rows(score_map: Float32Array, n_rows: int) -> Float32Array:
    """Limit the number of rows; spans that became longer by rounding count as the longest."""
    padded = np.pad(score_map, ((0, max(0, n_rows - len(score_map))), (0, 0)))
    return np.concatenate([padded[: n_rows - 1], padded[n_rows - 1 :].max(axis=0, keepdims=True)])
