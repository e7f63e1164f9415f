"""Decoded frames as RGB of another size, as exactly as 8 bits allow.

The scaling is FFmpeg's: ``bilinear`` is a triangle filter widened by the scale factor, so it aliases less than
one that looks at four pixels (DVD-GAN says "bilinear" and no more), ``area`` the average over each target
pixel's area (Guide). The one that looks at four pixels is ``bilinear-aliased``, which FFmpeg does not have.

Colours are computed once, at the size of the result, from planes that were scaled each by itself: no chroma at
half the width, no rounding in between. They are what FFmpeg shows with accurate rounding: by the file's matrix
and range (BT.601 and limited where it names none; grey is always of full range). In n bits of full range, white is
2^n - 1 (ITU-T H.273, equations 23 to 25, and FFmpeg's own definition of AVCOL_RANGE_JPEG). FFmpeg's scaler takes it for
255 * 2^(n - 8) all the same, up to a level too bright; here it is right.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vidgan.data.codecs import Frame

ALIASED = "bilinear-aliased"
FILTERS = {
    "bilinear": Interpolation.BILINEAR,
    "area": Interpolation.AREA,
    ALIASED: Interpolation.BILINEAR,  # only of chroma, where nothing is resized
}
"""resize filters by name, with FFmpeg's for what it does"""
RESIZING = 8
"""bytes that resizing holds of each value of its result"""
FULL_RANGE = 2
"""AVCOL_RANGE_JPEG"""
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""Without the first, FFmpeg rounds down (a level too dark); without the others it halves the width of chroma."""


class Resizer:
    """Resizes frames to a shorter side of ``size`` pixels by the filter called ``name``."""

    enlarged: bool
    """whether something smaller has been brought to this size since this was last set to False"""

    source: tuple[int, int]
    """height and width, of square pixels, of what was brought to this size last"""

    def __init__(self, size: int, name: str) -> None:
        self.enlarged, self.source = False, (size, size)
        self.size, self._flags, self._aliased = size, FILTERS[name] | EXACT, name == ALIASED
        self._reformatter = VideoReformatter()  # one for all frames: setting one up costs more than scaling

    def target(self, height: int, width: int, pixel_aspect: Fraction = Fraction(1)) -> tuple[int, int]:
        """(height, width) after resizing; ``pixel_aspect`` is the width of a source pixel over its height."""
        shown = width * pixel_aspect
        self.source = height, round(shown)
        self.enlarged = self.enlarged or height < self.size or shown < self.size
        if height <= shown:
            return self.size, round(self.size * shown / height)
        return round(self.size * height / shown), self.size

    def video_frame(self, frame: VideoFrame, height: int, width: int) -> Frame:
        """A decoded frame of any pixel format as RGB (height, width, 3)."""
        if frame.format.is_rgb or frame.format.has_palette or self._aliased:
            # FFmpeg scales RGB by way of YUV, which rounds twice.
            return self.scaled(self._rgb(frame, frame.height, frame.width), height, width)
        return self._rgb(frame, height, width)

    def image(self, image: Frame) -> Frame:
        """An RGB image with its shorter side at ``size`` pixels."""
        return self.scaled(image, *self.target(*image.shape[:2]))

    def scaled(self, image: Frame, height: int, width: int) -> Frame:
        """An RGB image at another size, plane by plane, so that its colours are not mixed on the way."""
        if (height, width) == image.shape[:2]:
            return image
        if self._aliased:
            return between_pixels(image, height, width)
        planes = [VideoFrame.from_ndarray(np.ascontiguousarray(image[..., c]), "gray") for c in range(3)]
        return np.stack([self._converted(plane, height, width, "gray") for plane in planes], axis=-1)

    def _rgb(self, frame: VideoFrame, height: int, width: int) -> Frame:
        white = white_in_16_bits(frame)
        if white is None:
            return self._converted(frame, height, width, "rgb24")
        # Each the way on which nothing is rounded or wraps around.
        wide = self._values(frame, height, width, "rgb48le" if frame.format.is_rgb else "gbrp16le")
        return (wide * (255 / white)).round().clip(0, 255).astype(np.uint8)

    def _converted(self, frame: VideoFrame, height: int, width: int, pixels: str) -> Frame:
        return self._values(frame, height, width, pixels).astype(np.uint8, copy=False)

    def _values(self, frame: VideoFrame, height: int, width: int, pixels: str) -> NDArray[Any]:
        # One thread: the worker processes fill the cores.
        made = self._reformatter.reformat(frame, width, height, pixels, interpolation=self._flags, threads=1)
        return made.to_ndarray()


def between_pixels(image: Frame, height: int, width: int) -> Frame:
    """An image (H, W, C) at another size, each value interpolated between four pixels; the borders are repeated."""
    values = image.astype(np.float32)
    for axis, size in ((0, height), (1, width)):
        last = values.shape[axis] - 1
        # Centres of pixels lie on centres; beyond the outermost ones nothing is extrapolated.
        place = ((np.arange(size) + 0.5) * (last + 1) / size - 0.5).clip(0, last)
        below = np.minimum(place.astype(np.intp), max(0, last - 1))
        share = (place - below).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        above = np.minimum(below + 1, last)
        values = values.take(below, axis) * (1 - share) + values.take(above, axis) * share
    return np.rint(values).astype(np.uint8)


def white_in_16_bits(frame: VideoFrame) -> int | None:
    """What white becomes where FFmpeg converts the frame to 16 bits; None where its conversion to 8 bits is right.

    It moves values of full range to the left, by 16 - n bits, and repeats the first bits of RGB behind the last.
    """
    depth = max(component.bits for component in frame.format.components)
    if not 8 < depth <= 16 or frame.format.has_palette:
        return None
    if frame.format.is_rgb:
        return 2**16 - 1
    grey = frame.format.name.startswith(("gray", "ya"))
    return 2**16 - 2 ** (16 - depth) if grey or frame.color_range == FULL_RANGE else None
