"""The loss of a network of experts: each is trained on the clips that have its modality."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fakespan.data.batch import Batch
from fakespan.losses import ExpertTerms, LossTerms, StreamTerms, expert_loss

__all__ = ["expert_losses"]


def expert_losses(network: nn.Module, batch: Batch) -> LossTerms:
    """The sum of both experts' losses over a batch; an expert without clips is not run.

    Args:
        network: `fakespan.models.experts.Experts`.
        batch: clips of one length, or padded; only their own frames count.
    """
    experts: Any = network
    nothing = torch.zeros((), device=batch.n_frames.device)
    visual = audio = ExpertTerms(*5 * [nothing])
    if (rows := batch.has_picture).any():
        output = experts.picture(batch.video[rows], batch.n_frames[rows])
        visual = expert_loss(output, batch.visual_frames[rows], batch.visual_map[rows], batch.n_frames[rows])
    if (rows := batch.has_sound).any():
        output = experts.sound(batch.audio[rows])
        audio = expert_loss(output, batch.audio_frames[rows], batch.audio_map[rows], batch.n_frames[rows])
    return LossTerms(
        visual.total + audio.total,
        fused=StreamTerms(nothing),
        visual=StreamTerms(visual.map),
        audio=StreamTerms(audio.map),
        visual_frames=visual.frames,
        audio_frames=audio.frames,
        contrastive=nothing,
    )
