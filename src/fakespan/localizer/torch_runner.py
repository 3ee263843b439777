"""Runs a network with torch."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.config import ModelConfig
from fakespan.errors import UsageError
from fakespan.localizer.runner import Answers
from fakespan.localizer.shifts import audio_branch
from fakespan.media.features import input_of_mel, sound_input
from fakespan.models.digest import weights_digest
from fakespan.models.outputs import Branch, Output

__all__ = ["TorchRunner"]


class TorchRunner:
    """A network of `fakespan.models` on a device.

    Args:
        network: it is moved to the device, in eval mode.
        model: its config.
        device: "auto" is the first CUDA device, or else the CPU.

    Raises:
        UsageError: the device is not available.
    """

    def __init__(self, network: nn.Module, model: ModelConfig, device: str = "auto") -> None:
        self.device = _device(device)
        self.network: nn.Module = network.to(self.device).eval()
        self.model = model

    @property
    def backend(self) -> Literal["torch"]:
        """See `Runner`."""
        return "torch"

    @property
    def device_name(self) -> str:
        """See `Runner`."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type

    @property
    def digest(self) -> str:
        """Of the weights as they are now."""
        return weights_digest(self.network.state_dict())

    @torch.inference_mode()
    def __call__(self, faces: UInt8Array | None, sound: Float32Array | None, n_frames: int) -> Answers:
        """See `Runner`."""
        network: Any = self.network
        visual: Branch | None = None
        audio: Branch | None = None
        if faces is not None:
            visual = network.encode_video(_video(faces, self.device), n_frames)
        if sound is not None:
            audio = audio_branch(network, self.model, torch.from_numpy(sound).to(self.device), n_frames)
        fused: Any = network.fuse(visual, audio) if visual is not None and audio is not None else visual or audio
        answers = {"score": fused.score_map}
        for name, branch in (("visual", visual), ("audio", audio)):
            if branch is not None:
                answers |= {name: branch.score_map, f"{name}_frames": branch.logits.sigmoid()[:, 0]}
        return {name: answer.float().cpu().numpy() for name, answer in answers.items()}

    @torch.inference_mode()
    def predict(self, video: Tensor, audio: Tensor) -> Output:
        """See `Localizer.predict`."""
        features = audio.to(self.device)
        if audio.ndim == 2:
            features = sound_input(self.model.audio_encoder, features)
        elif audio.ndim == 3:
            features = input_of_mel(self.model.audio_encoder, features)
        output: Output = self.network(video.to(self.device), features)
        return output


def _video(faces: UInt8Array, device: torch.device) -> Tensor:
    """Bytes (B, T, H, W, 3) -> (B, 3, T, H, W) in 0..1."""
    video = torch.from_numpy(faces).to(device).permute(0, 4, 1, 2, 3)  # transfer bytes, not floats
    return video.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            "--device", expected="an available device", got=repr(name), remedy="use --device cpu or auto"
        ) from error
