"""What a guess by position is worth, and an AUC that it cannot raise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakespan.metrics.position import position_auc, position_floor
from fakespan.scoring.proposals import Proposals
from fakespan.scoring.rating import by_position
from fakespan.types import Sample, Segment


def clips(n: int, seed: int, *, middle_only: bool) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Clips of 4 to 8 s with a span of half a second: around their middle, or anywhere."""
    rng = np.random.default_rng(seed)
    durations = {f"c{k}": float(rng.uniform(4, 8)) for k in range(n)}
    places = {name: rng.normal(0.5, 0.03) if middle_only else rng.uniform(0.1, 0.9) for name in durations}
    return {
        name: np.array([[p * durations[name] - 0.25, p * durations[name] + 0.25]]) for name, p in places.items()
    }, durations


def by_middle(durations: dict[str, float], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Proposals that know positions alone: the nearer to the middle the better."""
    found = {}
    for name, duration_s in durations.items():
        starts = rng.uniform(0, duration_s - 0.5, 60)
        scores = 1 - np.abs((starts + 0.25) / duration_s - 0.5)
        found[name] = np.column_stack([scores, starts, starts + 0.5])[np.argsort(-scores)]
    return found


def test_spans_that_lie_in_the_middle_are_found_without_looking() -> None:
    spans, durations = clips(60, 1, middle_only=True)
    floor = position_floor(spans, durations, (0.5, 0.75))
    assert floor[0.5] > 0.4
    anywhere, lengths = clips(60, 2, middle_only=False)
    assert position_floor(anywhere, lengths)[0.5] < 0.15
    assert floor[0.75] < floor[0.5]


def test_the_guess_knows_nothing_of_its_own_clip() -> None:
    spans = {"a": np.array([[1.0, 2.0]]), "b": np.zeros((0, 2))}
    assert position_floor(spans, {"a": 4.0, "b": 4.0}) == {0.5: 0.0}


def test_a_guess_by_position_gains_nothing_at_equal_positions() -> None:
    spans, durations = clips(150, 3, middle_only=True)
    found = by_middle(durations, np.random.default_rng(4))
    assert position_auc(found, spans, durations, n_bins=50) == pytest.approx(0.5, abs=0.12)
    assert position_auc(found, spans, durations, n_bins=1) > 0.8


def test_who_finds_the_spans_has_all_frames_in_order() -> None:
    spans, durations = clips(20, 5, middle_only=False)
    perfect = {name: np.array([[0.9, *own[0]]]) for name, own in spans.items()}
    assert position_auc(perfect, spans, durations) > 0.99
    assert np.isnan(position_auc(perfect, {}, durations))
    assert position_auc({}, spans, durations) == pytest.approx(0.5)


@pytest.mark.parametrize("length_s", [0.0, -1.0, 4e10])
def test_clips_of_an_impossible_length_are_left_out(length_s: float) -> None:
    """Metadata that is wrong about two clips must not undo an evaluation at its end."""
    spans, durations = clips(20, 5, middle_only=False)
    found = Proposals.of({name: [[0.9, *own[0]]] for name, own in spans.items()})

    def sample(name: str, duration_s: float) -> Sample:
        start_s, end_s = spans[name][0]
        return Sample(name, Path(name), "test", duration_s, (Segment(start_s, end_s, 1.0, "both"),))

    right = [sample(name, durations[name]) for name in list(spans)[2:]]
    wrong = [sample(name, length_s) for name in list(spans)[:2]]
    assert by_position(found, [*wrong, *right]) == by_position(found, right)
    assert by_position(found, wrong) == {"floor AP@0.5": 0.0, "floor AP@0.75": 0.0, "AUC": None}
