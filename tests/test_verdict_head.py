"""A map in numbers, windows of a long one, calibration, and a head in its file."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.torch import load_file, save_file

from fakespan.boundary_map import peak
from fakespan.checkpoint import is_head, load_checkpoint, load_head, save_head
from fakespan.errors import CheckpointError, UsageError
from fakespan.models.digest import weights_digest
from fakespan.models.map_features import map_features, map_windows, n_features
from fakespan.models.verdict_head import Calibration, Head, VerdictMLP, WayFit
from fakespan.windows import windows
from heads import CONFIG, MAXIMUM, MLP, MODEL, a_head, random_mlp

SCORES = st.floats(0, 1, width=32)
MAPS = npst.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 30)),
    elements=st.floats(0, 1, width=32),
)


def random_map(n_rows: int, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n_rows, n)).astype(np.float32)


# -- what the network sees


def slow_features(score_map: np.ndarray, rows: int, columns: int) -> list[float]:
    """The docstring of `map_features`, cell by cell."""
    longest, n = score_map.shape
    grid = []
    for r in range(rows):
        for c in range(columns):
            best = 0.0
            for d in range(math.floor(r * longest / rows), math.ceil((r + 1) * longest / rows)):
                for t in range(math.floor(c * n / columns), math.ceil((c + 1) * n / columns)):
                    if t + d + 1 <= n:  # the span [t, t + d + 1] ends within the clip
                        best = max(best, float(score_map[d, t]))
            held = min(max(best, 0.001), 0.999)
            grid.append(math.log(held / (1 - held)))
    by_row = [grid[r * columns : (r + 1) * columns] for r in range(rows)]
    return [*grid, *map(max, by_row), *(sum(row) / columns for row in by_row)]


@given(MAPS, st.integers(1, 6), st.integers(1, 12))
def test_features_are_what_their_docstring_says(score_map, rows, columns):
    fast = map_features(score_map, rows, columns)
    assert fast.dtype == np.float32
    assert fast.shape == (n_features(rows, columns),)
    np.testing.assert_allclose(fast, slow_features(score_map, rows, columns), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 3, 31, 32, 33, 512])
def test_a_clip_of_any_length_gives_as_many_numbers(n):
    features = map_features(random_map(40, n), 20, 32)
    assert features.shape == (20 * 34,)
    assert np.isfinite(features).all()


@given(MAPS, MAPS)
def test_spans_beyond_the_clip_say_nothing(score_map, other):
    """What a network answers of padding must not matter, and neither must the corner of a clip's own columns."""
    longest, n = score_map.shape
    beyond = np.arange(n) + np.arange(longest)[:, None] >= n
    noise = np.resize(other, score_map.shape)
    spoilt = np.where(beyond, noise, score_map)
    np.testing.assert_array_equal(map_features(spoilt, 3, 4), map_features(score_map, 3, 4))


@given(MAPS)
def test_the_largest_number_is_that_of_the_map_s_peak(score_map):
    held = min(max(peak(score_map), 0.001), 0.999)
    assert map_features(score_map, 3, 4).max() == pytest.approx(math.log(held / (1 - held)), rel=1e-4)


@pytest.mark.parametrize("shape", [(4, 0), (0, 4), (4,), (1, 4, 4)])
def test_what_is_no_map_is_told(shape):
    with pytest.raises(UsageError, match=r"map: expected an array \(D, n\), n > 0"):
        map_features(np.zeros(shape, np.float32), 2, 2)


# -- long maps


