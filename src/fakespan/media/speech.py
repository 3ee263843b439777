"""Speech detection: the probability of speech in windows of 32 ms, by the network of silero-vad.

https://github.com/snakers4/silero-vad (MIT). The weights are the safetensors file inside the distribution silero-vad;
its Python code is not imported, because it needs torch. The network has 0.3 million weights and runs in numpy at
several hundred times real time: magnitudes of a Fourier transform, four convolutions, an LSTM.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from fakespan.arrays import AnyArray, Float32Array
from fakespan.media.sound import part_of

__all__ = ["WINDOW", "SpeechDetector", "find_weights"]

WINDOW = 512
"""Samples at 16 kHz."""

_CONTEXT = 64  # samples before each window that belong to its input
_BLOCK = 512  # windows at a time
_STFT_SIZE, _STFT_STEP = 256, 128
_STRIDES = (1, 2, 2, 1)  # of the convolutions


def find_weights() -> Path | None:
    """The file of the weights; None if silero-vad is not installed."""
    spec = find_spec("silero_vad")
    folders = [] if spec is None else spec.submodule_search_locations or []
    files = (Path(folder) / "data" / "silero_vad_16k.safetensors" for folder in folders)
    return next((path for path in files if path.is_file()), None)


class SpeechDetector:
    """The network.

    Args:
        weights: a file of `find_weights`.
    """

    def __init__(self, weights: Path) -> None:
        from safetensors.numpy import load_file  # noqa: PLC0415 - only where sound is judged

        self._weights = load_file(weights)

    def __call__(self, sound: Float32Array) -> Float32Array:
        """Probabilities (ceil(n / 512),) of speech in audio (n,) at 16 kHz; the last window is padded with silence."""
        n_windows = -(-len(sound) // WINDOW)
        hidden = cell = np.zeros(128, np.float32)
        found = np.zeros(n_windows, np.float32)
        for first in range(0, n_windows, _BLOCK):
            last = min(first + _BLOCK, n_windows)
            part = part_of(sound, first * WINDOW - _CONTEXT, last * WINDOW)  # an hour of sound is not copied as a whole
            inputs = np.lib.stride_tricks.sliding_window_view(part, _CONTEXT + WINDOW)[::WINDOW]
            for k, gates in enumerate(self._gates(inputs), first):
                hidden, cell = self._step(gates, hidden, cell)
                found[k] = self._probability(hidden)
        return found

    def _gates(self, inputs: Float32Array) -> Float32Array:
        """What each window (B, 576) adds to the gates of the LSTM: (B, 512)."""
        mirrored = np.pad(inputs, ((0, 0), (0, _CONTEXT)), "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(mirrored, _STFT_SIZE, axis=1)[:, ::_STFT_STEP]
        real, imaginary = np.split(frames @ self._weights["stft_conv.weight"][:, 0].T, 2, axis=2)
        features = np.sqrt(real**2 + imaginary**2)  # (B, 4, 129)
        for number, stride in enumerate(_STRIDES, 1):
            weight, bias = (self._weights[f"conv{number}.{part}"] for part in ("weight", "bias"))
            features = _convolved(features, weight, bias, stride)
        inward, bias = self._weights["lstm_cell.weight_ih"], self._weights["lstm_cell.bias_ih"]
        gates: Float32Array = features[:, 0] @ inward.T + bias + self._weights["lstm_cell.bias_hh"]
        return gates

    def _step(self, gates: Float32Array, hidden: Float32Array, cell: Float32Array) -> tuple[Float32Array, Float32Array]:
        """The next state of the LSTM."""
        into, forget, new, out = np.split(gates + self._weights["lstm_cell.weight_hh"] @ hidden, 4)
        cell = (_sigmoid(forget) * cell + _sigmoid(into) * np.tanh(new)).astype(np.float32)
        return (_sigmoid(out) * np.tanh(cell)).astype(np.float32), cell

    def _probability(self, hidden: Float32Array) -> float:
        weight, bias = self._weights["final_conv.weight"][0, :, 0], self._weights["final_conv.bias"][0]
        return float(_sigmoid(np.asarray(np.maximum(hidden, 0) @ weight + bias, np.float32)))


def _convolved(x: Float32Array, weight: Float32Array, bias: Float32Array, stride: int) -> Float32Array:
    """ReLU of a convolution of (B, T, C) with weights (C', C, 3), padded by one step."""
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]  # (B, T', C, 3)
    flat = views.reshape(*views.shape[:2], -1)
    convolved: Float32Array = np.maximum(flat @ weight.reshape(len(weight), -1).T + bias, 0)
    return convolved


def _sigmoid(x: AnyArray) -> Float32Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)
