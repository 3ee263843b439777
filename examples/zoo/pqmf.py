"""Pseudo-quadrature mirror filters: a sound as M critically sampled bands, and back with little loss.

A cosine-modulated Kaiser prototype (Nguyen 1994; the use in a vocoder: multi-band MelGAN, 2005.05106). The cut-off is
found, not given: the one that comes nearest to a perfect round trip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PQMF"]


class PQMF(nn.Module):
    """Analysis (B, N) -> (B, M, N / M) and synthesis back, without delay. N is a multiple of M."""

    analysis_filters: Tensor
    synthesis_filters: Tensor

    def __init__(self, n_bands: int = 4, n_taps: int = 62, beta: float = 9.0) -> None:
        super().__init__()
        self.n_bands, self.n_taps = n_bands, n_taps
        best = _best_cutoff(n_bands, n_taps, beta)
        analysis, synthesis = _modulated(_prototype(best, n_taps, beta), n_bands)
        self.register_buffer("analysis_filters", analysis.float()[:, None], persistent=False)
        self.register_buffer("synthesis_filters", synthesis.float()[:, None], persistent=False)

    def analysis(self, sound: Tensor) -> Tensor:
        """(B, N) -> (B, M, N / M)."""
        padded = F.pad(sound[:, None], (self.n_taps // 2, self.n_taps // 2))
        return F.conv1d(padded, self.analysis_filters, stride=self.n_bands)

    def synthesis(self, bands: Tensor) -> Tensor:
        """(B, M, T) -> (B, T * M)."""
        spare = self.n_bands - 1
        full = F.conv_transpose1d(bands * self.n_bands, self.synthesis_filters, stride=self.n_bands)
        full = F.pad(full, (0, spare))[:, 0]
        return full[:, self.n_taps // 2 : self.n_taps // 2 + bands.shape[2] * self.n_bands]


def _prototype(cutoff: float, n_taps: int, beta: float) -> Tensor:
    """A low-pass filter of n_taps + 1 samples; `cutoff` is a share of half the sample rate."""
    n = torch.arange(n_taps + 1, dtype=torch.float64) - n_taps / 2
    window = torch.kaiser_window(n_taps + 1, periodic=False, beta=beta, dtype=torch.float64)
    return cutoff * torch.sinc(cutoff * n) * window


def _modulated(prototype: Tensor, n_bands: int) -> tuple[Tensor, Tensor]:
    """Analysis and synthesis filters, (M, taps + 1) each, as convolution layers apply them."""
    n = torch.arange(len(prototype), dtype=torch.float64) - (len(prototype) - 1) / 2
    k = torch.arange(n_bands, dtype=torch.float64)[:, None]
    angle = (2 * k + 1) * torch.pi / (2 * n_bands) * n
    shift = (-1) ** k * torch.pi / 4
    forward = 2 * prototype * torch.cos(angle + shift)
    backward = 2 * prototype * torch.cos(angle - shift)
    return forward.flip(1), backward


def _best_cutoff(n_bands: int, n_taps: int, beta: float) -> float:
    """The cut-off whose prototype, squared in frequency, sums flattest with its neighbour's."""
    cutoffs = torch.linspace(0.5, 1.0, 501, dtype=torch.float64) / n_bands
    errors = [_ripple(_prototype(float(cutoff), n_taps, beta), n_bands) for cutoff in cutoffs]
    return float(cutoffs[int(torch.tensor(errors).argmin())])


def _ripple(prototype: Tensor, n_bands: int) -> float:
    """How far the filter convolved with itself is from an impulse at every 2 M-th sample."""
    full = F.conv1d(prototype[None, None], prototype.flip(0)[None, None], padding=len(prototype) - 1)[0, 0]
    middle = len(full) // 2
    side = full[middle :: 2 * n_bands][1:].abs().max()
    return float(side / full[middle])
