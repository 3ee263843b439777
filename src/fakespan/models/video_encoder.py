"""Face crops (B, 3, T, 96, 96) -> features (B, C_f, T): the 3-D convolutions of BA-TFD (2204.06228, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.memory import Recomputing

__all__ = ["C3dEncoder", "build_video_encoder"]

SLOPE = 0.01
CHUNK_FRAMES = 16  # frames per chunk without gradients: 512 at once would take 5 GB
PIECE_FRAMES = 32  # frames per piece if activations are recomputed in backward
LEAST_BF16 = 64  # channels, see `_PooledConv`
BLOCK_REACH = 2  # reach of two convolutions in frames
POOLED_SIDE = 2  # 96 pixels after poolings by 3, 2, 2, 2 and 2


def build_video_encoder(config: ModelConfig) -> nn.Module:
    """Build the encoder of a config; ConfigError for one of another family."""
    if config.video_encoder == "c3d":
        return C3dEncoder(config.video_widths, config.n_features)
    if config.video_encoder.startswith("mvit_"):
        from fakespan.models.mvit import MultiscaleViT  # noqa: PLC0415 - only for who asks for it

        return MultiscaleViT(config.video_encoder, config.n_frames, config.n_features)
    raise ConfigError(
        "video_encoder", expected="c3d or mvit_*", got=config.video_encoder, remedy=f"the family is {config.family}"
    )


class C3dEncoder(Recomputing):
    """Eight 3x3x3 convolutions, each with LeakyReLU, and spatial max pooling; time keeps its resolution.

    Without gradients frames are processed in chunks, and every convolution keeps its last two input frames, so that the
    result equals that of the whole clip while only the activations of a chunk are in memory. With gradients the clip is
    processed as a whole, or in pieces that are recomputed in backward (see `fakespan.models.memory`).

    Args:
        widths: channels of the four blocks (two convolutions each).
        n_features: C_f.
    """

    reach = 8  # frames on either side that an output frame depends on

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        if len(widths) != 4:
            raise ConfigError("video_widths", expected="4 widths", got=f"{widths}", remedy="c3d has 4 blocks")
        channels = [3, *(width for width in widths for _ in range(2))]
        pools = [1, 3, 1, 2, 1, 2, 2, 2]  # after each convolution
        pairs = zip(channels[:-1], channels[1:], pools, strict=True)
        self.convs = nn.Sequential(*(_PooledConv(n_in, n_out, pool) for n_in, n_out, pool in pairs))
        self.project = nn.Conv1d(widths[-1] * POOLED_SIDE**2, n_features, 1)

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, 96, 96) -> (B, C_f, T)."""
        is_whole = torch.is_grad_enabled() or torch.compiler.is_compiling()  # a tracer cannot count the chunks of any T
        chunks = [self._kept(video)] if is_whole else self._streamed(video)
        x = torch.cat([chunk.permute(0, 1, 3, 4, 2).flatten(1, 3) for chunk in chunks], dim=-1)  # (B, C h w, T)
        return F.leaky_relu(self.project(x), SLOPE)

    def _streamed(self, video: Tensor) -> Iterator[Tensor]:
        chunks: Iterator[Tensor] = iter(torch.split(video, CHUNK_FRAMES, dim=2))
        for conv in self.convs:
            chunks = cast(_PooledConv, conv).stream(chunks)
        return chunks

    def _kept(self, x: Tensor) -> Tensor:
        """(B, 3, T, 96, 96) -> (B, C, T, 2, 2), with gradients."""
        for first in range(0, len(self.convs), 2):
            block = cast(nn.Sequential, self.convs[first : first + 2])
            x = self._in_pieces(block, x) if self.recomputes else block(x)
        return x

    def _in_pieces(self, block: nn.Sequential, x: Tensor) -> Tensor:
        """block(x) of two convolutions, some frames at a time."""

        def piece(x: Tensor, own: slice) -> Tensor:
            result: Tensor = block(x)[:, :, own]
            return result

        parts, n_frames = [], x.shape[2]
        for begin in range(0, n_frames, PIECE_FRAMES):
            end = min(begin + PIECE_FRAMES, n_frames)
            first, last = max(0, begin - BLOCK_REACH), min(end + BLOCK_REACH, n_frames)
            parts.append(self.recomputed(piece, x[:, :, first:last], slice(begin - first, end - first)))
        return torch.cat(parts, dim=2)


class _PooledConv(nn.Conv3d):
    """Conv3d k3 p1, LeakyReLU and spatial max pooling, over a whole clip or over its chunks.

    A narrow one is in full precision on CPUs also under autocast: with 32 channels or fewer the bfloat16 gradient of
    torch (2.13, oneDNN, AMX) writes beyond its memory.
    """

    def __init__(self, n_in: int, n_out: int, pool: int) -> None:
        super().__init__(n_in, n_out, 3, padding=1)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H', W')."""
        x = x.contiguous(memory_format=torch.channels_last_3d)
        if x.device.type == "cpu" and self.out_channels < LEAST_BF16:
            with torch.autocast("cpu", enabled=False):
                return self._pooled(super().forward(x.to(self.weight.dtype)))
        return self._pooled(super().forward(x))

    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The chunks of the result, delayed by one frame: the last frame of a chunk needs its successor."""
        context: Tensor | None = None
        for chunk, is_last in _with_last(chunks):
            blank = torch.zeros_like(chunk[:, :, :1])
            x = torch.cat([blank if context is None else context, chunk, *([blank] if is_last else [])], dim=2)
            context = x[:, :, -2:].clone()
            if x.shape[2] > 2:
                x = x.contiguous(memory_format=torch.channels_last_3d)
                yield self._pooled(F.conv3d(x, self.weight, self.bias, padding=(0, 1, 1)))

    def _pooled(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(x, SLOPE, inplace=True)
        return x if self.pool == 1 else F.max_pool3d(x, (1, self.pool, self.pool))


def _with_last(items: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Yield each item and whether it is the last."""
    iterator = iter(items)
    current = next(iterator)
    for item in iterator:
        yield current, False
        current = item
    yield current, True
