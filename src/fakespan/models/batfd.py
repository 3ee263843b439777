"""BA-TFD, the boundary-aware temporal forgery detection network (2204.06228, figure 3).

Deviations: nothing is omitted; `n_frames` (no computation on padding) and `bmn` sampling (see
`fakespan.models.sampling`) are added. The contrastive, frame and map losses are in `fakespan.losses`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import UsageError
from fakespan.models.audio_encoder import build_audio_encoder
from fakespan.models.boundary import BoundaryModule
from fakespan.models.fusion import Fusion
from fakespan.models.outputs import Branch, Output
from fakespan.models.padding import encode_padded
from fakespan.models.video_encoder import build_video_encoder

__all__ = ["BaTfd", "build_batfd"]

COLUMNS_PER_FRAME = 4  # of the log-mel


def build_batfd(config: ModelConfig) -> BaTfd:
    """Build BA-TFD. Raises ConfigError for an encoder of another family or incompatible widths."""
    return BaTfd(
        build_video_encoder(config),
        build_audio_encoder(config),
        (BoundaryModule.from_config(config), BoundaryModule.from_config(config)),
        Fusion(config.n_features + 1, config.max_duration),
        config.n_features,
    )


class BaTfd(nn.Module):
    """Two encoders, each with a frame classifier and a boundary module, and the fusion of their maps.

    Args:
        video_encoder: (B, 3, T, 96, 96) -> (B, C_f, T); with a limited `reach` in frames, padding is not computed.
        audio_encoder: (B, 64, 4T) -> (B, C_f, T); likewise.
        boundaries: boundary modules of video and audio, (B, C_f + 1, T) -> (B, D, T).
        fusion: fusion of the two maps.
        n_features: C_f.
    """

    def __init__(
        self,
        video_encoder: nn.Module,
        audio_encoder: nn.Module,
        boundaries: tuple[BoundaryModule, BoundaryModule],
        fusion: Fusion,
        n_features: int,
    ) -> None:
        super().__init__()
        self.video_encoder, self.audio_encoder = video_encoder, audio_encoder
        self.visual_classifier = nn.Conv1d(n_features, 1, 1)
        self.audio_classifier = nn.Conv1d(n_features, 1, 1)
        self.visual_boundary, self.audio_boundary = boundaries
        self.fusion = fusion

    def forward(self, video: Tensor, audio: Tensor, n_frames: int | None = None) -> Output:
        """Maps (B, D, T) from faces (B, 3, T, 96, 96) in 0..1 and log-mel (B, 64, 4T).

        `n_frames`: all clips of the batch are padding (zeros, silence) after so many frames; the output is the same, at
        about n_frames / T of the cost. Raises UsageError if video and audio differ in length.
        """
        if audio.shape[-1] != COLUMNS_PER_FRAME * video.shape[2]:
            raise UsageError(
                "audio",
                expected=f"{COLUMNS_PER_FRAME} columns for each of {video.shape[2]} frames",
                got=f"{audio.shape[-1]} columns",
                remedy="pad both to the same length",
            )
        return self.fuse(self.see(video, n_frames), self.hear(audio, n_frames))

    def see(self, video: Tensor, n_frames: int | None = None) -> Branch:
        """What the faces alone say."""
        features = _encode(self.video_encoder, video, n_frames, 2)
        return _branch(features, self.visual_classifier, self.visual_boundary)

    def hear(self, audio: Tensor, n_frames: int | None = None) -> Branch:
        """What the sound alone says."""
        features = _encode(self.audio_encoder, audio, n_frames, 2, COLUMNS_PER_FRAME)
        return _branch(features, self.audio_classifier, self.audio_boundary)

    def fuse(self, seen: Branch, heard: Branch) -> Output:
        """Both together."""
        return Output(
            fused=self.fusion(seen.map, heard.map, seen.evidence, heard.evidence),
            visual=seen.map,
            audio=heard.map,
            visual_logits=seen.logits,
            audio_logits=heard.logits,
            visual_features=seen.features,
            audio_features=heard.features,
        )


def _encode(encoder: nn.Module, x: Tensor, n_frames: int | None, axis: int, columns: int = 1) -> Tensor:
    """Features (B, C_f, T); padding is not computed if the encoder's reach is limited."""
    reach = getattr(encoder, "reach", None)
    if reach is None:
        return encoder(x)  # type: ignore[no-any-return]
    return encode_padded(encoder, x, n_frames, reach=reach, axis=axis, columns=columns)


def _branch(features: Tensor, classifier: nn.Module, boundary: BoundaryModule) -> Branch:
    logits = classifier(features)  # (B, 1, T)
    evidence = torch.cat([features, logits], dim=1)  # (B, C_f + 1, T)
    return Branch(features, logits, evidence, boundary(evidence))
