"""The boundary module against its dense twin: the layers as the papers write them, with the full sampling matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from fakespan.models.boundary import BoundaryModule
from fakespan.models.sampling import sample_points, sampling_bags, transpose
from golden_cases import GOLDEN, fill_state

SAMPLINGS = ["bmn", "reference"]


def dense_weights(n_frames: int, max_duration: int, n_samples: int, sampling: str) -> np.ndarray:
    """(T, N, D, T): how much of a frame goes into a sample of a proposal, cell by cell, as one would explain it."""
    weights = np.zeros((n_frames, n_samples, max_duration, n_frames), np.float32)
    for d in range(max_duration):
        for t in range(n_frames):
            end = d + 1 if sampling == "reference" else t + d + 1
            last = n_frames - 1 if sampling == "reference" else n_frames
            if t + d + 1 > last:
                continue
            length = end - t
            for n in range(n_samples):
                point = t - length / 2 + n * 2 * length / (n_samples - 1)
                if not 0 <= point <= n_frames - 1:
                    continue
                low = int(np.floor(point))
                if point == low:
                    weights[low, n, d, t] = 2 if sampling == "reference" else 1
                else:
                    weights[low, n, d, t] = low + 1 - point
                    weights[low + 1, n, d, t] = point - low
    return weights


def dense_map(module: BoundaryModule, features: torch.Tensor) -> torch.Tensor:
    """Sample everything, convolve over the samples, then the 2-D convolutions."""
    proposals = module.proposals
    weights = dense_weights(features.shape[-1], proposals.max_duration, proposals.n_samples, proposals.sampling)
    x = torch.einsum("bcf,fndt->bcndt", features, torch.from_numpy(weights))
    x = F.leaky_relu(proposals.sampled(x).squeeze(2), 0.01)
    x = F.leaky_relu(proposals.project(x), 0.01)
    x = F.leaky_relu(module.context(x), 0.01)
    return torch.sigmoid(module.score(x)).squeeze(1)


def filled(n_features=7, widths=(12, 6), max_duration=9, n_samples=5, sampling="bmn") -> BoundaryModule:
    module = BoundaryModule(n_features, widths, max_duration, n_samples, sampling)
    module.load_state_dict(fill_state(module.state_dict()))
    return module


@pytest.mark.parametrize("name", ["T16_N4_D6", "T40_N10_D12"])
def test_reference_sampling_is_the_published_matrix(name):
    with np.load(GOLDEN / f"sampling_{name}.npz") as arrays:
        published = arrays["weight"]
    n_frames, n_samples, max_duration, _ = published.shape
    ours = sampling_bags(n_frames, np.arange(max_duration), n_samples, "reference").dense(n_frames * n_samples)
    ours = ours.reshape(max_duration, n_frames, n_frames, n_samples).transpose(2, 3, 0, 1)
    np.testing.assert_allclose(ours, published, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@given(n_frames=st.integers(1, 20), max_duration=st.integers(1, 9), n_samples=st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_bags_are_the_dense_matrix(sampling, n_frames, max_duration, n_samples):
    bags = sampling_bags(n_frames, np.arange(max_duration), n_samples, sampling)
    n_rows = n_frames * n_samples
    want = dense_weights(n_frames, max_duration, n_samples, sampling).transpose(2, 3, 0, 1).reshape(-1, n_rows)
    np.testing.assert_allclose(bags.dense(n_rows), want, rtol=0, atol=1e-5)
    n_bags = max_duration * n_frames
    np.testing.assert_array_equal(transpose(bags, n_rows).dense(n_bags), bags.dense(n_rows).T)


def test_bmn_samples_from_half_a_length_before_to_half_a_length_after():
    points = sample_points(32, np.array([7]), 5, "bmn")[0, 10]
    np.testing.assert_allclose(points, [6, 10, 14, 18, 22])


def test_bmn_keeps_the_span_that_ends_with_the_last_frame():
    points = sample_points(16, np.array([3]), 4, "bmn")[0]
    assert np.isfinite(points[12]).all()
    assert np.isnan(points[13:]).all()


def test_bmn_weights_of_a_sample_inside_the_clip_sum_to_one():
    weights = sampling_bags(32, np.array([3]), 4, "bmn", n_begins=20).dense(32 * 4)[10]
    np.testing.assert_allclose(weights.reshape(32, 4).sum(axis=0), 1, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("n_frames", [4, 9, 30])
def test_map_and_gradients_are_those_of_the_dense_way(sampling, n_frames):
    module, rng = filled(sampling=sampling), torch.Generator().manual_seed(1)
    features = torch.randn(2, 7, n_frames, generator=rng, requires_grad=True)
    wanted, got = dense_map(module, features), module(features)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    direction = torch.randn(wanted.shape, generator=rng)
    leaves = [features, *module.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((got * direction).sum(), leaves),
        torch.autograd.grad((wanted * direction).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_wide_map_is_that_of_the_dense_way(sampling):
    module = filled(65, (64, 32), 20, 10, sampling)  # several groups of cells
    features = torch.randn(1, 65, 256, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(module(features), dense_map(module, features), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_gradients_agree_with_finite_differences(sampling):
    proposals = filled(2, (3, 2), 2, 3, sampling).double().proposals
    features = torch.randn(1, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(proposals, (features,))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("n_begins", [1, 10, 29, 30, 99])
def test_only_the_asked_begins_are_computed(sampling, n_begins):
    module = filled(sampling=sampling)
    features = torch.randn(1, 7, 30)
    with torch.no_grad():
        whole, part = module(features), module(features, n_begins)
    torch.testing.assert_close(part[..., :n_begins], whole[..., :n_begins], rtol=0, atol=1e-6)
    assert part.shape == whole.shape
    assert (part[..., n_begins:] == 0).all()


def test_sampling_tables_are_kept_for_a_few_lengths_only():
    proposals = filled().proposals
    with torch.no_grad():
        for n_frames in range(10, 20):
            proposals(torch.randn(1, 7, n_frames))
    assert len(proposals._tables) <= 4


def test_the_state_dict_holds_weights_alone_and_in_the_published_layout():
    shapes = {key: tuple(value.shape) for key, value in filled().state_dict().items()}
    assert shapes["proposals.sampled.weight"] == (12, 7, 5, 1, 1)
    assert len(shapes) == 8


def test_bfloat16_gives_about_the_same_map_and_finite_gradients():
    module = filled()
    features = torch.randn(1, 7, 30, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        got = module(features)
    torch.testing.assert_close(got.float(), module(features), rtol=0, atol=0.05)
    got.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (features, *module.parameters()))
