"""Log-mel (B, 64, 4T) -> features (B, C_f, T): the 2-D convolutions of BA-TFD (2204.06228, section 3.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fakespan.config import ModelConfig
from fakespan.errors import ConfigError

__all__ = ["CnnEncoder", "build_audio_encoder"]

SLOPE = 0.01
N_MELS = 64
POOLED_BANDS = N_MELS // 16


def build_audio_encoder(config: ModelConfig) -> nn.Module:
    """Build the encoder of a config; ConfigError for one of another family, or widths incompatible with C_f."""
    if config.audio_encoder == "cnn":
        return CnnEncoder(config.audio_widths, config.n_features)
    if config.audio_encoder.startswith("vit_"):
        from fakespan.models.vit import AudioViT  # noqa: PLC0415 - only for who asks for it

        return AudioViT(config.audio_encoder, config.n_frames, config.n_features)
    raise ConfigError(
        "audio_encoder", expected="cnn or vit_*", got=config.audio_encoder, remedy=f"the family is {config.family}"
    )


class CnnEncoder(nn.Module):
    """Five convolutions over (mel bands, time), each with LeakyReLU; pooling halves time twice, the bands four times.

    Args:
        widths: channels of the first convolution, of the next two and of the last two; C_f is 4 times the last.
        n_features: C_f, for validation.
    """

    reach = 2  # frames: an output frame depends on 5 mel columns beyond its own four on either side

    def __init__(self, widths: tuple[int, ...], n_features: int) -> None:
        super().__init__()
        if len(widths) != 3 or widths[-1] * POOLED_BANDS != n_features:
            expected = f"3 widths, the last a {POOLED_BANDS}th of n_features ({n_features})"
            raise ConfigError("audio_widths", expected=expected, got=f"{widths}", remedy="change one of them")
        narrow, middle, wide = widths
        self.conv0 = nn.Conv2d(1, narrow, 3, padding=1)
        self.conv1 = nn.Conv2d(narrow, middle, 3, padding=1)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1)
        self.conv3 = nn.Conv2d(middle, wide, (2, 1), padding=(1, 0))
        self.conv4 = nn.Conv2d(wide, wide, (3, 1), padding=(1, 0))

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 64, 4T) -> (B, C_f, T)."""
        x = _pooled(F.leaky_relu(self.conv0(audio.unsqueeze(1)), SLOPE), (2, 2))  # (B, C, 32, 2T)
        x = F.leaky_relu(self.conv1(x), SLOPE)
        x = _pooled(F.leaky_relu(self.conv2(x), SLOPE), (2, 2))  # (B, C, 16, T)
        x = _pooled(F.leaky_relu(self.conv3(x), SLOPE), (2, 1))  # (B, C, 8, T)
        x = _pooled(F.leaky_relu(self.conv4(x), SLOPE), (2, 1))  # (B, C, 4, T)
        return x.flatten(1, 2)  # (B, C 4, T)


def _pooled(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.max_pool2d(x, size)
