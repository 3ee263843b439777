"""A decoded picture of which only the requested regions are converted to RGB.

Contract: boxes and sizes are in pixels of the displayed picture (rotation applied, non-square pixels stretched to
square ones); arrays are uint8 RGB, (H, W, 3). `crop` equals the same slice of `rgb()`. Cost for 1080p on one core:
rgb about 1 ms, a 448-pixel crop 0.2 ms, a thumbnail of 480 pixels about 1 ms, of 32 pixels a third of that. Colours
follow the tags of the stream; an untagged stream is BT.709 from 720 lines on, else BT.601. High dynamic range and
BT.2020 become SDR as `colour` says.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from fakespan.arrays import AnyArray, UInt8Array
from fakespan.media.colour import hdr_kind, is_wide, to_sdr
from fakespan.media.probe import clockwise_deg

__all__ = ["Picture", "Source"]


_PLANAR_FORMATS = ("yuv420p", "yuvj420p")
_WIDE_FORMATS = ("yuv420p10le",)  # eight bits of PQ or HLG would show as bands
# AVColorSpace -> swscale's coefficients
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_FULL_RANGE = 2
_LEAST_LINES = 12  # of the picture that each line of a thumbnail averages, if it has more
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Source:
    """A decoded frame and its converter; several pictures at the clock may share one.

    Args:
        frame: as it was decoded.
        reformatter: shared converter, so that conversion tables are built once per stream instead of per frame; only
            for frames handled by one thread. None: a converter of its own.
        pixel_aspect: width of a stored pixel over its height.
        begins_s: its time since the common origin.
    """

    def __init__(
        self,
        frame: VideoFrame,
        reformatter: VideoReformatter | None = None,
        pixel_aspect: float = 1.0,
        begins_s: float = 0.0,
    ) -> None:
        self.frame, self.begins_s = frame, begins_s
        self._reformatter = reformatter
        self.turn_deg = clockwise_deg(frame)
        self.width, self.height = max(1, round(frame.width * pixel_aspect)), frame.height  # of `planes`
        self._is_wide = is_wide(frame)

    @functools.cached_property
    def planes(self) -> VideoFrame:
        """The frame with square pixels as yuv420p of 8 bits, of 10 if its colours are wide; itself if it is that."""
        is_square = self.width == self.frame.width
        formats = _WIDE_FORMATS if self._is_wide else _PLANAR_FORMATS
        if self.frame.format.name in formats and is_square:
            return self.frame
        # YUV keeps its matrix and range: it is only stretched, subsampled and rounded
        matrix, range_ = (self._matrix, self._range) if self._is_yuv else (Colorspace.ITU601, ColorRange.MPEG)
        size = {} if is_square else {"width": self.width, "height": self.height, "interpolation": Interpolation.AREA}
        options: dict[str, Any] = {"dst_colorspace": matrix, "dst_color_range": range_, **size}
        return self.frame.reformat(format=formats[0], threads=1, **options)

    def to_rgb(self, planes: VideoFrame, **size: Any) -> UInt8Array:
        """RGB of planes cut from this frame, as stored (not rotated)."""
        colours = {
            "src_colorspace": self._matrix if self._is_yuv else Colorspace.ITU601,
            "src_color_range": self._range if self._is_yuv else ColorRange.MPEG,
        }
        options = {"format": "rgb48le" if self._is_wide else "rgb24", "threads": 1, **colours, **size}
        shared = self._reformatter
        rgb = (planes.reformat(**options) if shared is None else shared.reformat(planes, **options)).to_ndarray()
        return to_sdr(rgb, hdr_kind(self.frame)) if self._is_wide else rgb  # type: ignore[return-value, arg-type]

    @property
    def _is_yuv(self) -> bool:
        return self.frame.format.name.startswith(("yuv", "nv", "p0", "p2", "p4", "uyv", "yvy", "y2"))

    @property
    def _matrix(self) -> Colorspace:
        is_untagged = self.frame.colorspace in (0, 2, 3)
        if is_untagged:
            return Colorspace.ITU709 if min(self.frame.width, self.frame.height) >= 720 else Colorspace.ITU601
        return _MATRICES.get(self.frame.colorspace, Colorspace.ITU601)

    @property
    def _range(self) -> ColorRange:
        is_full = self.frame.color_range == _FULL_RANGE or self.frame.format.name.startswith("yuvj")
        return ColorRange.JPEG if is_full else ColorRange.MPEG


@dataclass(frozen=True)
class Picture:
    """The picture shown at one time step of the clock.

    Attributes:
        index: time step, counted from the file's common origin.
        time_s: its time, `index / fps`.
        source: the decoded frame; the same object if a frame is shown at several time steps.
        is_after_hole: whether the clock of the file jumps in front of it, so that nothing earlier is its context.
        is_damaged: whether it may show what was never recorded.
        is_early: whether it only fills the time before it, a long one, in which no picture was recorded.
    """

    index: int
    time_s: float
    source: Source
    is_after_hole: bool = False
    is_damaged: bool = False
    is_early: bool = False

    @property
    def width(self) -> int:
        """Width in pixels, as shown."""
        return self.source.height if self.source.turn_deg in (90, 270) else self.source.width

    @property
    def height(self) -> int:
        """Height in pixels, as shown."""
        return self.source.width if self.source.turn_deg in (90, 270) else self.source.height

    def rgb(self) -> UInt8Array:
        """The whole picture, (H, W, 3) uint8."""
        if self.width % 2 or self.height % 2:
            return self._crop_inside(0, 0, self.width, self.height)  # swscale treats odd sizes differently
        return _turned(self.source.to_rgb(self.source.planes), self.source.turn_deg)

    def crop(self, x0: int, y0: int, x1: int, y1: int, *, at_most: int | None = None) -> UInt8Array:
        """Crop from (x0, y0) to (x1, y1), exclusive, as (y1 - y0, x1 - x0, 3) uint8.

        Parts outside the picture repeat its edge. A square box within the picture whose sides exceed `at_most` is
        scaled down to (at_most, at_most, 3) by area averaging during conversion; it may be shifted by a pixel, because
        chroma planes are cut at even pixels. Raises ValueError for an empty box.
        """
        if x1 <= x0 or y1 <= y0:
            raise ValueError(f"expected a box with x0 < x1 and y0 < y1, got {(x0, y0, x1, y1)}")
        inner = (*_inside(x0, x1, self.width), *_inside(y0, y1, self.height))
        left, right, top, bottom = inner
        is_whole = inner == (x0, x1, y0, y1)
        if at_most is not None and is_whole and x1 - x0 == y1 - y0 > at_most:
            return self._scaled_inside(x0, y0, x1, y1, at_most)
        rgb = self._crop_inside(left, top, right, bottom)
        pad = (max(0, top - y0), max(0, y1 - bottom), max(0, left - x0), max(0, x1 - right))
        if (y1 - y0, x1 - x0) == rgb.shape[:2]:
            return rgb
        # a box completely outside keeps one row or column of the edge, to repeat it
        padded = cv2.copyMakeBorder(rgb, *pad, borderType=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(
            padded[_overhang(y0, top, pad[0]) :, _overhang(x0, left, pad[2]) :][: y1 - y0, : x1 - x0]
        )

    def thumbnail(self, max_side: int, *, gray: bool = False) -> UInt8Array:
        """The whole picture scaled down to at most `max_side` pixels per side: (h, w, 3), or (h, w) if gray.

        Never enlarged. Uses area averaging, which avoids flicker; a tiny thumbnail of a large picture averages evenly
        spaced lines, because reading the others from memory takes most of the time. Gray is luma, stretched to 0..255.
        """
        scale = min(1.0, max_side / max(self.width, self.height))
        width, height = max(1, round(self.source.width * scale)), max(1, round(self.source.height * scale))
        step = min(int(1 / (scale * _LEAST_LINES)), self.source.height // 2)  # planes have two lines at least
        lines = _every_line(self.source.planes, step)
        rgb = self.source.to_rgb(lines, width=width, height=height, interpolation=Interpolation.AREA)
        upright = _turned(rgb, self.source.turn_deg)
        return cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY) if gray else upright  # type: ignore[return-value]

    def _crop_inside(self, x0: int, y0: int, x1: int, y1: int) -> UInt8Array:
        """Crop a box within the picture."""
        x0, y0, x1, y1 = self._as_stored(x0, y0, x1, y1)
        even_x, even_y = x0 & ~1, y0 & ~1  # chroma planes have half the resolution
        rgb = self.source.to_rgb(_cut(self.source.planes, even_x, even_y, x1, y1))
        return _turned(
            np.ascontiguousarray(rgb[y0 - even_y : y1 - even_y, x0 - even_x : x1 - even_x]), self.source.turn_deg
        )

    def _scaled_inside(self, x0: int, y0: int, x1: int, y1: int, side: int) -> UInt8Array:
        """Crop a square box within the picture, scaled during conversion."""
        x0, y0, x1, y1 = self._as_stored(x0, y0, x1, y1)
        cut = _cut(self.source.planes, x0 & ~1, y0 & ~1, x1, y1)
        rgb = self.source.to_rgb(cut, width=side, height=side, interpolation=Interpolation.AREA)
        return _turned(rgb, self.source.turn_deg)

    def _as_stored(self, x0: int, y0: int, x1: int, y1: int) -> tuple[int, int, int, int]:
        """The box in the stored frame, before rotation."""
        width, height = self.source.width, self.source.height
        match self.source.turn_deg:
            case 90:
                return y0, height - x1, y1, height - x0
            case 180:
                return width - x1, height - y1, width - x0, height - y0
            case 270:
                return width - y1, x0, width - y0, x1
            case _:
                return x0, y0, x1, y1


def _inside(start: int, stop: int, size: int) -> tuple[int, int]:
    """The part of [start, stop) within [0, size), at least one pixel."""
    first = min(max(start, 0), size - 1)
    return first, max(first + 1, min(stop, size))


def _overhang(start: int, inner: int, pad: int) -> int:
    """Number of leading rows of the padded array before the box (only if it starts beyond the picture's end)."""
    return start - (inner - pad)


def _cut(planes: VideoFrame, x0: int, y0: int, x1: int, y1: int) -> VideoFrame:
    """A copy of a box of a yuv420p frame of 8 or 10 bits; x0 and y0 are even."""
    even_width, even_height = (x1 - x0 + 1) // 2 * 2, (y1 - y0 + 1) // 2 * 2
    cut = VideoFrame(even_width, even_height, planes.format.name)
    for plane, half in zip(range(3), (1, 2, 2), strict=True):
        source, target = _view(planes, plane), _view(cut, plane)
        part = source[y0 // half : (y0 + even_height) // half, x0 // half : (x0 + even_width) // half]
        target[: part.shape[0], : part.shape[1]] = part
    return cut


def _every_line(planes: VideoFrame, step: int) -> VideoFrame:
    """One of `step` lines of a yuv420p frame of 8 or 10 bits, the middle one; the frame itself if step is below 2."""
    if step < 2:
        return planes
    thin = VideoFrame(planes.width, planes.height // step // 2 * 2, planes.format.name)
    for plane in range(3):
        source, target = _view(planes, plane), _view(thin, plane)
        target[:] = source[step // 2 :: step][: len(target)]
    return thin


def _view(frame: VideoFrame, plane: int) -> AnyArray:
    """A plane of a frame as (rows, columns), without a copy."""
    data = frame.planes[plane]
    dtype = np.dtype("<u2" if frame.format.name in _WIDE_FORMATS else np.uint8)
    samples: AnyArray = np.frombuffer(data, dtype)  # type: ignore[call-overload]
    return samples.reshape(-1, data.line_size // dtype.itemsize)[: data.height, : data.width]


def _turned(image: UInt8Array, turn_deg: int) -> UInt8Array:
    return cv2.rotate(image, _TURNS[turn_deg]) if turn_deg else image  # type: ignore[return-value]
