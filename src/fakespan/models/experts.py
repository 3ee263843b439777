"""`experts`: one expert for the picture and one for the sound, trained separately, with a late fusion of their maps.

Training on both modalities at once needs clips in which current tools forged both, and few exist. Pairs of a genuine
picture (or a genuine sound) and what a generator made of it are more common, so each expert learns from the pairs of
its own modality (`fakespan.practice`). Their scores are made comparable afterwards: `scales` holds a slope and an
offset for the logits of each map, chosen so that equal scores are equally rare in genuine video. The odds of the two
maps add up to those of the fused map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError
from fakespan.models.expert import ExpertOutput, agreement
from fakespan.models.outputs import Branch, Output
from fakespan.models.picture import PictureExpert
from fakespan.models.sound import SoundExpert

__all__ = ["Experts", "build_experts"]

COLUMNS = 4  # of the sound's input, in a frame
EPSILON = 1e-6  # no map is surer


class Experts(nn.Module):
    """Both experts and the scales of their maps."""

    scales: Tensor  # (2, 2): slope and offset of the logits, of the visual and of the audio map

    def __init__(self, picture: PictureExpert, sound: SoundExpert) -> None:
        super().__init__()
        self.picture, self.sound = picture, sound
        self.register_buffer("scales", torch.tensor([[1.0, 0.0], [1.0, 0.0]]))

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """Maps (B, D, T) of faces (B, 3, T, 96, 96) and log power (B, 1, 256, 4T), of any length T.

        `n_frames` says how many frames are the clip's own: the padding is not looked at, and the answer there is 0.
        """
        missing = (0, video.shape[2] - (video.shape[2] if n_frames is None else n_frames))
        output = self.fuse(self.see(video, n_frames), self.hear(audio, n_frames))
        return Output(
            fused=F.pad(output.fused, missing),
            visual=F.pad(output.visual, missing),
            audio=F.pad(output.audio, missing),
            visual_logits=F.pad(output.visual_logits, missing),
            audio_logits=F.pad(output.audio_logits, missing),
            visual_features=F.pad(output.visual_features, missing),
            audio_features=F.pad(output.audio_features, missing),
        )

    def see(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """What the faces (B, 3, T, 96, 96) alone say, of their first `n_frames`."""
        return _branch(self.picture(video[:, :, :n_frames]), self.scales[0])

    def hear(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """What the sound (B, 1, 256, 4T) alone says, of its first `n_frames`."""
        n_columns = None if n_frames is None else COLUMNS * n_frames
        return _branch(self.sound(audio[..., :n_columns]), self.scales[1])

    def fuse(self, seen: Branch, heard: Branch) -> Output:
        """The odds of both maps, added: the larger one decides, and two that agree say more than one."""
        odds = _odds(seen.map) + _odds(heard.map)
        fused = odds / (1 + odds)
        return Output(fused, seen.map, heard.map, seen.logits, heard.logits, seen.features, heard.features)


def build_experts(config: ModelConfig) -> Experts:
    """A network of the config's sizes, with fresh weights. Raises ConfigError when it names other encoders."""
    for key, known in (("video_encoder", "mouth"), ("audio_encoder", "texture")):
        if getattr(config, key) != known:
            raise ConfigError(key, expected=known, got=getattr(config, key), remedy="change it, or the family")
    return Experts(PictureExpert(config), SoundExpert(config))


def _odds(probability: Tensor) -> Tensor:
    clipped = probability.float().clamp(EPSILON, 1 - EPSILON)
    return clipped / (1 - clipped)


def _branch(output: ExpertOutput, scale: Tensor) -> Branch:
    """The map of an expert where its offsets agree with it, on the common scale."""
    n_durations, n_features = output.map.shape[1], output.evidence.shape[1] - output.seams.shape[1] - 1
    with torch.autocast(output.map.device.type, enabled=False):
        refined = output.map.float() * agreement(output.frames, output.offsets, n_durations)
        scaled = torch.sigmoid(scale[0] * torch.logit(refined, eps=EPSILON) + scale[1])
    return Branch(output.evidence[:, :n_features], output.frames, output.evidence, scaled)
