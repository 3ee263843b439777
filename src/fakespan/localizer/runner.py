"""What the judge asks of a network, however it is run: by torch (`torch_runner`) or by another library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from fakespan.arrays import Float32Array, UInt8Array

__all__ = ["Answers", "Runner"]

Answers = Mapping[str, Float32Array]
"""Arrays of a batch by their names in `ClipMaps`: maps (B, D, T) and curves (B, T). A missing modality has none."""


class Runner(Protocol):
    """A network, ready to run on batches of equally long clips."""

    @property
    def backend(self) -> Literal["torch", "onnx"]:
        """The library that runs it."""
        ...

    @property
    def device_name(self) -> str:
        """Its kind: "cpu", or that of the accelerator."""
        ...

    @property
    def digest(self) -> str:
        """Identifies the weights, see `models.digest`."""
        ...

    def __call__(self, faces: UInt8Array | None, sound: Float32Array | None, n_frames: int) -> Answers:
        """The maps of a batch; at least one modality is given.

        Args:
            faces: (B, T, 96, 96, 3) RGB.
            sound: (B, 640 T) at 16 kHz.
            n_frames: all clips of the batch are padding after so many frames; the network need not process it.
        """
        ...
