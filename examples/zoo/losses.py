"""How far a copy is from its original by spectra alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from spectra import LogMel, magnitude, stft

__all__ = ["SpectralLoss"]

_RESOLUTIONS = ((256, 64), (512, 128), (1024, 256))


class SpectralLoss(nn.Module):
    """L1 of log-mels, and of log spectra with spectral convergence at three resolutions (after 1910.11480)."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = LogMel(80, 1024, 256, centred=True)

    def forward(self, copy: Tensor, real: Tensor) -> Tensor:
        """(B, N) both -> a number."""
        loss = 2.5 * F.l1_loss(self.mel(copy), self.mel(real))
        for n_fft, hop in _RESOLUTIONS:
            a, b = magnitude(stft(copy, n_fft, hop)), magnitude(stft(real, n_fft, hop))
            loss = loss + F.l1_loss(a.clamp(min=1e-4).log(), b.clamp(min=1e-4).log()) / len(_RESOLUTIONS)
            loss = loss + (a - b).square().sum().sqrt() / b.square().sum().sqrt().clamp(min=1e-3) / len(_RESOLUTIONS)
        return loss
