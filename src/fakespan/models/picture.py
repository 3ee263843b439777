"""The video expert: localizes forged spans in mouth crops of any length.

The front end is fixed: the energy of 16 cosine patterns of 4x4 pixels, in fine detail and in frame differences, on an
8x8 grid. This removes most of the identity, so that the network can be trained on few people and generators. The energy
of each pattern is normalised over the grid of the same frame: a benign blur or another encoder, which weakens a pattern
everywhere, has no effect, while a change of the mouth alone stands out. A small encoder processes every frame with its
neighbours; the features, minus the mean of the clip, go through dilated convolutions over time to an `ExpertHead`.

That normalisation does not make it blind to honest softness, because encoders and the floor of the energies are not
linear. Lip-sync tools soften a crop by a few percent, a lens or a dissolve by far more, so a span whose whole crop is
much softer than the clip is discounted (`softness_discount`): what cannot be judged there is not accused.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import SOFT, ModelConfig
from fakespan.models.expert import ExpertHead, ExpertOutput, span_sums
from fakespan.models.small import temporal_stack

__all__ = ["PictureEncoder", "PictureExpert", "log_sharpness", "picture_energies", "softness_discount"]

CELL = 4  # side of a cosine pattern in pixels
N_PATTERNS = CELL * CELL
GRID = 8  # cells per side
N_ENERGIES = 2 * N_PATTERNS + 3
WIDTH, NARROW = 48, 16  # channels of the encoder
DETAIL_FLOOR, CHANGE_FLOOR = 0.05, 0.03  # lower limits of the energies
REPEAT, MOST_REPEATS = 0.01, 5  # largest change of a pixel (of 1) in a repeated picture; longer runs are a freeze
SOFT_RANGE = 0.03  # of log sharpness around `SOFT`, where the score of a span is halved


class PictureExpert(nn.Module):
    """Encoder and head. Faces (B, 3, T, 96, 96) in 0..1 -> `ExpertOutput`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = PictureEncoder(config.n_features)
        self.head = ExpertHead(config.n_features, config)

    def forward(self, video: Tensor, n_frames: Tensor | None = None) -> ExpertOutput:
        """From faces (B, 3, T, 96, 96); `n_frames` (B,) is the length of each clip, default: all."""
        output: ExpertOutput = self.head(self.encoder(video, n_frames))
        if self.training:
            return output
        discount = softness_discount(video, output.map.shape[1], n_frames)
        return dataclasses.replace(output, map=output.map * discount)


