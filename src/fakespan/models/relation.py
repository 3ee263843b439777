"""The boundary module of BA-TFD+ with proposal relations (2305.01979, section 3.4; BSN++, 2009.07641, 3.3).

Every cell (d, t) of the map is a proposal. Two branches relate them: by position, where each cell attends to all
others (non-local attention; keys and values are max-pooled 2x2), and by channel, where each channel attends to all
other channels. The outputs are three maps: p and c, of one branch each, and p_c, of their sum.

The published position branch forms a matrix of all cells by all pooled cells (20,480 x 5,120 floats, 420 MB);
`scaled_dot_product_attention` computes it block-wise. Parameter names in the block are those of the published state
dict.

A quirk of the published channel branch: its result (C, D T) is reshaped as if it were (D T, C), which scatters every
cell over the map. The published weights were trained with it, so `scatter` reproduces it; our own networks do not use
it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.boundary import ProposalFeatures
from fakespan.models.outputs import Maps

__all__ = ["ProposalRelationBlock", "RelationBoundaryModule"]

_SLOPE = 0.01


class RelationBoundaryModule(nn.Module):
    """Features (B, C, T) -> three boundary maps.

    Args:
        proposals: features of every proposal, (B, C, T) -> (B, C2, D, T).
        width: C2.
        scatter: reproduce the published channel branch (see above).
    """

    def __init__(self, proposals: ProposalFeatures, width: int, *, scatter: bool = False) -> None:
        super().__init__()
        self.proposals = proposals
        self.context = nn.Conv2d(width, width, 3, padding=1)
        self.proposal_block = ProposalRelationBlock(width, scatter=scatter)

    def forward(self, features: Tensor) -> Maps:
        """Features (B, C, T) -> maps, each (B, D, T)."""
        x = self.proposals(features)  # (B, C2, D, T)
        x = F.leaky_relu(self.context(x), _SLOPE)
        maps: Maps = self.proposal_block(x)
        return maps


class ProposalRelationBlock(nn.Module):
    """Position-aware and channel-aware relations between proposals."""

    def __init__(self, width: int, *, scatter: bool = False) -> None:
        super().__init__()
        self.p_net = PositionRelation(width)
        self.c_net = ChannelRelation(width, scatter=scatter)
        self.conv0_0 = _conv_norm(width, 3, relu=True)
        self.conv0_1 = _conv_norm(width, 3, relu=True)
        self.conv1 = _conv_norm(width, 3, relu=True)
        self.conv2 = _conv_map(width)
        self.conv3 = _conv_map(width)
        self.conv4 = _conv_norm(width, 3, relu=True)
        self.conv5 = _conv_map(width)

    def forward(self, x: Tensor) -> Maps:
        """(B, C2, D, T) -> maps, each (B, D, T)."""
        p = self.conv1(self.p_net(self.conv0_0(x)))
        c = self.conv4(self.c_net(self.conv0_1(x)))
        return Maps(p=self.conv2(p).squeeze(1), c=self.conv5(c).squeeze(1), p_c=self.conv3(p + c).squeeze(1))


class PositionRelation(nn.Module):
    """Each cell attends to all cells, of which keys and values are max-pooled 2x2; the scores are not scaled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Sequential(_conv_norm(width, 1, relu=True), nn.MaxPool2d(2))
        self.theta = _conv_norm(width, 1, relu=True)
        self.phi = nn.Sequential(_conv_norm(width, 1, relu=True), nn.MaxPool2d(2))
        self.W = _conv_norm(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, T) -> (B, C, D, T)."""
        # one head; cells are the sequence. Contiguous, or torch falls back on the whole matrix (free if channels-last)
        q, k, v = (net(x).flatten(2).transpose(1, 2).contiguous()[:, None] for net in (self.theta, self.phi, self.g))
        related = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # (B, 1, D*T, C)
        out: Tensor = x + self.W(related[:, 0].transpose(1, 2).unflatten(2, x.shape[2:]))
        return out


class ChannelRelation(nn.Module):
    """Each channel attends to all channels; the scores are not scaled."""

    def __init__(self, width: int, *, scatter: bool = False) -> None:
        super().__init__()
        self.scatter = scatter
        self.g = _conv_norm(width, 1, relu=True)
        self.theta = _conv_norm(width, 1, relu=True)
        self.phi = _conv_norm(width, 1, relu=True)
        self.W = _conv_norm(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, T) -> (B, C, D, T)."""
        q, k, v = (net(x).flatten(2) for net in (self.theta, self.phi, self.g))  # each (B, C, D*T)
        with torch.autocast(
            x.device.type, enabled=False
        ):  # in a sum over all cells float16 overflows and bfloat16 rounds
            weights = torch.softmax(q.float() @ k.float().transpose(1, 2), dim=-1)  # (B, C, C)
        related = weights.to(v.dtype) @ v
        if self.scatter:
            related = related.transpose(1, 2)
        out: Tensor = x + self.W(related.reshape(x.shape))
        return out


def _conv_norm(width: int, kernel: int, *, relu: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(width, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width)]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def _conv_map(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, 1, 3, padding=1), _Probability())


class _Probability(nn.Module):
    """Sigmoid in float32: half precision would round confident values to 0 or 1, without a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().sigmoid()
