"""What a collection of labelled video clips offers, whatever it is stored in."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.errors import UserError

Frames = NDArray[np.uint8]
"""Video frames (T, H, W, 3), uint8 RGB."""


class ClipInfo(NamedTuple):
    """What is known of a clip without reading its frames."""

    label: int
    """index into the dataset's classes; 0 where it has no classes"""
    frames: int
    """number of frames"""
    height: int
    """pixels"""
    width: int
    """pixels"""


class Dataset(ABC):
    """Random access to labelled clips. Instances can be sent to worker processes (they pickle small)."""

    source: str = "made in Python"
    """what records call it: a folder, the name of built-in clips, ``file.py:name`` or a class"""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; a dataset without classes has the single class ``("all",)``."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the contents; equal for equal data."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def info(self, index: int) -> ClipInfo:
        """Facts of clip ``index``; raises ``IndexError`` outside ``range(len(self))``."""

    @abstractmethod
    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        """Frames ``start, start + stride, ...`` (``frames`` of them) of clip ``index``: (T, H, W, 3) uint8.

        Raises:
            UserError: where the clip is too short or its bytes cannot be read; names the clip.
        """

    def name(self, index: int) -> str:
        """What messages call clip ``index``."""
        return f"clip {index}"

    def labels(self) -> NDArray[np.int64]:
        """Labels of all clips: (N,)."""
        return np.asarray([self.info(index).label for index in range(len(self))], np.int64)

    def sizes(self) -> NDArray[np.int64]:
        """Frames, height and width of all clips: (N, 3)."""
        return np.asarray([self.info(index)[1:] for index in range(len(self))], np.int64).reshape(-1, 3)

    def frame_range(self, index: int, start: int, frames: int, stride: int) -> range:
        """The frames ``start, start + stride, ...`` of clip ``index``; raises :class:`UserError` if it is too short."""
        last, known = start + (frames - 1) * stride, self.info(index).frames
        if start < 0 or frames < 1 or stride < 1 or last >= known:
            raise UserError(f"{self.name(index)} has {known} frames: no window {start}..{last} by {stride}")
        return range(start, last + 1, stride)
