"""Numbers of whole-video scores: against torchmetrics, by hand, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional import classification as oracle

from fakespan.errors import DataError, UsageError
from fakespan.metrics import auc, bootstrap_interval
from fakespan.metrics.binary import (
    BinaryScores,
    accuracy,
    balanced_accuracy,
    best_threshold,
    brier,
    eer,
    expected_calibration_error,
    reliability,
    roc_curve,
    score_precision,
)

ONE_KIND = {"counts": np.array([1, 0, 2, 0])}  # of FOUR: the forged alone
FOUR = ([0.9, 0.8, 0.7, 0.2], [True, False, True, False])


@st.composite
def scored(draw) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and a truth of both kinds."""
    n = draw(st.integers(2, 40))
    places = draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))
    truth = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda t: 0 < sum(t) < len(t)))
    return np.array(places) / 20, np.array(truth)


def tensors(scores, truth) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(truth, dtype=torch.int64)


@given(scored())
@settings(max_examples=60, deadline=None)
def test_torchmetrics_says_the_same(drawn):
    scores, truth = drawn
    preds, target = tensors(scores, truth)
    ranked = BinaryScores.of(scores, truth)
    assert ranked.auc() == pytest.approx(auc(scores, truth)) == pytest.approx(float(oracle.binary_auroc(preds, target)))
    assert ranked.precision() == pytest.approx(float(oracle.binary_average_precision(preds, target)))
    false_alarms, hits, thresholds = roc_curve(scores, truth)
    theirs = oracle.binary_roc(preds, target)
    assert false_alarms == pytest.approx(theirs[0].numpy())
    assert hits == pytest.approx(theirs[1].numpy())
    assert thresholds[1:] == pytest.approx(theirs[2].numpy()[1:])
    low = preds * 0.99  # a probability of 1 has a bin of its own there
    theirs_ece = float(oracle.binary_calibration_error(low, target, n_bins=15, norm="l1"))
    assert expected_calibration_error(low.numpy(), truth) == pytest.approx(theirs_ece, abs=1e-6)


@given(scored(), st.floats(0.01, 1))
@settings(max_examples=40, deadline=None)
def test_decisions_are_those_of_torchmetrics(drawn, threshold):
    scores, truth = drawn
    called = torch.tensor(scores >= threshold, dtype=torch.int64)
    target = tensors(scores, truth)[1]
    assert accuracy(scores, truth, threshold) == pytest.approx(float(oracle.binary_accuracy(called, target)))
    both = [float(oracle.binary_recall(c, t)) for c, t in ((called, target), (1 - called, 1 - target))]
    assert balanced_accuracy(scores, truth, threshold) == pytest.approx(np.mean(both))


@given(scored())
@settings(max_examples=60, deadline=None)
def test_only_the_order_counts(drawn):
    """AUC, EER and AP do not move when the scores go through a rising function; turned round, AUC and EER mirror."""
    scores, truth = drawn
    before, after = BinaryScores.of(scores, truth), BinaryScores.of(np.exp(3 * scores) - 7, truth)
    assert (before.auc(), before.eer(), before.precision()) == (after.auc(), after.eer(), after.precision())
    turned = BinaryScores.of(-scores, truth)
    assert turned.auc() == pytest.approx(1 - before.auc())
    assert turned.eer() == pytest.approx(1 - before.eer())


@given(scored())
@settings(max_examples=60, deadline=None)
def test_the_equal_error_is_on_the_curve(drawn):
    """A slow twin: the errors along the curve in fine steps, and where they are nearest to each other."""
    scores, truth = drawn
    false_alarms, hits, _ = roc_curve(scores, truth)
    along = np.linspace(0, len(hits) - 1, 20_001)
    x, y = (np.interp(along, np.arange(len(hits)), part) for part in (false_alarms, hits))
    nearest = int(np.argmin(np.abs(x - (1 - y))))
    assert eer(scores, truth) == pytest.approx(x[nearest], abs=0.01)


