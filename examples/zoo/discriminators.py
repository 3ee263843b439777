"""Small discriminators for all generators: periods (HiFi-GAN, 2010.05646), resolutions (UnivNet, 2106.07889)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spectra import magnitude, stft

__all__ = ["Discriminators", "Verdict", "distance_of_features", "fooling_loss", "telling_loss"]

Verdict = list[Tensor]  # features layer by layer; the last are the logits


class PeriodDiscriminator(nn.Module):
    """Sees every p-th sample below each other: hears what repeats with p samples, as the images of up-sampling do."""

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        widths = [1, *channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, (5, 1), (3, 1), padding=(2, 0)) for a, b in zip(widths, channels, strict=False)
        )
        self.layers.append(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, sound: Tensor) -> Verdict:
        """(B, N) -> features."""
        n = sound.shape[1] // self.period * self.period
        return _features(self.layers, sound[:, :n].view(len(sound), 1, -1, self.period))


class ResolutionDiscriminator(nn.Module):
    """Sees the log spectrum of one resolution."""

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(1, channels, (7, 3), (2, 1), padding=(3, 1)),
                nn.Conv2d(channels, channels, (7, 3), (3, 2), padding=(3, 1)),
                nn.Conv2d(channels, 2 * channels, (5, 3), (3, 2), padding=(2, 1)),
                nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
                nn.Conv2d(2 * channels, 1, 3, padding=1),
            ]
        )

    def forward(self, sound: Tensor) -> Verdict:
        """(B, N) -> features."""
        spectrum = magnitude(stft(sound, self.n_fft, self.n_fft // 4))[:, None]
        return _features(self.layers, (spectrum.clamp(min=1e-4).log() + 2.5) / 2.5)


class Discriminators(nn.Module):
    """All of them: (B, N) -> a verdict of each that is asked. `scale` multiplies their widths."""

    def __init__(
        self, periods: Sequence[int] = (2, 3, 5, 7), n_ffts: Sequence[int] = (256, 512, 1024), scale: int = 1
    ) -> None:
        super().__init__()
        widths = [scale * width for width in (12, 24, 48, 64)]
        self.judges = nn.ModuleList(
            [
                *(PeriodDiscriminator(period, widths) for period in periods),
                *(ResolutionDiscriminator(n_fft, 16 * scale) for n_fft in n_ffts),
            ]
        )

    def forward(self, sound: Tensor, asked: Sequence[int]) -> list[Verdict]:
        """The features of the discriminators with these numbers."""
        return [self.judges[number](sound) for number in asked]

    def draw(self) -> list[int]:
        """Half of them, drawn anew for each step: nearly what all of them teach, for half the time."""
        return torch.randperm(len(self.judges))[: (len(self.judges) + 1) // 2].tolist()


def telling_loss(real: list[Verdict], fake: list[Verdict]) -> Tensor:
    """Least squares: the discriminators should say 1 of what is real and 0 of what is not."""
    terms = [(r[-1] - 1).square().mean() + f[-1].square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).sum()


def fooling_loss(fake: list[Verdict]) -> Tensor:
    """Least squares: the generator wants to hear 1."""
    return torch.stack([(f[-1] - 1).square().mean() for f in fake]).sum()


def distance_of_features(real: list[Verdict], fake: list[Verdict]) -> Tensor:
    """Mean distance of the features that discriminators find in both, relative to the real ones' size."""
    terms = [
        F.l1_loss(f, r) / r.abs().mean().clamp(min=1e-3)
        for rs, fs in zip(real, fake, strict=True)
        for r, f in zip(rs[:-1], fs[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def _features(layers: nn.ModuleList, x: Tensor) -> Verdict:
    found = []
    for i, layer in enumerate(layers):
        x = layer(x)
        if i < len(layers) - 1:
            x = F.leaky_relu(x, 0.1)
        found.append(x.float())
    return found
