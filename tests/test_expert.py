"""An expert's head and its loss."""

from __future__ import annotations

import pytest
import torch

from fakespan.boundary_map import frame_target, iou_map_target
from fakespan.config import ModelConfig
from fakespan.losses import diou, expert_loss, seams_and_offsets
from fakespan.models.expert import ExpertHead, ExpertOutput

CONFIG = ModelConfig(family="small", n_features=8, max_duration=10, n_samples=4, boundary_widths=(12, 8))
LENGTHS = torch.tensor([40])


def targets(*spans: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (1, 40) and map (1, 10, 40) of spans in seconds."""
    return (
        torch.from_numpy(frame_target(spans, 40))[None],
        torch.from_numpy(iou_map_target(spans, 40, 40, CONFIG.max_duration))[None],
    )


def perfect(frames: torch.Tensor, map_: torch.Tensor) -> ExpertOutput:
    seams, offsets = seams_and_offsets(frames, LENGTHS)
    return ExpertOutput(20 * frames[:, None] - 10, 20 * seams - 10, offsets, map_, frames[:, None])


@pytest.mark.parametrize("n_frames", [1, 17, 60])
def test_the_head_answers_for_every_frame_of_clips_of_any_length(n_frames: int) -> None:
    head = ExpertHead(CONFIG.n_features, CONFIG).eval()
    output = head(torch.randn(2, CONFIG.n_features, n_frames))
    assert output.frames.shape == (2, 1, n_frames)
    assert output.seams.shape == output.offsets.shape == (2, 2, n_frames)
    assert output.map.shape == (2, CONFIG.max_duration, n_frames)
    assert output.evidence.shape == (2, head.n_evidence, n_frames)
    assert (output.offsets >= 0).all()
    assert (output.map >= 0).all()
    assert (output.map <= 1).all()


def test_the_head_learns_a_clip_by_heart() -> None:
    torch.manual_seed(0)
    frames, map_ = targets((0.4, 0.64), (1.0, 1.32))
    features = torch.randn(1, CONFIG.n_features, 40)
    features[:, 0] = 3 * frames
    head = ExpertHead(CONFIG.n_features, CONFIG)
    optimiser = torch.optim.Adam(head.parameters(), 0.01)
    first = expert_loss(head(features), frames, map_, LENGTHS).to_dict()
    for _ in range(150):
        optimiser.zero_grad()
        expert_loss(head(features), frames, map_, LENGTHS).total.backward()
        optimiser.step()
    output = head(features)
    last = expert_loss(output, frames, map_, LENGTHS).to_dict()
    assert all(last[name] < 0.8 * first[name] for name in first)
    assert ((output.frames[0, 0] > 0).float() == frames[0]).all()


def test_the_truth_costs_less_than_any_error() -> None:
    frames, map_ = targets((0.4, 0.8))
    best = expert_loss(perfect(frames, map_), frames, map_, LENGTHS).to_dict()
    other = targets((0.48, 0.88))
    worse = expert_loss(perfect(*other), frames, map_, LENGTHS).to_dict()
    assert best["offsets"] == pytest.approx(0, abs=1e-6)
    assert all(best[name] < worse[name] for name in ("frames", "seams", "map", "offsets"))


def test_a_span_that_the_border_cuts_has_no_seam_there() -> None:
    frames = torch.zeros(1, 40)
    frames[0, :5] = frames[0, 35:] = 1
    seams, _ = seams_and_offsets(frames, LENGTHS)
    assert seams[0, 0].nonzero().flatten().tolist() == [35]
    assert seams[0, 1].nonzero().flatten().tolist() == [4]


def test_padding_changes_nothing() -> None:
    frames, map_ = targets((0.4, 0.8))
    output = perfect(frames, map_)
    n_frames = torch.tensor([30])
    expected = expert_loss(output, frames, map_, n_frames).to_dict()
    frames[0, 31:] = 1
    output.frames[..., 30:] = 7
    output.seams[..., 30:] = 7
    assert expert_loss(output, frames, map_, n_frames).to_dict() == pytest.approx(expected)


def test_clips_without_a_span_have_a_finite_loss_and_gradient() -> None:
    frames, map_ = targets()
    head = ExpertHead(CONFIG.n_features, CONFIG)
    terms = expert_loss(head(torch.randn(1, CONFIG.n_features, 40)), frames, map_, LENGTHS)
    terms.total.backward()
    assert terms.to_dict()["offsets"] == 0
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_diou_grows_with_the_distance_of_spans() -> None:
    truth = torch.tensor([[3.0], [3.0]])
    costs = [float(diou(torch.tensor([[3.0 - d], [3.0 + d]]), truth)) for d in (0.0, 1.0, 2.0)]
    assert costs[0] == pytest.approx(0)
    assert costs == sorted(costs)
    assert costs[2] > costs[1] > 0
