"""Converts high dynamic range and wide-gamut RGB to the SDR colours (BT.709) that detectors and networks know.

Contract: uint16 RGB in, uint8 RGB out, pixel by pixel and independent of the rest of the picture, so that a crop equals
the same slice of the whole. Steps: the transfer function of the stream to linear light with SDR white at 203 cd/m²
(BT.2408; PQ: SMPTE ST 2084; HLG: BT.2100 for a display of 1,000 cd/m²; else a power of 2.4), BT.2020 primaries to
BT.709, a soft knee for what is brighter, and the power of 1/2.4 of BT.1886. The knee leaves linear values up to 0.75
alone and bends all above into 0.75..1 by one fixed curve; it acts on the largest component, which keeps the hue.
Metadata of the mastering display and Dolby Vision's own colours are not used.
"""

from __future__ import annotations

import functools

import numpy as np
from av.video.frame import VideoFrame

from fakespan.arrays import Float32Array, UInt8Array, UInt16Array

__all__ = ["hdr_kind", "is_wide", "to_sdr"]

_HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic
_BT2020 = 9  # AVColorPrimaries
_WHITE = 203.0  # cd/m² of SDR white
_PEAK = 1000.0  # cd/m² of the display that HLG is rendered for
_KNEE = 0.75
_GAMMA = 2.4
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # BT.2087, linear light


def hdr_kind(frame: VideoFrame) -> str:
    """`PQ` or `HLG`, as the frame is tagged; empty for SDR."""
    return _HDR.get(int(frame.color_trc), "")


def is_wide(frame: VideoFrame) -> bool:
    """Whether the frame needs `to_sdr`: high dynamic range or the primaries of BT.2020."""
    return bool(hdr_kind(frame)) or int(frame.color_primaries) == _BT2020


def to_sdr(rgb: UInt16Array, hdr: str) -> UInt8Array:
    """BT.2020 colours (H, W, 3) uint16 as BT.709 (H, W, 3) uint8; `hdr` is the result of `hdr_kind`.

    >>> white = np.full((1, 1, 3), round(0.5807 * 65535), np.uint16)  # 203 cd/m² in PQ
    >>> to_sdr(white, "PQ").ravel().tolist()
    [241, 241, 241]
    """
    light = _linear(hdr)[rgb]
    if hdr == "HLG":
        light *= (light @ _LUMA_2020)[..., None] ** np.float32(0.2) * np.float32(_PEAK / _WHITE)  # system gamma 1.2
    light = np.maximum(light @ _TO_709.T, 0.0)
    if hdr:
        light *= _knee(light.max(axis=-1, keepdims=True))
    return np.asarray(np.minimum(light, 1.0) ** np.float32(1 / _GAMMA) * 255.0 + 0.5, np.uint8)


def _knee(peak: Float32Array) -> Float32Array:
    """The factor that bends a largest component above the knee into _KNEE..1, with slope 1 at the knee."""
    room = np.float32(1 - _KNEE)
    above = np.maximum(peak - np.float32(_KNEE), 0.0)
    bent = np.minimum(peak, np.float32(_KNEE)) + room * above / (above + room)
    return np.asarray(bent / np.maximum(peak, np.float32(1e-6)), np.float32)


@functools.cache
def _linear(hdr: str) -> Float32Array:
    """Linear light of every code value, (65536,): relative to SDR white, for HLG to the scene's peak."""
    code = np.linspace(0.0, 1.0, 1 << 16)
    if hdr == "PQ":
        root = code ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return np.asarray(light * (10_000.0 / _WHITE), np.float32)
    if hdr == "HLG":
        bright = (np.exp((np.maximum(code, 0.5) - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.asarray(np.where(code <= 0.5, code**2 / 3, bright), np.float32)
    return np.asarray(code**_GAMMA, np.float32)
