"""Face crops as the networks take them: sizes, and the part of a crop that a network looks at."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from fakespan.arrays import UInt8Array
from fakespan.config import Framing

__all__ = ["CROP_SIZE", "FACE_SIZE", "MOUTH_BOX", "prepare_crop"]

FACE_SIZE = 96  # pixels; side of the networks' faces
CROP_SIZE = 224  # pixels; side of the published data's crops
MOUTH_BOX = (0.25, 0.32, 0.75, 0.82)  # x0, y0, x1, y1 relative to a face crop


def prepare_crop(crop: UInt8Array, size: int = FACE_SIZE, framing: Framing = "face") -> UInt8Array:
    """A face crop of any size (H, W, 3) -> (size, size, 3) uint8.

    Larger crops are area-averaged to 224x224 (the size of the published data's crops), then scaled bicubically to
    `size`, so that faces of all sizes have the sharpness of the training data. Crops are framed as in VoxCeleb2, so the
    mouth is within the fixed box that the framing "mouth" (ours) cuts out before the last step.
    """
    image: Any = crop
    if min(crop.shape[:2]) > CROP_SIZE:
        image = cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    if framing == "mouth":
        height, width = image.shape[:2]
        x0, y0, x1, y1 = (round(part * side) for part, side in zip(MOUTH_BOX, (width, height) * 2, strict=True))
        image = image[min(y0, height - 1) : max(y1, y0 + 1), min(x0, width - 1) : max(x1, x0 + 1)]
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)  # type: ignore[no-any-return]