@given(st.integers(1, 12), st.integers(1, 90), st.integers(2, 25))
def test_windows_lie_where_media_windows_lays_them(n_rows, n, size):
    score_map = random_map(n_rows, n)
    parts = map_windows(score_map, size)
    wanted = [score_map[:, w.begin : w.end] for w in windows(n, size, min(2 * n_rows, size // 2))]
    assert len(parts) == len(wanted)
    for part, other in zip(parts, wanted, strict=True):
        np.testing.assert_array_equal(part, other)


@given(st.integers(0, 199), st.integers(1, 10))
def test_a_span_anywhere_in_a_long_map_is_whole_in_a_window(begin, length):
    begin = min(begin, 200 - length)
    score_map = np.zeros((10, 200), np.float32)
    score_map[length - 1, begin] = 0.9
    assert max(peak(part) for part in map_windows(score_map, 64)) == np.float32(0.9)


def test_the_score_of_a_long_map_is_the_largest_of_its_windows():
    head, best = a_head(), set()
    for seed in range(12):
        score_map = random_map(10, 150, seed) ** 8
        parts = map_windows(score_map, MODEL.n_frames)
        features = np.stack([map_features(part, CONFIG.rows, CONFIG.columns) for part in parts])
        with torch.inference_mode():
            by_hand = head.mlp(torch.from_numpy(features)).sigmoid().tolist()
        assert head.score(score_map) == pytest.approx(max(by_hand), rel=1e-6)
        assert head.score(score_map, "maximum") == peak(score_map)
        best.add(by_hand.index(max(by_hand)))
    assert best == {0, 1, 2}  # each window was the largest once


# -- a head


def test_the_network_decides_where_there_is_one():
    head, alone = a_head(), a_head(with_mlp=False)
    assert (head.way, head.fit_of()) == ("mlp", MLP)
    assert (alone.way, alone.fit_of()) == ("maximum", MAXIMUM)
    score_map = random_map(10, 30)
    assert alone.score(score_map) == head.score(score_map, "maximum") == peak(score_map)
    assert head.probability(0.41) == pytest.approx(MLP.threshold)
    assert head.probability(0.7, "maximum") == alone.probability(0.7) == pytest.approx(MAXIMUM.threshold)


def test_dropout_is_for_training_alone():
    mlp = random_mlp().train()
    head = a_head(mlp=mlp)
    assert head.score(random_map(10, 30)) == head.score(random_map(10, 30))


def test_a_way_that_the_head_lacks_is_told():
    alone = a_head(with_mlp=False)
    for ask in (lambda: alone.fit_of("mlp"), lambda: alone.score(random_map(10, 30), "mlp")):
        with pytest.raises(UsageError, match=r"expected maximum, got mlp; this head has no network"):
            ask()


def test_a_map_of_another_model_is_told():
    for shape in ((9, 30), (30,)):
        with pytest.raises(UsageError, match=r"expected shape \(10, n\), got \((9, 30|30,)\)"):
            a_head().score(np.zeros(shape, np.float32), "maximum")


@pytest.mark.parametrize("parts", [{"mlp": None}, {"mlp_fit": None}])
def test_half_a_head_is_told(parts):
    with pytest.raises(UsageError, match="a network and its threshold"):
        a_head(**parts)


def test_what_hardly_varies_is_not_blown_up():
    """Nor is what lies far from all training maps: a clip of another length must not shout every other number down."""
    mlp = VerdictMLP(2)
    mlp.standardise(torch.tensor([[1.0, 0.0], [1.0, 2.0]]))
    assert mlp.mean.tolist() == [1, 1]
    assert mlp.std.tolist() == pytest.approx([0.05, 1])
    mlp.eval()
    assert mlp(torch.tensor([[1e6, 1.0]])).item() == mlp(torch.tensor([[1e9, 1.0]])).item()


# -- calibration


@given(st.floats(0, 50), st.floats(-50, 50), SCORES, SCORES)
def test_a_higher_score_is_never_a_lower_probability(scale, offset, one, other):
    low, high = Calibration(scale, offset)(sorted([one, other]))
    assert 0 <= low <= high <= 1


@given(st.floats(1e-5, 1 - 1e-5))
def test_without_a_change_the_probability_is_the_score(score):
    assert float(Calibration()(score)) == pytest.approx(score, rel=1e-6)


@given(st.floats(0.1, 5), st.floats(-3, 3), st.floats(0.01, 0.99))
def test_calibration_is_platt_s_formula(scale, offset, score):
    wanted = 1 / (1 + math.exp(-(scale * math.log(score / (1 - score)) + offset)))
    assert float(Calibration(scale, offset)(score)) == pytest.approx(wanted, rel=1e-9)


@given(st.floats(0.1, 5), st.floats(-3, 3), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_both_thresholds_of_a_way_decide_alike(scale, offset, threshold, score):
    fit = WayFit.of(threshold, Calibration(scale, offset))
    if abs(score - threshold) > 1e-9:
        assert (float(fit.calibration(score)) >= fit.threshold) == (score >= fit.raw_threshold)


@pytest.mark.parametrize(("scale", "offset"), [(-0.1, 0), (math.nan, 0), (math.inf, 0), (1, math.nan)])
def test_what_is_no_calibration_is_told(scale, offset):
    with pytest.raises(UsageError, match="expected finite numbers, scale >= 0"):
        Calibration(scale, offset)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_what_is_no_threshold_is_told(threshold):
    with pytest.raises(UsageError, match=r"raw_threshold: expected a number in 0\.\.1"):
        WayFit(0.5, threshold, Calibration())


# -- whose maps


def test_the_digest_knows_weights_by_name_shape_type_and_value():
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    digest = weights_digest(state)
    assert len(digest) == 64
    assert weights_digest(dict(reversed(state.items()))) == digest
    assert weights_digest({**state, "a": state["a"].t().contiguous().t()}) == digest  # the same, laid out otherwise
    changes = [
        {"a": state["a"].reshape(3, 2)},
        {"a": state["a"].double()},
        {"a": state["a"] + 1e-6},
        {"b": torch.tensor(4)},
        {"c": torch.zeros(0)},
    ]
    others = [weights_digest({**state, **change}) for change in changes]
    others.append(weights_digest({"x": state["a"], "b": state["b"]}))
    assert len({digest, *others}) == 7


# -- in a file


def same(one: Head, other: Head) -> bool:
    """All of two heads, their networks' weights bit by bit."""
    states = [{} if h.mlp is None else h.mlp.state_dict() for h in (one, other)]
    weights = states[0].keys() == states[1].keys() and all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    return weights and dataclasses.replace(one, mlp=other.mlp) == other


@pytest.fixture
def path(tmp_path):
    """A head in a file."""
    save_head(tmp_path / "head.safetensors", a_head())
    return tmp_path / "head.safetensors"


@settings(max_examples=20, deadline=None)
@given(st.booleans(), st.floats(0, 10), st.floats(-10, 10), st.floats(0, 1))
def test_a_head_comes_back_bit_for_bit(tmp_path_factory, with_mlp, scale, offset, threshold):
    fit = WayFit.of(threshold, Calibration(scale, offset))
    head = a_head(with_mlp=with_mlp, maximum=fit, others={"frames": fit})
    file = tmp_path_factory.mktemp("head") / "head.safetensors"
    save_head(file, head)
    assert same(load_head(file), head)


def test_a_head_that_came_back_says_the_same(path):
    for n in (1, 5, 64, 200):
        score_map = random_map(10, n, seed=n)
        assert load_head(path).score(score_map) == a_head().score(score_map)


def test_loading_leaves_the_random_numbers_alone(path):
    torch.manual_seed(1)
    load_head(path)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))


def test_an_older_head_is_replaced_and_nothing_is_left_beside_it(path):
    save_head(path, a_head(notes={"data": "other"}))
    assert load_head(path).notes == {"data": "other"}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"notes": {"auc": math.nan}}, "expected JSON-serialisable notes"),
        ({"notes": {"path": object()}}, "expected JSON-serialisable notes"),
        ({"mlp": "nan"}, "expected finite weights, got infinite or NaN values in layers"),
    ],
)
def test_a_head_that_cannot_be_kept_leaves_the_older_one(path, changes, said):
    if changes.get("mlp") == "nan":
        changes = {"mlp": random_mlp()}
        torch.nn.init.constant_(changes["mlp"].layers[0].weight, math.nan)
    with pytest.raises(CheckpointError, match=said):
        save_head(path, a_head(**changes))
    assert same(load_head(path), a_head())
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="expected a writable folder"):
        save_head(tmp_path / "none" / "head.safetensors", a_head())


