"""A torch ``Dataset`` of the user's own, read as it is: pairs of a video (T, H, W, 3) uint8 and a label."""

import functools
import hashlib
import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.errors import UserError
from vidgan.user_code import load_object

SAMPLED = 16
"""items that a fingerprint is taken of"""


class _Read(NamedTuple):
    """The item that was read last."""

    number: int
    video: Frames
    label: int


class TorchDataset(Dataset):
    """Pairs ``(video, label)`` by number, as torch's map-style datasets give them, or any sequence of them.

    The video is an array or tensor (T, H, W, 3), uint8; the label an integer. An item is read when it is needed, and
    must be the same each time. What the dataset may tell beyond its items, as attributes:

    - ``classes``: names in label order; without it, all labels are 0;
    - ``targets``: the labels of all items, as torchvision has them. Without it, a label is known once its item has
      been read: asking for all labels reads all items once;
    - ``info(index)``: ``(frames, height, width)`` of an item. Without it, all items are as the first, and one that is
      not is an error when it is read;
    - ``fingerprint``: text that changes when the data do. Without it, a hash of :data:`SAMPLED` items, evenly over
      all: a change elsewhere passes unnoticed.

    Args:
        own: the dataset.
        source: ``file.py:name`` where it comes from a file; worker processes open it there themselves. Without it they
            are sent a copy.

    Raises:
        UserError: where ``own`` is not such a dataset.
    """

    def __init__(self, own: Any, source: str | None = None) -> None:
        self._own, self._named = own, source
        self.source = source or f"{type(own).__module__}.{type(own).__qualname__}"
        try:
            self._count = len(own)
        except TypeError as error:
            raise UserError(
                f"{self.source} has no length: a dataset needs __len__ and __getitem__"
            ) from error
        if self._count == 0:
            raise UserError(f"{self.source} holds no items")
        self._classes = self._checked_classes(getattr(own, "classes", ("all",)))
        targets = getattr(own, "targets", None)
        self._targets = None if targets is None else np.asarray(targets)
        if self._targets is not None and (
            self._targets.shape != (len(self),) or self._targets.dtype.kind not in "iu"
        ):
            raise UserError(
                f"targets of {self.source} must be an integer for each of its {len(self)} items, not "
                f"{self._targets.dtype} {self._targets.shape}"
            )
        self._labels: dict[int, int] = {}
        self._last: _Read | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._named is not None:
            return (open_named, (self._named,))
        return (TorchDataset, (self._own,))

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @functools.cached_property
    def fingerprint(self) -> str:
        """The dataset's own, or a hash of its length, classes, targets and :data:`SAMPLED` of its items."""
        given = getattr(self._own, "fingerprint", None)
        if given is not None:
            if not isinstance(given, str):
                raise UserError(f"fingerprint of {self.source} must be text, not {type(given).__name__}")
            return given
        digest = hashlib.blake2b(json.dumps([len(self), self.classes]).encode(), digest_size=16)
        if self._targets is not None:
            digest.update(self._targets.astype("<i8").tobytes())
        for index in np.linspace(0, len(self) - 1, min(SAMPLED, len(self))).round().astype(int).tolist():
            item = self._item(index)
            digest.update(json.dumps([item.label, item.video.shape]).encode())
            digest.update(np.ascontiguousarray(item.video).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return self._count

    def info(self, index: int) -> ClipInfo:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return ClipInfo(self._label(index), *self._size(index))

    def labels(self) -> NDArray[np.int64]:
        return np.asarray([self._label(index) for index in range(len(self))], np.int64)

    def sizes(self) -> NDArray[np.int64]:
        if getattr(self._own, "info", None) is None:
            return np.broadcast_to(np.asarray(self._first_size, np.int64), (len(self), 3))
        return np.asarray([self._size(index) for index in range(len(self))], np.int64)

    def read(self, index: int, start: int, frames: int, stride: int = 1) -> Frames:
        video, size = self._item(index).video, self._size(index)
        if video.shape[:3] != size:
            said = "as the first" if getattr(self._own, "info", None) is None else "as info tells"
            raise UserError(
                f"{self.name(index)} is {video.shape[:3]} frames, pixels high and wide, not {size} {said}: give the "
                "dataset a method info(index) -> (frames, height, width)"
            )
        wanted = self.frame_range(index, start, frames, stride)
        return video[wanted.start : wanted.stop : wanted.step]

    def name(self, index: int) -> str:
        return f"item {index} of {self.source}"

    @functools.cached_property
    def _first_size(self) -> tuple[int, int, int]:
        frames, height, width = self._item(0).video.shape[:3]
        return frames, height, width

    def _size(self, index: int) -> tuple[int, int, int]:
        info = getattr(self._own, "info", None)
        if info is None:
            return self._first_size
        try:
            frames, height, width = (operator.index(value) for value in info(index))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"info({index}) of {self.source} must be three integers: frames, height and width"
            ) from error
        return frames, height, width

    def _label(self, index: int) -> int:
        if self._targets is not None:
            return self._checked_label(index, self._targets[index])
        if index not in self._labels:
            self._item(index)
        return self._labels[index]

    def _item(self, index: int) -> _Read:
        """The item; the last one is kept, as its label and its frames are asked for one after the other."""
        if self._last is not None and self._last.number == index:
            return self._last
        pair = self._own[index]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UserError(
                f"{self.name(index)} is a {type(pair).__name__}: items must be pairs (video, label)"
            )
        label = self._checked_label(index, pair[1])
        if self._targets is not None and label != self._targets[index]:
            raise UserError(f"{self.name(index)} has label {label}, and targets says {self._targets[index]}")
        self._labels[index] = label
        self._last = _Read(index, self._checked_video(index, pair[0]), label)
        return self._last

    def _checked_video(self, index: int, video: Any) -> Frames:
        array = (
            video.detach().cpu().numpy()
            if isinstance(video, Tensor) and video.dtype != torch.bfloat16
            else video
        )
        if not isinstance(array, np.ndarray):
            raise UserError(
                f"{self.name(index)} has a {type(video).__name__} for a video: it must be an array or tensor"
            )
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or array.size == 0:
            raise UserError(
                f"{self.name(index)} is {array.dtype} {array.shape}: videos must be uint8 (T, H, W, 3)"
            )
        return array

    def _checked_label(self, index: int, label: Any) -> int:
        try:
            number = operator.index(label)
        except TypeError as error:
            raise UserError(f"{self.name(index)} has the label {label!r}: labels must be integers") from error
        if not 0 <= number < len(self.classes):
            known = f"has {len(self.classes)} classes" if len(self.classes) > 1 else "names no classes"
            raise UserError(
                f"{self.name(index)} has label {number}, and the dataset {known}: its attribute classes must list "
                "their names in label order"
            )
        return number

    def _checked_classes(self, classes: Any) -> tuple[str, ...]:
        listed = classes if isinstance(classes, Sequence) and not isinstance(classes, str) else ()
        if not listed or not all(isinstance(name, str) for name in listed) or len(set(listed)) < len(listed):
            raise UserError(f"classes of {self.source} must be a list of different names, not {classes!r}")
        return tuple(listed)


def open_named(source: str) -> TorchDataset:
    """The dataset that ``file.py:name`` names, or that a function of this name without arguments makes.

    Raises:
        UserError: where there is none.
    """
    found = load_object(source)
    if callable(found) and not isinstance(found, torch.utils.data.Dataset):
        found = found()
    file, _, name = source.rpartition(":")
    return TorchDataset(found, f"{Path(file).resolve()}:{name}")
