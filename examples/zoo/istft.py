"""Inverse-STFT GANs on log-mels.

`rates` empty: every layer works at the frame rate and the head gives magnitude and phase of each bin (Vocos,
2306.00814). With `rates`: up-sampling first, then a short inverse STFT (iSTFTNet, 2203.02395). With `n_codebooks`: what
the network hears is quantised before (a spectral codec, as WavTokenizer, 2408.16532).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from blocks import ConvNeXt, Copy, Upsampler, conv
from quantiser import ResidualQuantiser
from spectra import LogMel

__all__ = ["Istft", "IstftSettings", "inverse"]


@dataclass(frozen=True, slots=True)
class IstftSettings:
    """The hop of the log-mels is `hop` times the product of `rates`, in samples."""

    n_mels: int = 80
    n_fft: int = 1024
    head_fft: int = 640
    hop: int = 160
    width: int = 192
    n_blocks: int = 5
    rates: tuple[int, ...] = ()
    up: str = "transposed"
    act: str = "leaky"
    n_codebooks: int = 0
    n_codes: int = 256


class Istft(nn.Module):
    """Log-mels -> a complex spectrum -> samples."""

    def __init__(self, settings: IstftSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.hop = s.hop * prod(s.rates)
        self.mel = LogMel(s.n_mels, s.n_fft, self.hop, centred=not s.rates)
        self.quantiser = ResidualQuantiser(s.width, s.n_codebooks, s.n_codes) if s.n_codebooks else None
        blocks = [ConvNeXt(s.width, 3 * s.width) for _ in range(s.n_blocks)]
        self.n_before = s.n_blocks // 2 if s.n_codebooks else 0
        self.first, self.blocks = conv(s.n_mels, s.width, 7), nn.ModuleList(blocks)
        n_out = s.head_fft + 2
        self.head: nn.Module = (
            Upsampler(s.width, n_out, width=s.width, rates=s.rates, up=s.up, act=s.act)
            if s.rates
            else nn.Conv1d(s.width, n_out, 1)
        )

    def forward(self, sound: Tensor, n_codebooks: int | None = None) -> Copy:
        """(B, N) -> its copy; N is a multiple of the hop. `n_codebooks` uses only the first of them."""
        x, penalties = self.first(self.mel(sound)), {}
        for block in self.blocks[: self.n_before]:
            x = block(x)
        if self.quantiser is not None:
            x, penalties["commitment"], _ = self.quantiser(x.float(), n_codebooks)
        for block in self.blocks[self.n_before :]:
            x = block(x)
        return Copy(inverse(self._centred(self.head(x)), self.settings.hop, sound.shape[1]), penalties)

    def _centred(self, x: Tensor) -> Tensor:
        """Up-sampled frames lie between those of a centred STFT: the last is said twice."""
        return torch.cat([x, x[:, :, -1:]], dim=2) if self.settings.rates else x


def inverse(x: Tensor, hop: int, n_samples: int) -> Tensor:
    """Log-magnitudes and phases, (B, n_fft + 2, n_samples // hop + 1), to samples, (B, n_samples)."""
    level, phase = x.float().chunk(2, dim=1)
    n_fft = 2 * (level.shape[1] - 1)
    spectrum = torch.polar(level.clamp(max=5.0).exp(), phase)
    return torch.istft(spectrum, n_fft, hop, window=torch.hann_window(n_fft), length=n_samples)