class PictureEncoder(nn.Module):
    """Faces (B, 3, T, 96, 96) in 0..1 -> features (B, C, T)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(N_ENERGIES)
        self.first = _conv(3 * N_ENERGIES, WIDTH)
        self.second = _conv(WIDTH, WIDTH)
        self.narrow = nn.Conv2d(WIDTH, NARROW, 1)
        self.project = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(NARROW * GRID * GRID, n_features), nn.LayerNorm(n_features), nn.ReLU()
        )
        self.over_time = temporal_stack(n_features)

    def forward(self, video: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """(B, 3, T, 96, 96) -> (B, C, T)."""
        return self.read(picture_energies(video.transpose(1, 2)), n_frames)

    def read(self, energies: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """`forward` from `picture_energies` (B, T, 35, 8, 8) on: training computes those once."""
        n_clips, length = energies.shape[:2]
        x = self.norm(_against_other_places(energies.float()).flatten(0, 1))
        x = _beside_neighbours(x.unflatten(0, (n_clips, length))).flatten(0, 1)
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        x = x + self.second(_shifted(x, length))
        x = self.project(F.relu(self.narrow(x)).flatten(1))  # (BT, C)
        features = x.view(n_clips, length, -1).transpose(1, 2)
        result: Tensor = self.over_time(features - _clip_mean(features, n_frames))
        return result


def softness_discount(video: Tensor, max_duration: int, n_frames: Tensor | None = None) -> Tensor:
    """How far each span may be judged: near 0 where the whole crop is much softer than the clip.

    In 137 forged excerpts 95 % of the frames lose less than 0.2 of the log sharpness (docs/experiments.md).

    Args:
        video: (B, 3, T, 96, 96) in 0..1.
        max_duration: D.
        n_frames: (B,), the length of each clip; default: all.

    Returns:
        (B, D, T) float32 in 0..1.
    """
    sharp = log_sharpness(video)
    against_clip = sharp - _clip_mean(sharp[:, None], n_frames)[:, 0]
    lengths = span_sums(torch.ones_like(sharp), max_duration)
    return torch.sigmoid((span_sums(against_clip, max_duration) / lengths - SOFT) / SOFT_RANGE)


def log_sharpness(video: Tensor) -> Tensor:
    """Log of the mean strength of edges, (B, 3, T, 96, 96) in 0..1 -> (B, T); at least log(0.5)."""
    luma = 255 * video.float().mean(1)  # (B, T, 96, 96)
    around = luma[..., :-2, 1:-1] + luma[..., 2:, 1:-1] + luma[..., 1:-1, :-2] + luma[..., 1:-1, 2:]
    return torch.log((4 * luma[..., 1:-1, 1:-1] - around).abs().mean((2, 3)) + 0.5)


def picture_energies(faces: Tensor) -> Tensor:
    """Log energies of cosine patterns in detail and frame differences, then brightness and two colours.

    Videos of 10 to 24 pictures a second have repeated ones at 25: these keep the frame differences of what they repeat.

    Args:
        faces: (B, T, 3, 96, 96) in 0..1.

    Returns:
        (B, T, 35, 8, 8) float32.
    """
    faces = faces.float()
    luma = faces.mean(dim=2)  # (B, T, 96, 96)
    mean, spread = luma.mean((2, 3), keepdim=True), luma.std((2, 3), keepdim=True)
    light = (luma - mean) / (spread + 0.05)
    detail = light - F.avg_pool2d(light, 3, stride=1, padding=1, count_include_pad=False)
    usual = detail.abs().mean((2, 3), keepdim=True) + 0.01
    colour = faces[:, :, ::2] - luma[:, :, None]  # (B, T, 2, 96, 96)
    colour = 8 * (colour - colour.mean((3, 4), keepdim=True))
    coarse = torch.cat([light[:, :, None], colour], dim=2).flatten(0, 1)
    parts = [
        _log_energies(detail / usual / 2, DETAIL_FLOOR),
        _held(_log_energies(2 * _change(light), CHANGE_FLOOR), luma),
        F.avg_pool2d(coarse, coarse.shape[-1] // GRID).unflatten(0, luma.shape[:2]),
    ]
    return torch.cat(parts, dim=2)


def _log_energies(images: Tensor, floor: float) -> Tensor:
    """(B, T, 96, 96) -> (B, T, 16, 8, 8)."""
    patterns = _cosines().to(images.device)
    strength = F.conv2d(images.flatten(0, 1)[:, None], patterns, stride=CELL).abs()  # (BT, 16, 24, 24)
    places = F.avg_pool2d(strength, strength.shape[-1] // GRID)
    energies: Tensor = torch.log(places + floor).unflatten(0, images.shape[:2])
    return energies


def _held(changes: Tensor, luma: Tensor) -> Tensor:
    """Energies of changes (B, T, ...), of which those of up to five repeated pictures are those of the one before."""
    is_repeat = F.pad((luma[:, 1:] - luma[:, :-1]).abs().amax((2, 3)) < REPEAT, (1, 0))
    for _ in range(MOST_REPEATS):
        before = torch.cat([changes[:, :1], changes[:, :-1]], dim=1)
        changes = torch.where(is_repeat[:, :, None, None, None], before, changes)
    return changes


def _cosines() -> Tensor:
    """The orthonormal cosine patterns of 4x4 pixels, (16, 1, 4, 4)."""
    k = np.arange(CELL)
    rows = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / CELL) * np.sqrt(2 / CELL)
    rows[0] *= np.sqrt(0.5)
    return torch.from_numpy(np.kron(rows, rows).astype(np.float32)).view(N_PATTERNS, 1, CELL, CELL)


def _against_other_places(energies: Tensor) -> Tensor:
    """Each pattern minus its mean over the frame; brightness and colours already are."""
    patterns, coarse = energies[:, :, : 2 * N_PATTERNS], energies[:, :, 2 * N_PATTERNS :]
    return torch.cat([patterns - patterns.mean((3, 4), keepdim=True), coarse], dim=2)


def _conv(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def _clip_mean(features: Tensor, n_frames: Tensor | None) -> Tensor:
    """(B, C, T) -> (B, C, 1), over each clip's own frames."""
    if n_frames is None:
        return features.mean(dim=2, keepdim=True)
    own = (torch.arange(features.shape[2], device=features.device) < n_frames.to(features.device)[:, None])[:, None]
    return (features * own).sum(dim=2, keepdim=True) / own.sum(dim=2, keepdim=True).clamp(min=1)


def _change(x: Tensor) -> Tensor:
    """Difference from the previous frame, (B, T, ...); zero for the first."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], dim=1)


def _beside_neighbours(x: Tensor) -> Tensor:
    """Each frame with its differences to both neighbours: (B, T, C, H, W) -> (B, T, 3 C, H, W)."""
    change = _change(x)
    return torch.cat([x, change, torch.cat([-change[:, 1:], torch.zeros_like(x[:, :1])], dim=1)], dim=2)


def _shifted(x: Tensor, n_frames: int) -> Tensor:
    """Temporal shift: an eighth of the channels from the previous frame, an eighth from the next; (BT, C, H, W)."""
    part = x.shape[1] // 8
    y = x.permute(0, 2, 3, 1).unflatten(0, (-1, n_frames))  # (B, T, H, W, C), as it lies in memory
    before, after, rest = y.split([part, part, x.shape[1] - 2 * part], dim=-1)
    before = F.pad(before[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    after = F.pad(after[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    result: Tensor = torch.cat([before, after, rest], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
    return result
