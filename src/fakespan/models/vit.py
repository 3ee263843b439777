"""The audio encoder of BA-TFD+: a vision transformer (2010.11929) with one token per video frame.

Four log-mel columns (40 ms, one frame at 25 fps) become one token; attention is global over the clip. Parameter names
are those of the published state dict.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.memory import Recomputing

__all__ = ["VIT_SIZES", "AudioViT", "ViTSize"]

_N_LAYERS = 12
_EPS = 1e-6


@dataclass(frozen=True)
class ViTSize:
    """Width of a transformer and its number of attention heads."""

    width: int
    heads: int


VIT_SIZES = {"vit_t": ViTSize(192, 3), "vit_s": ViTSize(384, 6), "vit_b": ViTSize(768, 12)}


class AudioViT(nn.Module):
    """Pre-norm transformer over a log-mel spectrogram (BA-TFD+, 2305.01979, section 3.2).

    Args:
        name: "vit_t", "vit_s" or "vit_b".
        n_frames: T, the longest clip.
        n_features: C_f, channels of the output.
    """

    def __init__(self, name: str, n_frames: int, n_features: int, n_mels: int = 64) -> None:
        super().__init__()
        size = VIT_SIZES[name]
        patches = nn.Conv2d(1, size.width, (n_mels, 4), (n_mels, 4))
        self.input_proj = nn.ModuleDict({"conv": patches})  # a prefix of the published names
        self.block = _Transformer(size, n_frames)
        self.output_proj = nn.Linear(size.width, n_features)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 64, 4T) -> (B, C_f, T)."""
        columns: Tensor = self.input_proj["conv"](audio[:, None])  # (B, width, 1, T)
        features: Tensor = self.output_proj(self.block(columns[:, :, 0].transpose(1, 2)))
        return features.transpose(1, 2)


class _Transformer(Recomputing):
    def __init__(self, size: ViTSize, n_frames: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, n_frames, size.width).normal_(std=0.02))
        self.layers = nn.Sequential()
        for index in range(_N_LAYERS):
            self.layers.add_module(f"encoder_layer_{index}", _Layer(size))
        self.ln = nn.LayerNorm(size.width, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embedding[:, : x.shape[1]]
        for layer in self.layers:
            x = self.recomputed(layer, x)
        normed: Tensor = self.ln(x)
        return normed


class _Layer(nn.Module):
    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        width = size.width
        self.ln_1 = nn.LayerNorm(width, eps=_EPS)
        self.self_attention = _SelfAttention(size)
        self.ln_2 = nn.LayerNorm(width, eps=_EPS)
        # Identity keeps the published numbering (dropout, unused)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attention(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class _SelfAttention(nn.Module):
    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * size.width, size.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size.width))
        self.out_proj = nn.Linear(size.width, size.width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, c)
        attended = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out
