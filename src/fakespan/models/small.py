"""`small`: a light network of the BA-TFD family, for laptops.

Kept from BA-TFD (2204.06228, section 4): a frame classifier per modality, a boundary module per modality, the fusion.
Different: instead of c3d a 2-D encoder processes every frame separately and exchanges an eighth of its channels with
the previous and with the next frame (temporal shift, Lin et al. 1811.08383); fine detail and frame differences are
additional inputs. The audio input is a log-mel ("mel") or a spectrum with phases ("spectrum"). Both encoders end in
dilated 1-D convolutions over time, which also get the mean of the clip; sampling is `bmn`. Clips of any length are
processed without padding.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.boundary import BoundaryModule
from fakespan.models.fusion import Fusion
from fakespan.models.network import TwoBranchNetwork, own_part, pad_output
from fakespan.models.outputs import Output

__all__ = ["FrameEncoder", "MelEncoder", "Small", "SpectrumEncoder", "build_small"]

N_BINS, SPECTRUM_VIEWS = 256, 5  # shape of `media.features.spectrum`
N_VIEWS = 7  # channels of `_views`
GROUP_FRAMES = 16  # frames per pass of the first stage


class ConvNorm(nn.Sequential):
    """3x3 convolution, batch norm, ReLU; the norm is folded into the convolution for inference."""

    def __init__(self, n_in: int, n_out: int, stride: int | tuple[int, int] = 1) -> None:
        conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        norm = nn.BatchNorm2d(n_out)
        super().__init__(conv, norm, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        if self.training:
            return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]
        conv: Any = self[0]
        norm: Any = self[1]
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        folded = F.conv2d(x, conv.weight * scale[:, None, None, None], bias, conv.stride, conv.padding)
        return F.relu(folded, inplace=not folded.requires_grad)


class TemporalBlock(nn.Module):
    """Residual dilated convolution over time, (B, C, T) -> (B, C, T)."""

    def __init__(self, n_channels: int, dilation: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.spread = nn.Conv1d(n_channels, n_channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(n_channels)
        self.mix = nn.Conv1d(n_channels, n_channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        y: Tensor = self.dropout(self.mix(F.relu(self.norm(self.spread(x)))))
        return x + y


def temporal_stack(n_channels: int) -> nn.Sequential:
    """Dilated convolutions with a reach of 15 frames to either side."""
    return nn.Sequential(*(TemporalBlock(n_channels, d) for d in (1, 2, 4, 8)))


class FrameEncoder(nn.Module):
    """Faces (B, 3, T, 96, 96) in 0..1 -> features (B, C, T)."""

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [ConvNorm(N_VIEWS, widths[0], stride=2)]
        for n_in, n_out in itertools.pairwise(widths):
            stages.append(nn.Sequential(ConvNorm(n_in, n_out, stride=2), ConvNorm(n_out, n_out)))
        self.stages = nn.ModuleList(stages)
        side = 96 // 2 ** len(widths)
        self.project = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(widths[-1] * side * side, n_features), nn.LayerNorm(n_features), nn.ReLU()
        )
        self.over_time = temporal_stack(n_features)

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, 96, 96) -> (B, C, T)."""
        n_clips, _, n_frames = video.shape[:3]
        x = self._look(video.transpose(1, 2)).flatten(0, 1)  # (BT, C', 48, 48)
        for stage in itertools.islice(self.stages, 1, None):
            x = stage(shift_in_time(x, n_frames))
        x = self.project(x.flatten(1))  # (BT, C)
        features: Tensor = self.over_time(x.view(n_clips, n_frames, -1).transpose(1, 2))
        return features

    def _look(self, faces: Tensor) -> Tensor:
        """The first stage, frame by frame: (B, T, 3, 96, 96) -> (B, T, C', 48, 48), channels last.

        For inference a few frames are processed at a time, which fit the cache; in training the norm needs all frames.
        """
        n_clips, n_frames = faces.shape[:2]
        is_whole = self.training or torch.compiler.is_compiling()  # a tracer cannot count the groups of any T
        size, begins = (n_frames, [0]) if is_whole else (GROUP_FRAMES, range(0, n_frames, GROUP_FRAMES))
        parts = []
        for begin in begins:
            before = max(0, begin - 1)  # differences need the previous frame
            views = _views(faces[:, before : begin + size])[:, begin - before :]
            x = self.stages[0](views.flatten(0, 1).contiguous(memory_format=torch.channels_last))
            parts.append(x.permute(0, 2, 3, 1).unflatten(0, (n_clips, -1)))
        return torch.cat(parts, dim=1).permute(0, 1, 4, 2, 3)


