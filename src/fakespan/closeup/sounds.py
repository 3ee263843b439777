"""A spectrogram as a small image."""

from __future__ import annotations

import cv2
import numpy as np

from fakespan.arrays import Float32Array

__all__ = ["spectrogram"]

_WINDOW, _N_COLUMNS, _N_ROWS = 512, 640, 128  # samples (32 ms: harmonics of a voice are apart); pixels
_RANGE_DB = 70.0
_QUALITY = 60


def spectrogram(sound: Float32Array) -> bytes:
    """The spectrogram of a sound (n,) at 16 kHz as WebP: 0 to 8 kHz from bottom to top, 70 dB from dark to bright."""
    columns = np.linspace(0, len(sound), _N_COLUMNS, endpoint=False).astype(np.int64)
    padded = np.pad(sound, (_WINDOW // 2, _WINDOW))
    frames = padded[columns[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1))[:, : _WINDOW // 2] ** 2
    rows = power.reshape(_N_COLUMNS, _N_ROWS, -1).max(axis=2).T[::-1]
    level_db = 10 * np.log10(rows + 1e-9)
    shown = np.clip((level_db - level_db.max() + _RANGE_DB) / _RANGE_DB, 0, 1)
    coloured = cv2.applyColorMap((255 * shown).astype(np.uint8), cv2.COLORMAP_MAGMA)
    _, data = cv2.imencode(".webp", coloured, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    return data.tobytes()
