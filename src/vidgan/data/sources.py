"""What one clip is prepared from: a video file, or an image with the frames side by side."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from vidgan.data.codecs import Frame
from vidgan.data.resize import Resizer
from vidgan.data.video import read_video


class BrokenClipError(Exception):
    """A source that cannot be used, and why (a short phrase)."""


class Opened(NamedTuple):
    """A clip while it is read."""

    rate: float | None
    """frames per second, where the source says so"""
    frames: Iterator[Frame]
    """resized frames, all of one size, read as they are asked for; raises :class:`BrokenClipError`"""


@dataclass(frozen=True)
class ClipSource(ABC):
    """One clip to be: where its bytes are. Can be sent to worker processes."""

    path: Path
    """file"""
    name: str
    """unique name within the dataset: the path below the source folder"""
    label: int
    """index into the layout's classes"""
    group: str | None = None
    """recording it was cut from, where several clips share one (clips of a group look alike)"""

    @abstractmethod
    def open(self, resizer: Resizer) -> Opened:
        """Start reading; raises :class:`BrokenClipError` where it cannot be read."""


class VideoFile(ClipSource):
    """A video file that FFmpeg reads."""

    def open(self, resizer: Resizer) -> Opened:
        return _opened(self.path, resizer, None)


@dataclass(frozen=True, kw_only=True)
class VideoPart(ClipSource):
    """A part of a longer video file."""

    start: float
    """seconds after the file's start"""
    end: float
    """seconds after the file's start"""

    def open(self, resizer: Resizer) -> Opened:
        return _opened(self.path, resizer, (self.start, self.end))


class StripImage(ClipSource):
    """An image whose square frames stand side by side: the image's height is the frames' side."""

    def open(self, resizer: Resizer) -> Opened:
        try:
            with Image.open(self.path) as image:
                strip = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise BrokenClipError(_reason(error)) from error
        side, width = strip.shape[:2]
        if width % side:
            raise BrokenClipError(f"{width}x{side} pixels are not a whole number of square frames")
        frames = np.split(strip, width // side, axis=1)
        return Opened(None, (resizer.image(np.ascontiguousarray(frame)) for frame in frames))


def _opened(path: Path, resizer: Resizer, part: tuple[float, float] | None) -> Opened:
    try:
        rate, frames = read_video(path, resizer, part)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BrokenClipError(_reason(error)) from error
    return Opened(rate, _guarded(frames))


def _guarded(frames: Iterator[Frame]) -> Iterator[Frame]:
    try:
        yield from frames
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BrokenClipError(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
