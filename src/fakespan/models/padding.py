"""Encodes a clip with a zero-padded tail at the cost of the clip alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["encode_padded"]


def encode_padded(
    encode: Callable[[Tensor], Tensor],
    x: Tensor,
    n_frames: int | None,
    *,
    reach: int | None,
    axis: int,
    columns: int = 1,
) -> Tensor:
    """`encode(x)`, (B, C, T), for an x that is constant padding after its first `n_frames`.

    An encoder with a reach of `reach` frames to either side outputs a constant feature vector along the padding, except
    in the last `reach` frames, which see the end. So the clip is encoded with just enough padding, and the constant
    part is repeated up to T.

    Args:
        encode: the encoder.
        x: its input, padded to T frames.
        n_frames: frames of the clip itself; None if unknown.
        reach: frames to either side that an output frame depends on; None if it is not limited.
        axis: the time axis of x.
        columns: entries of x along that axis per frame. With more than one (audio), the frame after the clip may depend
            on the clip: the windows of a spectrogram overlap.
    """
    if n_frames is None or reach is None:
        return encode(x)
    total = x.shape[axis] // columns
    head = n_frames + (1 if columns > 1 else 0) + reach  # the first frame that sees only padding
    short = head + 1 + reach
    if short >= total:
        return encode(x)
    y = encode(x.narrow(axis, 0, short * columns))
    middle = y[..., head : head + 1].expand(-1, -1, total - head - reach)
    return torch.cat([y[..., :head], middle, y[..., head + 1 :]], dim=-1)
