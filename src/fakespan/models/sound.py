"""The audio expert: localizes forged spans in recordings of any length.

The words carry little information about their generation, so the encoder uses textures: the log power of narrow bands
relative to their level in the clip, its contrast over frequency and time, and its roughness. Small convolutions cover
60 ms and 300 Hz; only the mean and the standard deviation of each texture in eight bands are kept, minus the mean of
the clip. Dilated convolutions over time and an `ExpertHead` follow.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.expert import ExpertHead, ExpertOutput
from fakespan.models.small import temporal_stack

__all__ = ["SoundEncoder", "SoundExpert", "sound_views"]

N_VIEWS = 4  # channels of `sound_views`
N_BANDS = 8  # for pooling textures
COLUMNS = 4  # input columns per frame
NEAR = 9  # bands or columns of a contrast


class SoundExpert(nn.Module):
    """Encoder and head. Log power (B, 1, 256, 4T) of `media.features.log_power` -> `ExpertOutput`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = SoundEncoder(config.audio_widths, config.n_features)
        self.head = ExpertHead(config.n_features, config)

    def forward(self, audio: Tensor) -> ExpertOutput:
        """Of log power (B, 1, 256, 4T)."""
        output: ExpertOutput = self.head(self.encoder(audio))
        return output


class SoundEncoder(nn.Module):
    """Log power (B, 1, 256, 4T) -> features (B, C, T)."""

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        if len(widths) != 3:
            remedy = "change it or audio_encoder"
            raise ConfigError("audio_widths", expected="3 widths", got=f"{widths}", remedy=remedy)
        self.textures = nn.Sequential(
            _conv(N_VIEWS, widths[0], 5, (2, 2)),  # 128 bands, 2T
            _conv(widths[0], widths[1], 3, (2, 1)),  # 64
            _conv(widths[1], widths[2], 3, (2, 1)),  # 32
        )
        self.project = nn.Sequential(nn.Dropout(0.2), nn.Conv1d(2 * widths[2] * N_BANDS, n_features, 1), nn.ReLU())
        self.against_clip = nn.Conv1d(2 * n_features, n_features, 1)
        self.over_time = temporal_stack(n_features)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 1, 256, 4T) -> (B, C, T)."""
        views = sound_views(audio).contiguous(memory_format=torch.channels_last)
        x = _less_mean(_pooled(self.textures(views)))  # (B, 2 C' N_BANDS, T)
        x = self.project(x)  # (B, C, T)
        x = self.against_clip(torch.cat([x, _less_mean(x)], dim=1))
        features: Tensor = self.over_time(x)
        return features


def sound_views(power: Tensor) -> Tensor:
    """Level, contrast over frequency, contrast over time, roughness: log power (B, 1, F, N) -> (B, 4, F, N)."""
    level = (power - power.mean(3, keepdim=True)) / (power.std(3, keepdim=True) + 0.5)
    over_time = power - _blurred(power, 3)
    over_frequency = power - _blurred(power, 2)
    roughness = (_blurred(_blurred(over_time.square(), 3), 2) + 0.05).log()
    return torch.cat([level, over_frequency / 2, over_time / 2, _less_mean(roughness, 3)], dim=1)


def _blurred(x: Tensor, dim: int) -> Tensor:
    """Mean of NEAR neighbours along an axis; borders are repeated. Ten times as fast as pooling."""
    n, beyond = x.shape[dim], NEAR // 2
    borders = [x.narrow(dim, place, 1).repeat_interleave(beyond, dim) for place in (0, n - 1)]
    padded = torch.cat([borders[0], x, borders[1]], dim)
    total = padded.narrow(dim, 0, n).clone()
    for k in range(1, NEAR):
        total += padded.narrow(dim, k, n)
    return total / NEAR


def _less_mean(x: Tensor, dim: int = 2) -> Tensor:
    return x - x.mean(dim, keepdim=True)


def _pooled(x: Tensor) -> Tensor:
    """Mean and deviation of each texture in each band and frame: (B, C, F, 2T) -> (B, 2 C N_BANDS, T)."""
    cell = (x.shape[2] // N_BANDS, COLUMNS // 2)
    mean, of_squares = F.avg_pool2d(x, cell), F.avg_pool2d(x.square(), cell)
    spread = (of_squares - mean.square()).clamp_min(1e-5).sqrt()
    return torch.cat([mean, spread], dim=1).flatten(1, 2)


def _conv(n_in: int, n_out: int, size: int, stride: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
    )
