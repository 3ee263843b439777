"""Face crops (B, 3, T, 96, 96) -> features (B, C_f, T): the 3-D convolutions of BA-TFD (2204.06228, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError

__all__ = ["C3dEncoder", "build_video_encoder"]

SLOPE = 0.01
CHUNK_FRAMES = 16  # frames at a time when no gradient is wanted: 512 at once would take 5 GB
POOLED_SIDE = 2  # 96 pixels after poolings by 3, 2, 2, 2 and 2


def build_video_encoder(config: ModelConfig) -> nn.Module:
    """The encoder that the config names; ConfigError for one of another family."""
    if config.video_encoder == "c3d":
        return C3dEncoder(config.video_widths, config.n_features)
    if config.video_encoder.startswith("mvit_"):
        from fakespan.models.mvit import MultiscaleViT  # noqa: PLC0415 - only for who asks for it

        return MultiscaleViT(config.video_encoder, config.n_frames, config.n_features)
    raise ConfigError(
        "video_encoder", expected="c3d or mvit_*", got=config.video_encoder, remedy=f"the family is {config.family}"
    )


class C3dEncoder(nn.Module):
    """Eight 3x3x3 convolutions, each with LeakyReLU, and spatial max pooling; time keeps its resolution.

    Frames come in chunks and every convolution remembers the last two frames it has seen, so that the result is that
    of the whole clip while only a chunk's activations are in memory.

    Args:
        widths: channels of the four blocks (2 convolutions each).
        n_features: C_f.
    """

    reach = 8  # frames on either side that an output frame sees

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ConfigError("video_widths", expected="4 widths", got=f"{widths}", remedy="c3d has 4 blocks")
        channels = [3, *(width for width in widths for _ in range(2))]
        pools = [1, 3, 1, 2, 1, 2, 2, 2]  # after each convolution
        pairs = zip(channels[:-1], channels[1:], pools, strict=True)
        self.convs = nn.Sequential(*(_StreamedConv(n_in, n_out, pool) for n_in, n_out, pool in pairs))
        self.project = nn.Conv1d(widths[-1] * POOLED_SIDE**2, n_features, 1)

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, 96, 96) -> (B, C_f, T)."""
        size = video.shape[2] if torch.is_grad_enabled() else CHUNK_FRAMES
        chunks: Iterator[Tensor] = iter(torch.split(video, size, dim=2))
        for conv in self.convs:
            chunks = cast(_StreamedConv, conv).stream(chunks)
        x = torch.cat([chunk.permute(0, 1, 3, 4, 2).flatten(1, 3) for chunk in chunks], dim=-1)  # (B, C h w, T)
        return F.leaky_relu(self.project(x), SLOPE)


class _StreamedConv(nn.Conv3d):
    """Conv3d k3 p1, LeakyReLU and spatial max pooling over a clip that comes in chunks (B, C, t, H, W)."""

    def __init__(self, n_in: int, n_out: int, pool: int) -> None:
        super().__init__(n_in, n_out, 3, padding=(0, 1, 1))  # time is padded by `stream`
        self.pool = pool

    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The result's chunks; each lags a frame behind, as the last frame of a chunk must wait for its neighbour."""
        seen: Tensor | None = None
        for chunk, is_last in _with_last(chunks):
            blank = torch.zeros_like(chunk[:, :, :1])
            x = torch.cat([blank if seen is None else seen, chunk, *([blank] if is_last else [])], dim=2)
            seen = x[:, :, -2:].clone()
            if x.shape[2] > 2:
                yield self._of(x)

    def _of(self, x: Tensor) -> Tensor:
        x = self(x.contiguous(memory_format=torch.channels_last_3d))
        x = F.leaky_relu(x, SLOPE, inplace=True)
        return x if self.pool == 1 else F.max_pool3d(x, (1, self.pool, self.pool))


def _with_last(items: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each item and whether it is the last."""
    iterator = iter(items)
    held = next(iterator)
    for item in iterator:
        yield held, False
        held = item
    yield held, True
