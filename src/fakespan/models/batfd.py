"""BA-TFD, the boundary-aware temporal forgery detection network (2204.06228, figure 3).

Deviations: nothing is omitted; `n_frames` (no computation on padding: the same output at n_frames / T of the cost) and
`bmn` sampling (see `fakespan.models.sampling`) are added. The losses are in `fakespan.losses`.
"""

from __future__ import annotations

from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.models.audio_encoder import build_audio_encoder
from fakespan.models.boundary import BoundaryModule
from fakespan.models.fusion import Fusion
from fakespan.models.network import TwoBranchNetwork
from fakespan.models.padding import encode_padded
from fakespan.models.video_encoder import build_video_encoder

__all__ = ["BaTfd", "build_batfd"]


class BaTfd(TwoBranchNetwork):
    """Maps (B, D, T) from faces (B, 3, T, 96, 96) in 0..1 and log-mel (B, 64, 4T)."""

    def encode(self, encoder: nn.Module, x: Tensor, n_frames: int | None, *, axis: int, columns: int) -> Tensor:
        """Features (B, C_f, T) of one modality, padding included."""
        return encode_padded(encoder, x, n_frames, reach=getattr(encoder, "reach", None), axis=axis, columns=columns)


def build_batfd(config: ModelConfig) -> BaTfd:
    """Build BA-TFD. Raises ConfigError for an encoder of another family or incompatible widths."""
    return BaTfd(
        (build_video_encoder(config), build_audio_encoder(config)),
        (BoundaryModule.from_config(config), BoundaryModule.from_config(config)),
        Fusion(config.n_features + 1, config.max_duration),
        config.n_features,
    )