class MelEncoder(nn.Module):
    """Log-mel (B, 64, 4T) -> features (B, C, T)."""

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        stages = [ConvNorm(2, widths[0], stride=(2, 1))]
        for k, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            stages.append(ConvNorm(n_in, n_out, stride=(2, 2 if k < 2 else 1)))
        self.stages = nn.Sequential(*stages)
        n_bands = 64 // 2 ** len(widths)
        self.project = nn.Sequential(nn.Dropout(0.2), nn.Conv1d(widths[-1] * n_bands, n_features, 1), nn.ReLU())
        self.over_time = temporal_stack(n_features)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 64, 4T) -> (B, C, T)."""
        level = audio.mean(dim=(1, 2), keepdim=True)  # remove the loudness of the recording
        change = F.pad(audio[:, :, 1:] - audio[:, :, :-1], (1, 0))
        x = torch.stack([(audio - level) / 2, change], dim=1)  # (B, 2, 64, 4T)
        x = self.stages(x)  # (B, C', bands, T)
        features: Tensor = self.over_time(self.project(x.flatten(1, 2)))
        return features


class SpectrumEncoder(nn.Module):
    """Spectrum with phases (B, 5, 256, 4T) -> features (B, C, T); each stage halves the bands, two of them the time."""

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        if len(widths) < 3 or N_BINS % 2 ** len(widths):
            remedy = "change it or audio_encoder"
            raise ConfigError("audio_widths", expected="3 to 8 widths", got=f"{widths}", remedy=remedy)
        stages: list[nn.Module] = [ConvNorm(SPECTRUM_VIEWS, widths[0], stride=(2, 1))]
        for k, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            stages.append(ConvNorm(n_in, n_out, stride=(2, 2 if k < 2 else 1)))
        self.stages = nn.Sequential(*stages)
        n_bands = N_BINS // 2 ** len(widths)
        self.project = nn.Sequential(nn.Dropout(0.2), nn.Conv1d(widths[-1] * n_bands, n_features, 1), nn.ReLU())
        self.over_time = temporal_stack(n_features)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 5, 256, 4T) -> (B, C, T)."""
        power = audio[:, :1]
        power = (power - power.mean(dim=(2, 3), keepdim=True)) / 3  # remove the loudness of the recording
        x = self.stages(torch.cat([power, audio[:, 1:]], dim=1))  # (B, C', bands, T)
        features: Tensor = self.over_time(self.project(x.flatten(1, 2)))
        return features


class Small(TwoBranchNetwork):
    """Maps (B, D, T) from faces (B, 3, T, 96, 96) and audio (B, 64, 4T) or (B, 5, 256, 4T), of any length T."""

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """As every network; frames after `n_frames` are ignored, and the output is 0 there."""
        return pad_output(super().forward(video, audio, n_frames), video.shape[2])

    def encode(self, encoder: nn.Module, x: Tensor, n_frames: int | None, *, axis: int, columns: int) -> Tensor:
        """Features (B, C, n) of one modality, of its first `n_frames`."""
        return encoder(own_part(x, n_frames, axis, columns))  # type: ignore[no-any-return]


def _views(x: Tensor) -> Tensor:
    """Additional inputs besides the colours: fine detail, its local level, and frame differences.

    (B, T, 3, 96, 96) -> (B, T, 7, 96, 96).
    """
    luma = x.mean(dim=2)  # (B, T, 96, 96)
    detail = luma - F.avg_pool2d(luma, 3, stride=1, padding=1, count_include_pad=False)
    amount = F.avg_pool2d(detail.abs(), 5, stride=1, padding=2, count_include_pad=False)
    changes = [4 * _change(luma), 16 * _change(amount)]
    return torch.cat([x - 0.5, torch.stack([8 * detail, 16 * amount, *changes], dim=2)], dim=2)


def _change(x: Tensor) -> Tensor:
    """Difference from the previous frame; zero for the first."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], dim=1)


def shift_in_time(x: Tensor, n_frames: int) -> Tensor:
    """Temporal shift: an eighth of the channels from the previous frame, an eighth from the next; (BT, C, H, W)."""
    part = x.shape[1] // 8
    y = x.permute(0, 2, 3, 1).unflatten(0, (-1, n_frames))  # (B, T, H, W, C), as it lies in memory
    shifted = y.clone(memory_format=torch.contiguous_format)
    shifted[:, 0, :, :, :part] = 0
    shifted[:, 1:, :, :, :part] = y[:, :-1, :, :, :part]
    shifted[:, -1, :, :, part : 2 * part] = 0
    shifted[:, :-1, :, :, part : 2 * part] = y[:, 1:, :, :, part : 2 * part]
    result: Tensor = shifted.flatten(0, 1).permute(0, 3, 1, 2)
    return result


def build_small(config: ModelConfig) -> Small:
    """Build the network."""
    n_features = config.n_features
    audio_encoder = SpectrumEncoder if config.audio_encoder == "spectrum" else MelEncoder
    return Small(
        (FrameEncoder(config.video_widths, n_features), audio_encoder(config.audio_widths, n_features)),
        (BoundaryModule.from_config(config), BoundaryModule.from_config(config)),
        Fusion(n_features + 1, config.max_duration),
        n_features,
    )
