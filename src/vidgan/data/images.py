"""Clips that are images: all frames in one file, or one file for each, those of a clip in a folder of its own."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vidgan.data.animation import is_transparent
from vidgan.data.codecs import Frame
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP
from vidgan.data.video import TRANSPARENT, BrokenClipError, ClipSource, Opened

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
"""suffixes of images that are read"""

LARGEST_IMAGE = 2**31
"""bytes"""


def read_image(path: Path, remarks: list[str]) -> Frame:
    """An image as RGB (H, W, 3), upright as its EXIF data say; 16 bits are rounded to 8.

    Args:
        remarks: a phrase is added where parts of it are transparent.

    Raises:
        BrokenClipError: where it cannot be read, or is too large to be a frame.
    """
    try:
        if path.stat().st_size > LARGEST_IMAGE:  # Pillow reads some formats whole
            raise BrokenClipError("is too large to be an image")
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                grey = np.rint(np.asarray(upright).astype(np.float64) / 257).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            if upright.mode == "F":
                raise ValueError("holds numbers that are no levels of 8 or 16 bits")
            if TRANSPARENT not in remarks and is_transparent(upright):
                remarks.append(TRANSPARENT)
            return np.asarray(upright.convert("RGB"))
    except BrokenClipError:
        raise
    except Image.DecompressionBombError as error:
        raise BrokenClipError("holds more pixels than a frame can have") from error
    except Exception as error:  # damaged bytes make Pillow's parsers raise almost anything
        raise BrokenClipError(" ".join((getattr(error, "strerror", None) or str(error)).split())) from error


class StripImage(ClipSource):
    """An image whose square frames stand side by side: the image's height is the frames' side."""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        remarks: list[str] = []
        strip = read_image(self.path, remarks)
        side, width = strip.shape[:2]
        if width % side:
            raise BrokenClipError(f"{width}x{side} pixels are not a whole number of square frames")
        frames = np.split(strip, width // side, axis=1)
        return Opened(None, (resizer.image(np.ascontiguousarray(frame)) for frame in frames), remarks)


class FrameFolder(ClipSource):
    """A folder whose images are the frames, in the order of the numbers in their names."""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        try:
            names = [name for name in os.listdir(self.path) if _is_image(name)]
        except OSError as error:
            raise BrokenClipError(str(error.strerror)) from error
        if not names:
            raise BrokenClipError("holds no images")
        kinds = sorted(
            {Path(name).suffix.lower().replace(".jpeg", ".jpg").replace(".tiff", ".tif") for name in names}
        )
        if len(kinds) > 1:
            raise BrokenClipError(f"holds {' and '.join(kinds)} images: keep those of one kind")
        remarks: list[str] = []
        return Opened(None, self._frames(sorted(names, key=in_order), resizer, remarks), remarks)

    def _frames(self, names: list[str], resizer: Resizer, remarks: list[str]) -> Iterator[Frame]:
        first: tuple[int, ...] | None = None
        for name in names:
            try:
                image = read_image(self.path / name, remarks)
            except BrokenClipError as error:
                raise BrokenClipError(f"{name}: {error}") from error
            first = first or image.shape
            if image.shape != first:
                sizes = (f"{width}x{height}" for height, width, _ in (image.shape, first))
                raise BrokenClipError(f"{name} has {' pixels, the first image '.join(sizes)}")
            yield resizer.image(image)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGES


def in_order(name: str) -> list[str | int]:
    """Sorts ``frame_10`` after ``frame_9``: numbers by their value, all else as text."""
    parts = re.split(r"([0-9]+)", name)
    return [*(int(part) if place % 2 else part for place, part in enumerate(parts)), name]
