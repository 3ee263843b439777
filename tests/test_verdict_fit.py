"""Fitting a verdict head: it finds what there is to find, comes out the same again, and refuses what must not be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.boundary_map import peak
from fakespan.checkpoint.head import head_entry, load_head, save_head
from fakespan.config import VerdictConfig
from fakespan.errors import ConfigError, DataError, UsageError
from fakespan.metrics import auc
from fakespan.metrics.binary import balanced_accuracy
from fakespan.models.verdict_head import CALIBRATION_FLOOR, VerdictMLP
from fakespan.verdict.fit import fit_head
from fakespan.verdict.leakage import check_apart, shared_clips
from fakespan.verdict.learn import Features, learn
from fakespan.verdict.platt import MIN_SCALE, clipped, fit_calibration, fit_way
from fakespan.verdict.ways import frame_maximum, score_maps, top_proposal
from verdict_maps import blind_to_the_maximum, plain, stored

SMALL = VerdictConfig(
    rows=8, columns=8, widths=(16, 8), dropout=0.1, restarts=2, epochs=40, patience=8, batch_size=16, learning_rate=1e-2
)


@pytest.fixture(scope="module")
def splits():
    return {name: stored(name, plain, seed=k) for k, name in enumerate(("train", "val", "test"))}


@pytest.fixture(scope="module")
def head(splits):
    return fit_head(splits["train"], splits["val"], SMALL)


def test_maps_that_tell_the_kinds_apart_are_told_apart(splits, head):
    found = score_maps(splits["test"], head)
    assert auc(found.scores["mlp"], found.forged) > 0.97
    assert auc(found.scores["maximum"], found.forged) == 1
    assert 0.3 < head.maximum.raw_threshold < 0.6
    for way, scores in found.scores.items():
        if way in ("maximum", "mlp"):
            said = np.array([head.probability(score, way) for score in scores])
            assert auc(said, found.forged) > 0.97
            assert balanced_accuracy(said, found.forged, head.fit_of(way).threshold) > 0.9
    assert set(head.others) == {"frames", "proposal"}


def test_the_network_sees_what_the_maximum_is_blind_to():
    sides = [stored(name, blind_to_the_maximum, 80, seed=k) for k, name in enumerate(("train", "val", "test"))]
    head = fit_head(sides[0], sides[1], SMALL)
    found = score_maps(sides[2], head)
    areas = {way: auc(scores, found.forged) for way, scores in found.scores.items()}
    assert areas["maximum"] < 0.5
    assert areas["mlp"] > 0.97


def test_a_way_that_points_the_wrong_way_is_hardly_believed():
    sides = [stored(name, blind_to_the_maximum, 40, seed=k) for k, name in enumerate(("train", "val"))]
    head = fit_head(*sides, SMALL)
    assert head.maximum.calibration.scale == MIN_SCALE
    assert [head.probability(score, "maximum") for score in (0.1, 0.9)] == pytest.approx([0.5, 0.5], abs=0.01)


def noise(generator: np.random.Generator, is_fake: bool) -> np.ndarray:
    return generator.random((8, 20)) * 0.3


def test_the_way_that_orders_the_validation_videos_better_decides(tmp_path):
    sides = [stored(name, blind_to_the_maximum, 40, seed=k) for k, name in enumerate(("train", "val"))]
    assert fit_head(*sides, SMALL).way == "mlp"
    lost = stored("train", noise, 40), stored("val", plain, 40, seed=1)  # a network that learned nothing
    head = fit_head(*lost, SMALL)
    assert head.notes["validation_auc"]["mlp"] < head.notes["validation_auc"]["maximum"]
    assert head.way == "maximum"
    assert head.score(np.full((8, 20), 0.4, np.float32)) == pytest.approx(0.4)
    assert fit_head(*lost, SMALL, way="mlp").way == "mlp"
    save_head(tmp_path / "head", head)
    assert load_head(tmp_path / "head").way == "maximum"


def test_a_network_that_is_missing_cannot_decide(head):
    with pytest.raises(UsageError, match="a method of this head, got 'mlp'"):
        replace(head, mlp=None, mlp_fit=None, decides="mlp")


def test_the_same_maps_give_the_same_head_bit_for_bit(splits, head, tmp_path):
    torch.manual_seed(99)  # what happened before does not matter
    before, n_threads = torch.random.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    again = fit_head(splits["train"], splits["val"], SMALL)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(n_threads)
    assert torch.equal(torch.random.get_rng_state(), before)
    paths = tmp_path / "a", tmp_path / "b"
    for path, fitted in zip(paths, (head, again), strict=True):
        save_head(path, fitted)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = fit_head(splits["train"], splits["val"], replace(SMALL, seed=7))
    assert not torch.equal(other.mlp.layers[0].weight, head.mlp.layers[0].weight)


def test_a_head_says_what_it_was_fitted_on(head, tmp_path):
    save_head(tmp_path / "head", head)
    found = load_head(tmp_path / "head")
    assert head_entry(found) == head_entry(head)
    assert found.notes["train"] == {
        "data": "dfdc:tiny", "split": "train", "clips": 60, "fake": 30, "fakes_of_unknown_original": 0,
        "digest": "train-0",
    }  # fmt: skip
    assert found.model == head.model
    assert len(found.notes["mlp"]["restart_aucs"]) == SMALL.restarts
    assert found.notes["validation_auc"]["mlp"] == pytest.approx(max(found.notes["mlp"]["restart_aucs"]))


def test_progress_says_what_is_being_done(splits):
    told = []
    few = VerdictConfig(rows=4, columns=4, widths=(4, 4), restarts=2, epochs=2)
    fit_head(
        splits["train"], splits["val"], few, progress=lambda done, total, note="": told.append((done, total, note))
    )
    assert list(dict.fromkeys(word for _, _, word in told)) == [
        "train maps", "validation maps", "training", "thresholds"
    ]  # fmt: skip
    assert all(0 < done <= total for done, total, _ in told)


def test_long_clips_are_judged_by_their_best_window():
    """A fake of several windows has its forgery in one of them alone."""

    def long(generator, is_fake):
        found = generator.random((8, 100)) * 0.3
        if is_fake:
            found[:, (begin := generator.integers(90)) : begin + 3] = 0.8
        return found

    head = fit_head(*(stored(name, long, 40, seed=k) for k, name in enumerate(("train", "val"))), SMALL)
    found = score_maps(stored("test", long, 40, seed=3), head)
    assert auc(found.scores["mlp"], found.forged) > 0.95


def test_many_fakes_weigh_no_more_than_a_few_real_clips():
    clips = [np.zeros((1, 3), np.float32)] * 6
    weights = Features.of(clips, np.array([True] * 5 + [False])).weights
    assert weights.tolist() == pytest.approx([0.6] * 5 + [3.0])
    assert float(weights.mean()) == pytest.approx(1)


def test_the_largest_window_counts_and_no_other():
    torch.manual_seed(0)
    rows = [np.random.default_rng(k).normal(size=(n, 4 * 6)).astype(np.float32) for k, n in enumerate((1, 3, 2))]
    features = Features.of(rows, np.array([True, False, True]))
    network = VerdictMLP(24, (5, 4)).eval()
    with torch.inference_mode():
        together = features.logits(network, torch.tensor([2, 0, 1]))
        apart = [float(network(torch.from_numpy(rows[k])).max()) for k in (2, 0, 1)]
    assert together.tolist() == pytest.approx(apart)


def test_the_best_restart_is_kept_and_training_stops_early(splits):
    generator = np.random.default_rng(0)
    train, validation = (
        Features.of([generator.normal(size=(1, 80)).astype(np.float32) for _ in range(30)], np.arange(30) < 15)
        for _ in range(2)
    )
    config = replace(SMALL, restarts=4, epochs=100, patience=3)
    found = learn(train, validation, config)
    assert found.auc == max(found.aucs)
    assert found.seed == config.seed + found.aucs.index(found.auc)
    assert found.epoch < 100
    assert len({*found.aucs}) > 1


def test_a_training_that_diverges_is_told(splits):
    with pytest.raises(ConfigError, match=r"learning_rate: .* no finite loss in any restart; reduce it"):
        fit_head(splits["train"], splits["val"], replace(SMALL, learning_rate=1e30))


def with_original(original):
    return lambda entry: replace(entry, original=original) if entry.label else entry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.with_model(digest="f" * 64, name="other"), r"model tiny \(0123456789ab\).* of other \(ffffff"),
        (lambda s: s.with_model(max_duration=9), r"val: expected maps of rows \(D\) 8 as for training, got 9"),
        (lambda s: s.with_model(n_frames=64), r"frames \(T\) 32 as for training, got 64"),
        (lambda s: s.with_model(clock="stretch"), "clock pad as for training, got stretch"),
        (lambda s: s.only(lambda e: e.label == 1), "fake and of real clips, got 30 fake and 0 real"),
        (lambda s: s.only(lambda e: e.label == 0), "got 0 fake and 30 real"),
        (lambda s: s.only(lambda e: False), "got 0 fake and 0 real"),
        (lambda s: s.with_entries(with_original("train40.mp4")), "1 in both, for instance train40.mp4"),
        (lambda s: s.with_entries(with_original("of-train3.mp4")), "--allow-shared-originals"),
        (lambda s: s.with_entries(lambda e: replace(e, name=e.name.replace("val", "train"))), "60 in both"),
        (lambda s: replace(s, maps=(np.full((8, 20), np.nan, np.float32), *s.maps[1:])), "val0.mp4: .* got NaN"),
    ],
)  # fmt: skip
def test_what_must_not_be_fitted_is_refused(splits, change, message):
    with pytest.raises(DataError, match=message):
        fit_head(splits["train"], change(splits["val"]), SMALL)


def test_shared_originals_can_be_wanted_and_are_noted(splits):
    few = VerdictConfig(rows=4, columns=4, widths=(4, 4), restarts=1, epochs=2)
    val = splits["val"].with_entries(with_original("train40.mp4"))
    assert fit_head(splits["train"], val, few, allow_shared_originals=True).notes["shared_originals"] == 1


def test_who_knows_whom(splits):
    """An original, its fake and the fake of the fake: whoever holds one of them knows its original."""
    train, val = splits["train"].entries, splits["val"].entries
    assert shared_clips(train, val) == check_apart(train, val) == ()
    original, fake = replace(train[40], name="o.mp4"), replace(train[0], name="f.mp4", original="o.mp4")
    again = replace(train[0], name="g.mp4", original="f.mp4")
    assert shared_clips([original], [fake]) == ("o.mp4",)
    assert shared_clips([fake], [replace(fake, name="h.mp4")]) == ("o.mp4",)
    assert shared_clips([again], [fake]) == ("f.mp4",)
    assert shared_clips([original], [again]) == ()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=60))
@settings(max_examples=60, deadline=None)
def test_calibration_is_finite_rises_and_is_right_on_average(pairs):
    scores, truth = np.array([s for s, _ in pairs]), np.array([t for _, t in pairs])
    fitted = fit_calibration(scores, truth)
    grid = np.linspace(0, 1, 101)
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert (np.diff(fitted(grid)) >= 0).all()
    n_fake, n_real = truth.sum(), (~truth).sum()
    targets = np.where(truth, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    assert fitted(scores).mean() == pytest.approx(targets.mean(), abs=1e-4)


@given(st.floats(-2, 2), st.floats(0.2, 3), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_calibration_finds_what_made_the_labels(offset, scale, seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, 20_000)
    truth = generator.random(20_000) < 1 / (1 + np.exp(-(scale * logits + offset)))
    fitted = fit_calibration(1 / (1 + np.exp(-logits)), truth)
    assert (fitted.scale, fitted.offset) == (pytest.approx(scale, abs=0.2), pytest.approx(offset, abs=0.2))


def test_no_other_slope_is_likelier():
    """A slow twin: the likelihood on a grid around what Newton found."""
    generator = np.random.default_rng(1)
    scores, truth = generator.random(50), generator.random(50) < 0.6
    scores[truth] = scores[truth] ** 0.5
    fitted = fit_calibration(scores, truth)
    n_fake, n_real = truth.sum(), (~truth).sum()
    targets = np.where(truth, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    logits = np.log(scores / (1 - scores))

    def loss(scale, offset):
        said = 1 / (1 + np.exp(-(scale * logits + offset)))
        return -(targets * np.log(said) + (1 - targets) * np.log(1 - said)).sum()

    around = [(fitted.scale + a, fitted.offset + b) for a in (-0.01, 0, 0.01) for b in (-0.01, 0, 0.01)]
    assert min(around, key=lambda weights: loss(*weights)) == (fitted.scale, fitted.offset)


def test_scores_that_part_the_kinds_give_finite_numbers_and_ones_that_say_nothing_the_share():
    parted = fit_way([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert parted.raw_threshold == pytest.approx(0.5)
    assert parted.threshold == pytest.approx(0.5)
    assert 0.2 < parted.calibration(0.0) + parted.calibration(1.0) < 1.5
    silent = fit_way([0.4] * 10, [True] * 8 + [False] * 2)
    assert float(silent.calibration(0.4)) == pytest.approx((8 * 9 / 10 + 2 * 1 / 4) / 10, abs=1e-3)
    assert clipped([0, 1]).tolist() == [CALIBRATION_FLOOR, 1 - CALIBRATION_FLOOR]


def test_cheap_ways():
    score_map = np.array([[0.9, 0.1, 0.2], [0.3, 0.5, 0.0]], np.float32)
    assert top_proposal(score_map) == 0.5  # spans of one frame are no published proposals
    assert top_proposal(np.zeros((1, 4), np.float32)) == 0
    assert peak(score_map) == pytest.approx(0.9)
    nothing = np.full((2, 3), np.nan, np.float32)
    assert frame_maximum(nothing) == 0
    nothing[1, 2] = 0.25
    assert frame_maximum(nothing) == 0.25


def test_the_top_proposal_is_the_largest_that_is_decoded():
    generator = np.random.default_rng(0)
    for _ in range(20):
        score_map = generator.random((6, 12)).astype(np.float32)
        inside = [score_map[d, t] for d in range(1, 6) for t in range(12) if t + d <= 12]
        assert top_proposal(score_map) == pytest.approx(max(inside))
