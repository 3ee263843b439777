"""`experts`: a video and an audio expert, trained separately, with late fusion of their maps.

Joint training needs clips in which current tools forged both modalities, and few exist. Pairs of genuine video (or
audio) and its generated twin are more common, so each expert is trained on the pairs of its own modality
(`fakespan.practice`). Their scores are calibrated afterwards: `scales` holds a slope and an offset for the logits of
each map, chosen so that equal scores are equally rare in genuine video. The odds of the fused map are the sum of the
odds of the two maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.expert import ExpertOutput, refined_map
from fakespan.models.network import COLUMNS_PER_FRAME, Network, own_part, pad_output
from fakespan.models.outputs import Branch, Output
from fakespan.models.picture import PictureExpert
from fakespan.models.sound import SoundExpert

__all__ = ["Experts", "build_experts"]

EPSILON = 1e-6  # maps are clipped to EPSILON..1 - EPSILON


class Experts(Network):
    """Both experts and the scales of their maps."""

    scales: Tensor  # (2, 2): slope and offset of the logits, of the visual and of the audio map

    def __init__(self, picture: PictureExpert, sound: SoundExpert) -> None:
        super().__init__()
        self.picture, self.sound = picture, sound
        self.register_buffer("scales", torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """As every network, for any length T; frames after `n_frames` are ignored, and the output is 0 there."""
        return pad_output(super().forward(video, audio, n_frames), video.shape[2])

    def encode_video(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the faces (B, 3, T, 96, 96) alone, of their first `n_frames`."""
        return _branch(self.picture(own_part(video, n_frames, 2, 1)), self.scales[0])

    def encode_audio(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """The branch of the audio's log power (B, 1, 256, 4T) alone, of its first `n_frames`."""
        return _branch(self.sound(own_part(audio, n_frames, 3, COLUMNS_PER_FRAME)), self.scales[1])

    def fuse(self, visual: Branch, audio: Branch) -> Output:
        """Add the odds of both maps: the larger one dominates, and agreement increases the score."""
        odds = _odds(visual.map) + _odds(audio.map)
        fused = odds / (1 + odds)
        return Output(fused, visual.map, audio.map, visual.logits, audio.logits, visual.features, audio.features)


def build_experts(config: ModelConfig) -> Experts:
    """Build a network with random weights. Raises ConfigError for other encoders."""
    for key, known in (("video_encoder", "mouth"), ("audio_encoder", "texture")):
        if getattr(config, key) != known:
            raise ConfigError(key, expected=known, got=getattr(config, key), remedy="change it, or the family")
    return Experts(PictureExpert(config), SoundExpert(config))


def _odds(probability: Tensor) -> Tensor:
    clipped = probability.float().clamp(EPSILON, 1 - EPSILON)
    return clipped / (1 - clipped)


def _branch(output: ExpertOutput, scale: Tensor) -> Branch:
    """The refined map of an expert, on the common scale."""
    n_features = output.evidence.shape[1] - output.seams.shape[1] - 1
    with torch.autocast(output.map.device.type, enabled=False):
        scaled = torch.sigmoid(scale[0] * torch.logit(refined_map(output), eps=EPSILON) + scale[1])
    return Branch(output.evidence[:, :n_features], output.frames, output.evidence, scaled)
