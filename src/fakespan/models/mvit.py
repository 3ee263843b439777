"""The video encoder of BA-TFD+: a multiscale vision transformer (MViTv2, 2112.01526) over whole clips.

Every frame becomes 8x8 tokens. Four stages halve the resolution (8x8, 4x4, 2x2, 1x1 tokens per frame) and double the
width, at full temporal resolution; keys and values are pooled to one token per frame, or to 2x2 at the beginning of a
stage.

The published layers compute, for every head, a matrix of all queries by all keys for the scores and further ones for
the relative positions. This implementation computes the same result more efficiently:

1. The order of the keys does not matter. In reversed time order, their relative positions to frame t are the rows t, t
+ 1,
   ... of the table: a sliding window, which is a view instead of a gather.
2. The bias is added by `scaled_dot_product_attention` for a few frames of queries at a time, so its size is bounded.
3. With stride s a pooling kernel of 3 reads only the first (n - 1) s + 2 rows and columns: keys and values are
   projected for those alone (in stage 1: for 2x2 of the 8x8 tokens).
4. Heads share their pooling kernel, so one depthwise convolution over all channels pools the tokens in place.

Parameter names are those of the published state dict.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.models.memory import Recomputing

__all__ = ["MVIT_DEPTHS", "MultiscaleViT", "PooledAttention"]

MVIT_DEPTHS = {"mvit_t": (1, 2, 5, 2), "mvit_s": (1, 2, 11, 2), "mvit_b": (2, 3, 16, 3)}
"""Blocks in each of the four stages."""

_HEADS = (1, 2, 4, 8)
_WIDTHS = (96, 192, 384, 768)
_GRID = 8  # tokens along each side of a frame, after the patch embedding
_EPS = 1e-6
_MAX_SCORES = 1 << 22  # maximum number of attention scores at once, over all heads (16 MB in fp32)


@dataclass(frozen=True)
class BlockSize:
    """Sizes of one block. Strides and grids are spatial only; time is never strided."""

    n_frames: int  # longest clip
    n_in: int  # channels in
    n_out: int  # channels out
    heads: int
    grid: int  # input tokens along each side of a frame
    stride_q: int
    stride_kv: int


def block_sizes(name: str, n_frames: int, n_features: int) -> list[BlockSize]:
    """Sizes of the blocks of encoder `name`, first to last."""
    stages = [stage for stage, depth in enumerate(MVIT_DEPTHS[name]) for _ in range(depth)]
    widths = [*(_WIDTHS[stage] for stage in stages[:-1]), n_features]
    sizes, width, grid = [], _WIDTHS[0], _GRID
    for index, stage in enumerate(stages):
        stride_q = 2 if index and stage > stages[index - 1] else 1
        sizes.append(BlockSize(n_frames, width, widths[index], _HEADS[stage], grid, stride_q, 8 >> stage))
        width, grid = widths[index], pooled_size(grid, stride_q)
    return sizes


def pooled_size(size: int, stride: int) -> int:
    """Length after a window of 3 with padding 1."""
    return (size - 1) // stride + 1


class MultiscaleViT(nn.Module):
    """MViTv2 with one output feature vector per frame (BA-TFD+, 2305.01979, section 3.2).

    Args:
        name: "mvit_t", "mvit_s" or "mvit_b".
        n_frames: T, the longest clip. Shorter clips use the middle of the tables of relative time.
        n_features: C_f, channels of the output.
    """

    def __init__(self, name: str, n_frames: int, n_features: int) -> None:
        super().__init__()
        self.mvit = _Trunk(block_sizes(name, n_frames, n_features))

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, 96, 96) in 0..1 -> (B, C_f, T)."""
        tokens: Tensor = self.mvit(video)
        return tokens.transpose(1, 2)


class _Trunk(Recomputing):
    def __init__(self, sizes: list[BlockSize]) -> None:
        super().__init__()
        self.conv_proj = nn.Conv3d(3, _WIDTHS[0], (3, 15, 15), (1, 12, 12), (1, 3, 3))
        self.pos_encoding = _ClassToken(_WIDTHS[0])
        self.blocks = nn.ModuleList(_Block(size) for size in sizes)
        self.norm = nn.LayerNorm(sizes[-1].n_out, eps=_EPS)
        self.apply(_init)

    def forward(self, video: Tensor) -> Tensor:
        n_frames = video.shape[2]
        patches = self.conv_proj(video).flatten(2).transpose(1, 2)
        x = self.pos_encoding(patches)  # (B, 1 + T * 8 * 8, 96): the class token, then frames, rows, columns
        for block in self.blocks:
            x = self.recomputed(block, x, n_frames)
        tokens: Tensor = self.norm(x[:, 1:])  # (B, T, C_f)
        return tokens


