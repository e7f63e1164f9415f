"""Moving MNIST (Srivastava et al. 2015): ``mnist_test_seq.npy``, grey uint8 (T, N, H, W); no classes, no splits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidgan.data.arrays import map_array
from vidgan.data.codecs import Frame
from vidgan.data.layouts import FoundClips, Layout, files_of, not_this, require_folder
from vidgan.data.resize import Resizer
from vidgan.data.timeline import MAX_GAP
from vidgan.data.video import BrokenClipError, ClipSource, Opened

NAME = "mnist_test_seq.npy"


class MovingMnist(Layout):
    """Moving MNIST's array; its grey is stored as RGB."""

    def find(self, source: Path) -> FoundClips:
        require_folder(source, NAME)
        path = source / NAME
        if not path.is_file():
            others = files_of(source.iterdir(), (".npy",))
            if len(others) != 1:
                raise not_this(source, "Moving MNIST", f"no {NAME}")
            path = others[0]
        try:
            array = _array(path)
        except BrokenClipError as error:
            raise not_this(source, "Moving MNIST", f"{path.name}: {error}") from error
        clips: list[ClipSource] = [
            ArrayClip(path, f"{path.name}#{number}", 0, number=number) for number in range(array.shape[1])
        ]
        return FoundClips(("all",), clips, [])


@dataclass(frozen=True, kw_only=True)
class ArrayClip(ClipSource):
    """One clip of an array (T, N, H, W)."""

    number: int
    """index along N"""

    def open(self, resizer: Resizer, max_gap: float = MAX_GAP) -> Opened:
        return Opened(None, self._frames(resizer))

    def _frames(self, resizer: Resizer) -> Iterator[Frame]:
        for grey in _array(self.path)[:, self.number]:
            yield resizer.image(np.repeat(grey[..., None], 3, axis=-1))


def _array(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    try:
        array = map_array(path)
    except ValueError as error:
        raise BrokenClipError(str(error)) from error
    if array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape:
        raise BrokenClipError(f"an array of {array.dtype} {array.shape} instead of uint8 (T, N, H, W)")
    return array
