"""The endless stream of training items: item n is a pure function of (seed, n).

Nothing else enters: not the number of workers or replicas, nor what was read before. A run resumes by
asking for the next n.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidgan.data.dataset import Dataset, Frames
from vidgan.data.window import Place, WindowSpec, cut
from vidgan.errors import UserError
from vidgan.seeds import derive


@dataclass(frozen=True, slots=True)
class Item:
    """One window of one clip."""

    frames: Frames
    """(T, size, size, 3) uint8 RGB"""
    label: int
    """index into the dataset's classes"""
    index: int
    """clip it was cut from"""


# Our choice: one order for all replicas, of which each takes its share, so that results do not depend on their number
# and every clip comes once per epoch. Clark et al. 2019, A.1 shuffles for each replica independently.
@functools.lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> NDArray[np.intp]:
    # Sorting raw words, because numpy promises the bits of a bit generator for good, but not
    # those of Generator.permutation.
    words = np.random.PCG64(derive(seed, "data order", epoch)).random_raw(length)
    return np.argsort(words, kind="stable")


def random_place(dataset: Dataset, window: WindowSpec, seed: int, n: int) -> Place:
    """Where item ``n`` lies: every clip comes once per epoch, in an order of its own per epoch; its start,
    square and mirroring are uniform.

    Raises:
        UserError: where the clip holds no window; :func:`~vidgan.data.window.check_usable` finds these
            beforehand.
    """
    epoch, position = divmod(n, len(dataset))
    index = int(_order(len(dataset), seed, epoch)[position])
    clip = dataset.info(index)
    if fault := window.fault(clip):
        raise UserError(f"{dataset.name(index)} holds no window: {fault}")

    def draw(purpose: str, choices: int) -> int:
        return derive(seed, f"data window {purpose}", n) % choices

    return Place(
        clip=index,
        start=draw("start", clip.frames - window.span + 1),
        top=draw("top", clip.height - window.size + 1),
        left=draw("left", clip.width - window.size + 1),
        flip=window.flip and draw("flip", 2) == 1,
    )


def centre_place(dataset: Dataset, window: WindowSpec, index: int) -> Place:
    """The first window and the central square of clip ``index``, never mirrored.

    Raises:
        UserError: where the clip holds no window.
    """
    clip = dataset.info(index)
    if fault := window.fault(clip):
        raise UserError(f"{dataset.name(index)} holds no window: {fault}")
    top, left = (clip.height - window.size) // 2, (clip.width - window.size) // 2
    return Place(clip=index, start=0, top=top, left=left, flip=False)


def random_item(dataset: Dataset, window: WindowSpec, seed: int, n: int) -> Item:
    """Item ``n`` of the endless stream that ``seed`` stands for; see :func:`random_place`."""
    return _item(dataset, window, random_place(dataset, window, seed, n))


def centre_item(dataset: Dataset, window: WindowSpec, index: int) -> Item:
    """Clip ``index`` as evaluation sees it; see :func:`centre_place`."""
    return _item(dataset, window, centre_place(dataset, window, index))


def _item(dataset: Dataset, window: WindowSpec, place: Place) -> Item:
    return Item(frames=cut(dataset, window, place), label=dataset.info(place.clip).label, index=place.clip)
