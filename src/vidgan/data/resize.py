"""Resizing while preparing: the shorter side to a given size, the aspect kept.

The scaling is FFmpeg's: ``bilinear`` is a triangle filter widened by the scale factor, so it aliases less than
one that looks at four pixels (DVD-GAN says "bilinear" and no more), ``area`` the average over each target
pixel's area (Guide).
"""

from fractions import Fraction

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from vidgan.data.codecs import Frame

FILTERS = {"bilinear": Interpolation.BILINEAR, "area": Interpolation.AREA}
"""resize filters by name"""


class Resizer:
    """Resizes frames to a shorter side of ``size`` pixels by the filter called ``name``."""

    def __init__(self, size: int, name: str) -> None:
        self.size, self._filter = size, FILTERS[name]
        self._reformatter = VideoReformatter()  # one for all frames: setting one up costs more than scaling

    def target(self, height: int, width: int, pixel_aspect: Fraction = Fraction(1)) -> tuple[int, int]:
        """(height, width) after resizing; ``pixel_aspect`` is the width of a source pixel over its height."""
        shown = width * pixel_aspect
        if height <= shown:
            return self.size, round(self.size * shown / height)
        return round(self.size * height / shown), self.size

    def video_frame(self, frame: VideoFrame, height: int, width: int) -> Frame:
        """A decoded frame as RGB (height, width, 3), scaled in its own colour planes."""
        # One thread: the worker processes fill the cores.
        scaled = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=self._filter, threads=1
        )
        return scaled.to_ndarray().astype(np.uint8, copy=False)

    def image(self, image: Frame) -> Frame:
        """An RGB image, resized plane by plane, so that its colours are not subsampled on the way."""
        height, width = self.target(*image.shape[:2])
        if (height, width) == image.shape[:2]:
            return image
        planes = []
        for channel in range(3):
            plane = VideoFrame.from_ndarray(np.ascontiguousarray(image[..., channel]), "gray")
            scaled = self._reformatter.reformat(
                plane, width, height, "gray", interpolation=self._filter, threads=1
            )
            planes.append(scaled.to_ndarray())
        return np.stack(planes, axis=-1)