class _ClassToken(nn.Module):
    """Prepends a learned class token. It is not used as output, but every token attends to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.empty(width))
        nn.init.trunc_normal_(self.class_token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.cat((self.class_token.expand(tokens.shape[0], 1, -1).to(tokens.dtype), tokens), dim=1)


class _Block(nn.Module):
    """Pooled attention and an MLP, each with a residual; the width changes in the attention."""

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.size = size
        self.norm1 = nn.LayerNorm(size.n_in, eps=_EPS)
        self.attn = PooledAttention(size)
        self.norm2 = nn.LayerNorm(size.n_out, eps=_EPS)
        hidden = 4 * size.n_out
        # the two Identity modules keep the published numbering (dropout, unused)
        self.mlp = nn.Sequential(nn.Linear(size.n_out, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, size.n_out))
        self.project = nn.Linear(size.n_in, size.n_out) if size.n_in != size.n_out else None

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        normed = self.norm1(x)
        skip = x if self.project is None else self.project(normed)
        x = self._pool_skip(skip, n_frames) + self.attn(normed, n_frames)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _pool_skip(self, x: Tensor, n_frames: int) -> Tensor:
        """Max-pooling of the residual path if the queries are strided."""
        if self.size.stride_q == 1:
            return x
        grid = x[:, 1:].unflatten(1, (n_frames, self.size.grid, self.size.grid)).movedim(-1, 1)
        pooled = F.max_pool3d(grid, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        return torch.cat((x[:, :1], pooled.flatten(2).transpose(1, 2)), dim=1)


class _Pool(nn.Module):
    """Depthwise convolution over (time, height, width), shared by all heads, then layer norm; tokens stay tokens.

    In float32 also under autocast: with a stride of 8 torch (2.13, oneDNN) leaves this convolution's bfloat16 weight
    gradient unset on CPUs. It costs little, and the norm after it is in float32 anyway.
    """

    def __init__(self, head_dim: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.Conv3d(head_dim, head_dim, 3, (1, stride, stride), 1, groups=head_dim, bias=False)
        self.norm_act = nn.Sequential(nn.LayerNorm(head_dim, eps=_EPS))

    def forward(self, class_token: Tensor, grid: Tensor, heads: int) -> Tensor:
        """Class token (B, 1, heads*c) and grid (B, T, H, W, heads*c) -> (B, 1 + T*H'*W', heads, c)."""
        with torch.autocast(grid.device.type, enabled=False):  # see the docstring
            weight = self.pool.weight.float().repeat(heads, 1, 1, 1, 1)
            pooled = F.conv3d(grid.movedim(-1, 1).float(), weight, None, self.pool.stride, 1, groups=len(weight))
        tokens = torch.cat((class_token.float(), pooled.movedim(1, -1).flatten(1, 3)), dim=1)
        normed: Tensor = self.norm_act(tokens.unflatten(-1, (heads, -1)))
        return normed


class PooledAttention(nn.Module):
    """Multi-head attention with pooled queries, keys and values and decomposed relative positions (MViTv2, 4.1).

    The pooled queries are added to the result, except for the class token, which also has no relative position.
    """

    def __init__(self, size: BlockSize) -> None:
        super().__init__()
        self.size = size
        head_dim = size.n_out // size.heads
        self.qkv = nn.Linear(size.n_in, 3 * size.n_out)
        self.project = nn.Sequential(nn.Linear(size.n_out, size.n_out))
        self.pool_q = _Pool(head_dim, size.stride_q)
        self.pool_k = _Pool(head_dim, size.stride_kv)
        self.pool_v = _Pool(head_dim, size.stride_kv)
        self.grid_q, self.grid_kv = pooled_size(size.grid, size.stride_q), pooled_size(size.grid, size.stride_kv)
        n_rows = 2 * max(self.grid_q, self.grid_kv) - 1
        self.rel_pos_h = nn.Parameter(torch.empty(n_rows, head_dim))
        self.rel_pos_w = nn.Parameter(torch.empty(n_rows, head_dim))
        self.rel_pos_t = nn.Parameter(torch.empty(2 * size.n_frames - 1, head_dim))
        for table in (self.rel_pos_h, self.rel_pos_w, self.rel_pos_t):
            nn.init.trunc_normal_(table, std=0.02)

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """(B, 1 + T*grid*grid, n_in) -> (B, 1 + T*grid_q*grid_q, n_out)."""
        q, k, v = self._pooled_qkv(x, n_frames)  # each (B, N, heads, c)
        q, k, v = q.transpose(1, 2), self._backwards(k, n_frames), self._backwards(v, n_frames)
        from_class = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        from_frames = q[:, :, 1:] + self._attend(q[:, :, 1:].unflatten(2, (n_frames, -1)), k, v)
        merged = torch.cat((from_class, from_frames), dim=2).transpose(1, 2).flatten(2)
        projected: Tensor = self.project(merged)
        return projected

    def _pooled_qkv(self, x: Tensor, n_frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of all tokens, keys and values of the tokens that the pooling reads."""
        size, n_out = self.size, self.size.n_out
        class_token, grid = x[:, :1], x[:, 1:].unflatten(1, (n_frames, size.grid, size.grid))
        n_read = min(size.grid, (self.grid_kv - 1) * size.stride_kv + 2)
        read = grid[:, :, :n_read, :n_read]
        weight_q, weight_kv = self.qkv.weight.split((n_out, 2 * n_out))
        bias_q, bias_kv = self.qkv.bias.split((n_out, 2 * n_out))
        class_k, class_v = F.linear(class_token, weight_kv, bias_kv).chunk(2, dim=-1)
        grid_k, grid_v = F.linear(read, weight_kv, bias_kv).chunk(2, dim=-1)
        q_parts = (F.linear(part, weight_q, bias_q) for part in (class_token, grid))
        return (
            self.pool_q(*q_parts, size.heads),
            self.pool_k(class_k, grid_k, size.heads),
            self.pool_v(class_v, grid_v, size.heads),
        )

    def _backwards(self, tokens: Tensor, n_frames: int) -> Tensor:
        """(B, 1 + T*S, heads, c) -> (B, heads, T*S + 1, c): frames from last to first, then the class token."""
        frames = tokens[:, 1:].unflatten(1, (n_frames, -1)).flip(1).flatten(1, 2)
        return torch.cat((frames, tokens[:, :1]), dim=1).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries (B, heads, T, P, c) of P tokens a frame -> (B, heads, T*P, c), a few frames at a time."""
        n_batch, heads, n_frames, n_tokens, _ = q.shape
        time, space = self._time_table(n_frames), self._space_table()
        if torch.compiler.is_compiling():  # a tracer cannot count the parts of any T
            return F.scaled_dot_product_attention(q.flatten(2, 3), k, v, attn_mask=relative_bias(q, time, space))
        step = max(1, _MAX_SCORES // (n_batch * heads * n_tokens * k.shape[2]))
        parts = []
        for some_q, some_time in zip(q.split(step, dim=2), time.split(step), strict=True):
            bias = relative_bias(some_q, some_time, space)
            parts.append(F.scaled_dot_product_attention(some_q.flatten(2, 3), k, v, attn_mask=bias))
        return torch.cat(parts, dim=2)

    def _time_table(self, n_frames: int) -> Tensor:
        """(T, T, c): for a query of frame t, the relative positions of frames T-1 ... 0. A view of the table."""
        spare = self.size.n_frames - n_frames
        assert spare >= 0, f"a clip of {n_frames} frames for a network of {self.size.n_frames}"
        table = self.rel_pos_t[spare : len(self.rel_pos_t) - spare]
        if torch.compiler.is_compiling():  # a tracer has no view of a size that it does not know
            frames = torch.arange(n_frames, device=table.device)
            return table[frames[:, None] + frames]
        return table.unfold(0, n_frames, 1).transpose(1, 2)

    def _space_table(self) -> Tensor:
        """(P, S, c): for a query at position p, the summed row and column embeddings of the keys at each position s."""
        distances = spatial_distances(self.grid_q, self.grid_kv).to(self.rel_pos_h.device)
        rows, columns = self.rel_pos_h[distances], self.rel_pos_w[distances]
        both = rows[:, None, :, None] + columns[None, :, None, :]  # (Hq, Wq, Hk, Wk, c)
        return both.flatten(2, 3).flatten(0, 1)


def spatial_distances(n_queries: int, n_keys: int) -> Tensor:
    """(n_queries, n_keys) rows of a relative position table, both axes laid over the same picture.

    >>> spatial_distances(4, 2).tolist()
    [[2, 0], [3, 1], [4, 2], [5, 3]]
    """
    step_q, step_k = max(n_keys // n_queries, 1), max(n_queries // n_keys, 1)
    return torch.arange(n_queries)[:, None] * step_q + (n_keys - 1 - torch.arange(n_keys)) * step_k


def relative_bias(q: Tensor, time: Tensor, space: Tensor) -> Tensor:
    """The bias of the scores by relative positions: q . (time + space), and 0 for the class token, the last key.

    Args:
        q: (B, heads, t, P, c), queries of some frames.
        time: (t, T, c), of each of these frames to every frame of keys.
        space: (P, S, c), of each query position to every key position.

    Returns:
        (B, heads, t*P, T*S + 1).
    """
    by_time = torch.einsum("bhtpc,tkc->bhtpk", q, time.to(q.dtype))
    by_space = torch.einsum("bhtpc,psc->bhtps", q, space.to(q.dtype))
    bias = by_time[..., :, None] + by_space[..., None, :]
    return F.pad(bias.flatten(4).flatten(2, 3), (0, 1))


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