@given(scored(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_draw_is_the_set_that_it_draws(drawn, seed):
    scores, truth = drawn
    generator = np.random.default_rng(seed)
    counts = np.bincount(generator.integers(len(scores), size=len(scores)), minlength=len(scores))
    again_scores, again_truth = np.repeat(scores, counts), np.repeat(truth, counts)
    ranked = BinaryScores.of(scores, truth)
    if 0 < again_truth.sum() < len(again_truth):
        repeated = BinaryScores.of(again_scores, again_truth)
        for name in ("auc", "eer", "precision"):
            assert getattr(ranked, name)(counts) == pytest.approx(getattr(repeated, name)())
    else:
        assert np.isnan([ranked.auc(counts), ranked.eer(counts)]).all()
    for number in (brier, expected_calibration_error):
        assert number(scores, truth, counts) == pytest.approx(number(again_scores, again_truth))
    assert accuracy(scores, truth, 0.5, counts) == pytest.approx(accuracy(again_scores, again_truth, 0.5))


@given(scored())
@settings(max_examples=60, deadline=None)
def test_no_threshold_is_better_than_the_best(drawn):
    scores, truth = drawn
    best = best_threshold(scores, truth)
    found = balanced_accuracy(scores, truth, best)
    others = {float(t): balanced_accuracy(scores, truth, float(t)) for t in scores}
    assert found == pytest.approx(max(others.values()))
    assert all(t <= max(s for s in scores if s >= best) for t, value in others.items() if value > found - 1e-9)


def test_thresholds_by_hand():
    assert best_threshold([0.9, 0.8, 0.2, 0.1], [True, True, False, False]) == 0.5
    assert best_threshold([0.3, 0.3], [True, False]) == 0.3  # nothing to choose
    assert best_threshold([0.1, 0.9], [True, False]) == 0.1  # the wrong way round: everything is called forged
    close = np.nextafter(0.5, 1)
    assert best_threshold([close, 0.5], [True, False]) == close  # no number lies between them


def test_calibration_by_hand():
    said, truth = [0.1, 0.1, 0.9, 0.9, 1.0], [False, True, True, True, True]
    bins = reliability(said, truth)
    assert bins.predicted == pytest.approx([0.1, 0.9, 1.0])
    assert bins.observed.tolist() == [0.5, 1.0, 1.0]
    assert bins.n_videos.tolist() == [2, 2, 1]
    assert expected_calibration_error(said, truth) == pytest.approx((2 * 0.4 + 2 * 0.1) / 5)
    assert brier(said, truth) == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 5)
    assert expected_calibration_error([0.0, 1.0], [False, True]) == 0


def test_saying_the_share_of_the_forged_is_calibrated_and_no_constant_is_better():
    truth = np.arange(12) < 9
    assert expected_calibration_error(np.full(12, 0.75), truth) == 0
    errors = {share: brier(np.full(12, share), truth) for share in np.linspace(0, 1, 21)}
    assert min(errors, key=errors.__getitem__) == pytest.approx(0.75)


def test_a_draw_of_one_kind_has_no_order_but_the_bootstrap_lives():
    ranked = BinaryScores.of(*FOUR)
    assert np.isnan([ranked.auc(**ONE_KIND), ranked.eer(**ONE_KIND), balanced_accuracy(*FOUR, 0.5, **ONE_KIND)]).all()
    assert ranked.precision(**ONE_KIND) == 1
    assert np.isnan(ranked.precision(1 - np.array(FOUR[1])))
    assert np.isnan(accuracy([], [], 0.5))
    low, high = bootstrap_interval(ranked.eer, 4, n_resamples=100)
    assert 0 <= low <= ranked.eer() <= high <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eer([0.1, 0.2], [True]), "one score per video, got 2 scores, 0 of them NaN, for 1 videos"),
        (lambda: eer([0.1, np.nan], [True, False]), "1 of them NaN"),
        (lambda: score_precision([0.1, 0.2], [True, True]), "forged and real videos, got 2 forged and 0 real"),
        (lambda: best_threshold([], []), "got 0 forged and 0 real"),
        (lambda: accuracy([0.1], [True], 0.5, [1, 2]), "one for each of 1 videos, got 2"),
    ],
)
def test_what_cannot_be_rated_is_told(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_a_probability_is_a_share():
    for number in (brier, expected_calibration_error):
        with pytest.raises(UsageError, match=r"numbers in 0\.\.1, got -0.5 to 1.5"):
            number([-0.5, 1.5], [True, False])
