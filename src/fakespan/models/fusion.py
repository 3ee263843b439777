"""Fusion of two boundary maps with a predicted weight per cell (2204.06228, section 3.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Fusion"]


class Fusion(nn.Module):
    """Weighted mean of the visual and the audio map.

    Args:
        n_features: channels of the evidence, C + 1.
        max_duration: D; 1 fuses curves instead of maps.
    """

    def __init__(self, n_features: int, max_duration: int) -> None:
        super().__init__()
        self.visual_trust = MapTrust(n_features, max_duration)
        self.audio_trust = MapTrust(n_features, max_duration)

    def forward(self, visual: Tensor, audio: Tensor, visual_evidence: Tensor, audio_evidence: Tensor) -> Tensor:
        """Maps (B, D, T) and evidence (B, C + 1, T) -> fused map (B, D, T).

        The weights sigmoid(v) / (sigmoid(v) + sigmoid(a)) are 0/0 in half precision if both are small; in logarithms
        the quotient is sigmoid(log sigmoid(v) - log sigmoid(a)), which is stable in any precision.
        """
        v = self.visual_trust(visual, visual_evidence, audio_evidence)
        a = self.audio_trust(audio, audio_evidence, visual_evidence)
        share = torch.sigmoid(F.logsigmoid(v) - F.logsigmoid(a))  # (B, D, T)
        return share * visual + (1 - share) * audio


class MapTrust(nn.Module):
    """The logit of a map's weight: the mean of projections of its map, its evidence and the other's evidence.

    In float32 also under autocast, at negligible cost: a logit that overflows to infinity would give NaN weights.
    """

    def __init__(self, n_features: int, max_duration: int) -> None:
        super().__init__()
        self.of_map = nn.Conv1d(max_duration, max_duration, 1)
        self.of_own = nn.Conv1d(n_features, max_duration, 1)
        self.of_other = nn.Conv1d(n_features, max_duration, 1)

    def forward(self, own_map: Tensor, own_evidence: Tensor, other_evidence: Tensor) -> Tensor:
        """(B, D, T), before the sigmoid."""
        with torch.autocast(own_map.device.type, enabled=False):
            return (
                _in_float32(self.of_map, own_map)
                + _in_float32(self.of_own, own_evidence)
                + _in_float32(self.of_other, other_evidence)
            ) / 3


def _in_float32(conv: nn.Conv1d, x: Tensor) -> Tensor:
    assert conv.bias is not None
    return F.conv1d(x.float(), conv.weight.float(), conv.bias.float())
