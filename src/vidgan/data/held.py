"""Clips that are held whole, in this process's memory or on its device, so that training reads no file.

Du 2020, 4.1: "Datasets with the size of UCF101 or smaller can fit on a single NVIDIA V100 GPU". What is held are the
bytes that windows are cut from, at the size of the experiment: the batches are the same as those that are read.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.data.dataset import ClipInfo, Dataset, Frames, LongClips
from vidgan.data.window import Order, Place, WindowSpec, fit, random_place
from vidgan.errors import UserError
from vidgan.memory import GB, require_memory
from vidgan.spec import Spec

INSTEAD = "leave --cache out, or prepare fewer or smaller clips"


class Cache(Spec, ABC):
    """Where clips are held."""

    @abstractmethod
    def place(self, device: torch.device) -> torch.device:
        """The device of their bytes, where networks are computed on ``device``."""


class MemoryCache(Cache):
    """In the memory of each process."""

    def place(self, device: torch.device) -> torch.device:
        return torch.device("cpu")


class DeviceCache(Cache):
    """On the device of each process: batches are cut there, and nothing is copied to it."""

    def place(self, device: torch.device) -> torch.device:
        return device


def fitted_sizes(dataset: Dataset, window: WindowSpec) -> NDArray[np.int64]:
    """Frames, height and width (N, 3) of all clips as windows are cut from them."""
    sizes = dataset.sizes()
    return np.asarray(
        [
            (frames, height, width)
            if min(height, width) <= window.size
            else (frames, *window.fitted(ClipInfo(0, frames, height, width)))
            for frames, height, width in sizes.tolist()
        ],
        np.int64,
    ).reshape(-1, 3)


def bytes_held(dataset: Dataset, window: WindowSpec) -> int:
    """What holding all clips of ``dataset`` takes."""
    return int(3 * fitted_sizes(dataset, window).prod(axis=1).sum())


class HeldClips(Dataset):
    """A dataset whose clips lie on ``place``, as large as ``window`` needs them. Pickles as the dataset itself.

    Raises:
        UserError: where memory does not suffice, or a clip cannot be read.
    """

    def __init__(self, dataset: Dataset, window: WindowSpec, place: torch.device) -> None:
        self.dataset, self.source, self.place = dataset, dataset.source, place
        self._sizes, self._labels = fitted_sizes(dataset, window), dataset.labels()
        ends = (3 * self._sizes.prod(axis=1)).cumsum()
        self._starts, self.bytes = np.concatenate([[0], ends]), int(ends[-1]) if len(ends) else 0
        require_room(self.bytes, f"holding {len(dataset)} clips", place)
        self._held = torch.empty(self.bytes, dtype=torch.uint8, device=place)
        for index in range(len(dataset)):
            frames = fit(dataset.read(index, 0, int(self._sizes[index, 0])), window)
            self.clip(index).copy_(torch.from_numpy(np.ascontiguousarray(frames)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.dataset,)

    def clip(self, index: int) -> Tensor:
        """All frames of clip ``index`` (T, H, W, 3), uint8, where they are held; not a copy."""
        low, high = self._starts[index], self._starts[index + 1]
        return self._held[low:high].view(*self._sizes[index].tolist(), 3)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def fingerprint(self) -> str:
        return self.dataset.fingerprint

    @property
    def resized_by(self) -> str | None:
        return self.dataset.resized_by

    def __len__(self) -> int:
        return len(self.dataset)

    def info(self, index: int) -> ClipInfo:
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return ClipInfo(int(self._labels[index]), *self._sizes[index].tolist())

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        wanted = self.frame_range(index, start, frames, stride)
        chosen: Frames = self.clip(index)[wanted.start : wanted.stop : stride].cpu().numpy()
        return chosen

    def origin(self, index: int) -> tuple[Dataset, int]:
        return self.dataset.origin(index)

    def name(self, index: int) -> str:
        return self.dataset.name(index)

    def rate(self, index: int) -> float | None:
        return self.dataset.rate(index)

    def rates(self) -> NDArray[np.float64]:
        return self.dataset.rates()

    def labels(self) -> NDArray[np.int64]:
        return self._labels

    def sizes(self) -> NDArray[np.int64]:
        return self._sizes


def _itself(dataset: Dataset) -> Dataset:
    return dataset


def require_room(needed: int, what: str, place: torch.device) -> None:
    """Raise :class:`UserError` where ``place`` has fewer than ``needed`` bytes free."""
    if place.type != "cuda":
        require_memory(needed, what, INSTEAD)
        return
    free, _ = torch.cuda.mem_get_info(place)
    if needed > free:
        raise UserError(
            f"{what} would take {needed / GB:,.1f} GB of {place}, and {free / GB:,.1f} GB are free: {INSTEAD}"
        )


def held_clip(dataset: Dataset, index: int) -> Tensor | None:
    """All frames (T, H, W, 3) of clip ``index`` where they are held, short clips left out or not; None where not."""
    if isinstance(dataset, LongClips):
        return held_clip(dataset.dataset, int(dataset.kept[index]))
    return dataset.clip(index) if isinstance(dataset, HeldClips) else None


def is_held(dataset: Dataset) -> bool:
    """Whether its clips are held."""
    return len(dataset) > 0 and held_clip(dataset, 0) is not None


def cut_held(clip: Tensor, window: WindowSpec, place: Place) -> Tensor:
    """The window at ``place`` of a clip that is held (T, size, size, 3), as :func:`vidgan.data.window.cut`."""
    rows = slice(place.top, place.top + window.size)
    columns = slice(place.left, place.left + window.size)
    crop = clip[place.start : place.start + window.span : window.stride, rows, columns]
    return crop.flip(2) if place.flip else crop


def held_windows(
    dataset: Dataset,
    window: WindowSpec,
    seed: int,
    indices: Iterator[Sequence[int]],
    order: Order,
) -> Iterator[tuple[Tensor, list[int]]]:
    """Windows (B, T, size, size, 3) where they are held, and their labels, for every sequence of item numbers."""
    for numbers in indices:
        places = [random_place(dataset, window, seed, n, order) for n in numbers]
        crops = []
        for place in places:
            clip = held_clip(dataset, place.clip)
            assert clip is not None
            crops.append(cut_held(clip, window, place))
        yield torch.stack(crops), [dataset.info(place.clip).label for place in places]
