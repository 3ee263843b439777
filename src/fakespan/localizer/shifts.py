"""The audio branch of a network, averaged over shifts of the sound within a video frame.

The score of a span depends on where the frames' borders happen to fall: without this, trimming 5 ms off a file moves
its highest score by up to 0.3. The mean over `ModelConfig.sound_shifts` equally spaced shifts varies far less. Maps are
averaged as logits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fakespan.config import SAMPLES_PER_FRAME, ModelConfig
from fakespan.media.features import sound_input
from fakespan.models.outputs import Branch

__all__ = ["audio_branch"]

EPSILON = 1e-6  # maps are clipped to EPSILON..1 - EPSILON


def audio_branch(network: Any, model: ModelConfig, sound: Tensor, n_frames: int | None = None) -> Branch:
    """The branch of a waveform.

    Args:
        network: a network of `fakespan.models`.
        model: its config.
        sound: (B, 640 T) at 16 kHz.
        n_frames: as for `Network.encode_audio`.
    """
    if model.sound_shifts == 1:
        return _branch(network, model, sound, n_frames)
    own = sound if n_frames is None else sound[:, : n_frames * SAMPLES_PER_FRAME]
    branches = [_branch(network, model, _shifted(own, n), n_frames) for n in _shifts(model.sound_shifts)]
    logits = torch.stack([torch.logit(branch.map, eps=EPSILON) for branch in branches])
    features, frames, evidence = (
        torch.stack([getattr(branch, name) for branch in branches]).mean(0)
        for name in ("features", "logits", "evidence")
    )
    return Branch(features, frames, evidence, logits.mean(0).sigmoid())


def _branch(network: Any, model: ModelConfig, sound: Tensor, n_frames: int | None) -> Branch:
    branch: Branch = network.encode_audio(sound_input(model.audio_encoder, sound), n_frames)
    return branch


def _shifts(n: int) -> list[int]:
    """So many shifts in samples, evenly spread over a frame around 0."""
    return [round(SAMPLES_PER_FRAME * (k / n - (n - 1) / (2 * n))) for k in range(n)]


def _shifted(sound: Tensor, n: int) -> Tensor:
    """The sound from its n-th sample on, or -n samples later; the gap is filled by reflection."""
    if n > 0:
        return torch.cat([sound[:, n:], sound[:, -n:].flip(1)], dim=1)
    return torch.cat([sound[:, :-n].flip(1), sound[:, :n]], dim=1) if n else sound
