"""What a collection of labelled video clips offers, whatever it is stored in."""

import hashlib
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.errors import UserError, some

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
    def resized_by(self) -> str | None:
        """The filter that its frames were resized by; None where that is not known, or they were not."""
        return None

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

    def origin(self, index: int) -> tuple["Dataset", int]:
        """The dataset that clip ``index`` is read from, and its number there: others, where this is a part of one."""
        return self, index

    def name(self, index: int) -> str:
        """What messages call clip ``index``."""
        return f"clip {index}"

    def rate(self, index: int) -> float | None:
        """Frames per second of clip ``index``, or None where that is not known."""
        return None

    def rates(self) -> NDArray[np.float64]:
        """Frames per second of all clips, NaN where it is not known: (N,)."""
        return np.asarray([self.rate(index) for index in range(len(self))], np.float64)

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


class LongClips(Dataset):
    """The clips of a dataset that have at least so many frames; all else is the dataset's own. Use :func:`long_clips`.

    Args:
        kept: their numbers.
        frames: the least.
    """

    def __init__(self, dataset: Dataset, kept: NDArray[np.intp], frames: int) -> None:
        self.dataset, self.kept, self.frames, self.source = dataset, kept, frames, dataset.source

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def fingerprint(self) -> str:
        text = f"{self.dataset.fingerprint}, clips of {self.frames} frames or more"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.kept)

    def info(self, index: int) -> ClipInfo:
        return self.dataset.info(self._number(index))

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        return self.dataset.read(self._number(index), start, frames, stride)

    def origin(self, index: int) -> tuple[Dataset, int]:
        return self.dataset.origin(self._number(index))

    def name(self, index: int) -> str:
        return self.dataset.name(self._number(index))

    def rate(self, index: int) -> float | None:
        return self.dataset.rate(self._number(index))

    def rates(self) -> NDArray[np.float64]:
        return self.dataset.rates()[self.kept]

    def labels(self) -> NDArray[np.int64]:
        return self.dataset.labels()[self.kept]

    def sizes(self) -> NDArray[np.int64]:
        return self.dataset.sizes()[self.kept]

    def _number(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return int(self.kept[index])


def long_clips(dataset: Dataset, frames: int) -> Dataset:
    """``dataset`` without its clips of fewer than ``frames`` frames; itself where there are none.

    Raises:
        UserError: where no clip is left, or none of a class.
    """
    kept = np.flatnonzero(dataset.sizes()[:, 0] >= frames)
    if len(kept) == len(dataset):
        return dataset
    left = set(dataset.labels()[kept].tolist())
    if lost := [name for label, name in enumerate(dataset.classes) if label not in left]:
        of = "" if len(dataset.classes) == 1 else f" of {some(lost, 3)}"
        raise UserError(
            f"no clip{of} has {frames} frames: ask for less, by --levels.0.frames or --levels.0.stride"
        )
    return LongClips(dataset, kept, frames)
