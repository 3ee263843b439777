"""Residual vector quantisation (SoundStream, 2107.03312): each codebook says what those before it left."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResidualQuantiser"]

_DECAY = 0.95
_RARE = 0.05  # a code chosen less often than this a step is given a new place


class Codebook(nn.Module):
    """Codes that follow the mean of what chose them; those that nothing chooses move to a vector of the batch."""

    codes: Tensor
    sums: Tensor
    counts: Tensor
    begun: Tensor

    def __init__(self, width: int, n_codes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(n_codes, width))
        self.register_buffer("sums", torch.zeros(n_codes, width))
        self.register_buffer("counts", torch.ones(n_codes))
        self.register_buffer("begun", torch.zeros(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, width) -> the index of the nearest code, (n,)."""
        if self.training and not self.begun:
            self._place(torch.ones(len(self.codes), dtype=torch.bool), vectors)
            self.begun.fill_(1)
        distances = self.codes.square().sum(1) - 2 * vectors @ self.codes.T
        chosen = distances.argmin(1)
        if self.training:
            self._follow(vectors, chosen)
        return chosen

    def _follow(self, vectors: Tensor, chosen: Tensor) -> None:
        counts = torch.bincount(chosen, minlength=len(self.codes)).to(vectors.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, vectors)
        self.counts.lerp_(counts, 1 - _DECAY)
        self.sums.lerp_(sums, 1 - _DECAY)
        self.codes.copy_(self.sums / self.counts.clamp(min=1e-3)[:, None])
        rare = self.counts < _RARE
        if rare.any():
            self._place(rare, vectors)

    def _place(self, which: Tensor, vectors: Tensor) -> None:
        picked = vectors[torch.randint(len(vectors), (int(which.sum()),))]
        self.codes[which] = picked
        self.sums[which] = picked
        self.counts[which] = 1.0


class ResidualQuantiser(nn.Module):
    """(B, width, T) -> what the codebooks say of it, in an inner space of few dimensions.

    The inner dimensions are normalised over the batch, and in training half of the sounds pass unquantised (as Mimi's,
    2410.00037). Without both, a codec of eight codebooks soon said no more with all of them than with the first.
    """

    def __init__(self, width: int, n_codebooks: int, n_codes: int, inner: int = 16) -> None:
        super().__init__()
        self.into, self.out_of = nn.Conv1d(width, inner, 1), nn.Conv1d(inner, width, 1)
        self.norm = nn.BatchNorm1d(inner, affine=False)
        self.codebooks = nn.ModuleList(Codebook(inner, n_codes) for _ in range(n_codebooks))

    def forward(self, x: Tensor, n_used: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The quantised features, the commitment loss and the indices, (B, n_used, T).

        Gradients pass as though nothing were quantised. In training the number of codebooks is drawn for half the
        calls, so that fewer than all make a copy too.
        """
        inner = self.norm(self.into(x).float())
        vectors = inner.detach().transpose(1, 2).flatten(0, 1)
        left, chosen = vectors, []
        for codebook in self.codebooks[: self._n_used(n_used)]:
            chosen.append(codebook(left))
            left = left - codebook.codes[chosen[-1]]
        said = (vectors - left).view(x.shape[0], x.shape[2], -1).transpose(1, 2)
        commitment = F.mse_loss(inner, said)
        indices = torch.stack([one.view(x.shape[0], x.shape[2]) for one in chosen], dim=1)
        if self.training:
            said = torch.where(torch.rand(len(x), 1, 1) < 0.5, inner.detach(), said)
        return self.out_of(inner + (said - inner).detach()), commitment, indices

    def _n_used(self, asked: int | None) -> int:
        n = len(self.codebooks)
        if asked is not None:
            return max(1, min(asked, n))
        drawn = self.training and bool(torch.rand(()) < 0.5)
        return int(torch.randint(1, n + 1, ())) if drawn else n