def rewritten(path, change=None, **tensors):
    """The file with another header or other tensors; a tensor that is None is left out."""
    state = {key: value for key, value in {**load_file(path), **tensors}.items() if value is not None}
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    entry = json.loads(header["__metadata__"]["fakespan.verdict"])
    save_file(state, path, metadata={"fakespan.verdict": change if isinstance(change, str) else json.dumps(
        {key: value for key, value in {**entry, **(change or {})}.items() if value != "left out"})})  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "expected a verdict head of format 1, got format 2; update fakespan"),
        ({"format": "left out"}, "expected a readable verdict head, got KeyError: 'format'"),
        ({"maximum": "left out"}, "expected a readable verdict head, got KeyError: 'maximum'"),
        ({"maximum": {"threshold": 0.5}}, "expected a readable verdict head, got TypeError"),
        ({"config": {"row": 3}}, "the key 'row' instead of known keys only; did you mean rows"),
        ({"config": {"rows": 5}}, r"expected mean of shape \(\d+,\) by its config, got \(18,\)"),
        ({"config": {"rows": 10**9}}, r"expected mean of shape \(\d+,\) by its config"),
        ({"mlp": None}, r"expected the weights of its verdict network, got \d+ unknown"),
        ({"mlp": {"threshold": 0.5, "raw_threshold": 7, "calibration": {}}}, "raw_threshold"),
        ({"notes": 3}, "expected a readable verdict head"),
        ("[1]", "expected a readable verdict head"),
        ("{", "expected a readable fakespan header"),
        ("[" * 100_000, "expected a readable fakespan header"),
    ],
)
def test_a_header_that_does_not_fit_is_told(path, change, said):
    with pytest.raises(CheckpointError, match=said):
        load_head(rewritten(path, change))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mean", None, r"got 1 missing \(first: mean\)"),
        ("more", torch.zeros(1), r"got 1 unknown \(first: more\)"),
        ("std", torch.zeros(3), r"expected std of shape \(18,\) by its config, got \(3,\)"),
        ("layers.6.bias", torch.tensor([math.inf]), r"infinite or NaN values in layers\.6\.bias"),
    ],
)
def test_weights_that_do_not_fit_are_told(path, name, value, said):
    with pytest.raises(CheckpointError, match=said):
        load_head(rewritten(path, **{name: value}))


def test_a_damaged_or_foreign_file_is_told(path, tmp_path):
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="expected a safetensors file, got a damaged one"):
            load_head(path)
        assert not is_head(path)
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="a verdict head of fakespan, got safetensors of another program"):
        load_head(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="got a damaged one"):
        load_head(tmp_path / "none.safetensors")


def test_a_head_and_a_model_are_told_apart(path, tiny_path):
    assert is_head(path)
    assert not is_head(tiny_path)
    with pytest.raises(CheckpointError, match="expected a verdict head of fakespan, got a model file of fakespan"):
        load_head(tiny_path)
    with pytest.raises(CheckpointError, match="expected a model file of fakespan, got a verdict head of fakespan"):
        load_checkpoint(path)
