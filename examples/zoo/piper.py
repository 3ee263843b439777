"""Copies of any speaker by piper's own decoder: an encoder learns to drive it, the decoder itself stays as it is.

The decoder is that of piper's voice Joe (VITS, 2106.06103: a HiFi-GAN generator, 2010.05646), taken out of the voice by
`examples/voices/piper_decoder.py`. It works at 22,050 Hz; sounds are resampled on the way in and out.
`make_piper.py` trains it; the encoder starts from the voice's own sentences: log-mels -> the latents behind them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blocks import ConvNeXt, Copy, conv
from fakespan.errors import CheckpointError
from spectra import LogMel

__all__ = ["DECODER", "Decoder", "Piper", "PiperSettings", "fit_to_latents", "read_decoder"]

DECODER = "runs/voices/piper_decoder.npz"
UP, DOWN = 441, 320  # 16,000 Hz -> 22,050 Hz
_SLOPE, _LAST_SLOPE = 0.1, 0.01
_ALTERNATIVES = 3  # residual blocks after each up-sampling, averaged


@dataclass(frozen=True, slots=True)
class PiperSettings:
    """`follow` lets the decoder learn too, at that share of the encoder's rate."""

    decoder: str = DECODER
    width: int = 256
    hidden: int = 768
    n_blocks: int = 6
    n_mels: int = 80
    follow: float = 0.0


class Piper(nn.Module):
    """Sound -> the decoder's latent -> sound."""

    hop = DOWN

    def __init__(self, settings: PiperSettings) -> None:
        super().__init__()
        s = settings
        self.decoder = Decoder(read_decoder(Path(s.decoder)), s.follow)
        self.mel = LogMel(s.n_mels, 1024, self.decoder.hop)
        self.first = conv(s.n_mels, s.width, 7)
        self.blocks = nn.Sequential(*(ConvNeXt(s.width, s.hidden) for _ in range(s.n_blocks)))
        self.last = conv(s.width, self.decoder.n_latents, 3)

    def forward(self, sound: Tensor) -> Copy:
        """(B, N) -> its copy; N is a multiple of `hop`."""
        n = sound.shape[1] // DOWN * UP
        there = _resample(sound, n)
        whole = F.pad(there, (0, -n % self.decoder.hop))
        copy = self.decoder(self.latents(whole))[:, :n]
        return Copy(_resample(copy.float(), sound.shape[1]))

    def latents(self, sound: Tensor) -> Tensor:
        """(B, T * the decoder's hop) at 22,050 Hz -> (B, n_latents, T)."""
        return self.last(self.blocks(self.first(self.mel(sound))))


class Decoder(nn.Module):
    """Piper's generator, its weights fixed, or following at a smaller rate than the rest learns."""

    def __init__(self, held: dict[str, np.ndarray], follow: float = 0.0) -> None:
        super().__init__()
        self.rates = [int(held[f"ups.{k}.rate"]) for k in range(_count(held, "ups.{}.weight"))]
        self.hop = int(np.prod(self.rates))
        self.n_latents = held["conv_pre.weight"].shape[1]
        self.dilations = {name: int(value) for name, value in held.items() if name.endswith(".dilation")}
        self.follow = follow
        for name, value in held.items():
            if name.endswith((".weight", ".bias")):
                self.register_buffer(_own(name), torch.from_numpy(value.copy()))
                if follow:  # an optimiser that looks at signs alone takes steps of the same size: make each count less
                    self.register_parameter(f"{_own(name)}_moved", nn.Parameter(torch.zeros(value.shape)))

    def forward(self, latents: Tensor) -> Tensor:
        """(B, n_latents, T) -> (B, T * hop) in -1..1."""
        x = self._conv(latents, "conv_pre")
        for k, rate in enumerate(self.rates):
            weight, bias = self._weights(f"ups.{k}")
            x = F.leaky_relu(x, _SLOPE)
            x = F.conv_transpose1d(x, weight, bias, rate, padding=(weight.shape[2] - rate) // 2)
            blocks = range(_ALTERNATIVES * k, _ALTERNATIVES * (k + 1))
            x = sum(self._residual(x, f"resblocks.{j}") for j in blocks) / _ALTERNATIVES
        return torch.tanh(self._conv(F.leaky_relu(x, _LAST_SLOPE), "conv_post"))[:, 0]

    def _residual(self, x: Tensor, name: str) -> Tensor:
        for k in range(_count(self.dilations, name + ".convs.{}.dilation")):
            x = x + self._conv(F.leaky_relu(x, _SLOPE), f"{name}.convs.{k}")
        return x

    def _conv(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights(name)
        dilation = self.dilations[f"{name}.dilation"]
        return F.conv1d(x, weight, bias, dilation=dilation, padding=dilation * (weight.shape[2] // 2))

    def _weights(self, name: str) -> tuple[Tensor, Tensor | None]:
        return self._one(f"{name}.weight"), self._one(f"{name}.bias")

    def _one(self, name: str) -> Tensor | None:
        fixed = getattr(self, _own(name), None)
        moved = getattr(self, f"{_own(name)}_moved", None)
        return fixed if moved is None else fixed + self.follow * moved


def read_decoder(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name.

    Raises:
        CheckpointError: there is no such file, or it holds no decoder.
    """
    try:
        with np.load(path) as file:
            held = {name: file[name] for name in file.files}
        held["conv_pre.weight"], held["ups.0.rate"], held["conv_post.weight"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(path, expected="piper's decoder", got=f"none ({error})", remedy="make voices") from error
    return held


def fit_to_latents(net: Piper, held: dict[str, np.ndarray], n_steps: int = 1500, n_frames: int = 48) -> float:
    """Teach the encoder what the voice itself gave its decoder; the mean squared error of the last steps."""
    n_pairs = _count(held, "latents.{}")
    latents = [torch.from_numpy(held[f"latents.{k}"].astype(np.float32)) for k in range(n_pairs)]
    heard = [net.mel(torch.from_numpy(held[f"sounds.{k}"])[None])[0] for k in range(n_pairs)]
    encoder = [value for name, value in net.named_parameters() if not name.startswith("decoder.")]
    optimizer = torch.optim.AdamW(encoder, 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    draw, errors = np.random.default_rng(0), []
    for _ in range(n_steps):
        mels, wanted = [], []
        for k in draw.integers(n_pairs, size=12):
            start = int(draw.integers(latents[k].shape[1] - n_frames + 1))
            quieter = float(draw.uniform(-1.0, 0.2))  # a little of what the latent does not say
            mels.append(heard[k][:, start : start + n_frames] + quieter * float(draw.random() < 0.3))
            wanted.append(latents[k][:, start : start + n_frames])
        loss = F.mse_loss(net.last(net.blocks(net.first(torch.stack(mels)))), torch.stack(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        errors.append(loss.item())
    return float(np.mean(errors[-50:]))


def _resample(sound: Tensor, n: int) -> Tensor:
    """(B, N) -> (B, n) by the whole spectrum: no delay."""
    spectrum = torch.fft.rfft(sound.float())
    kept = spectrum[:, : n // 2 + 1]
    return torch.fft.irfft(F.pad(kept, (0, n // 2 + 1 - kept.shape[1])), n) * (n / sound.shape[1])


def _own(name: str) -> str:
    return name.replace(".", "_")


def _count(held: dict[str, object] | dict[str, int] | dict[str, np.ndarray], pattern: str) -> int:
    n = 0
    while pattern.format(n) in held:
        n += 1
    return n
