"""What training and evaluation see of a clip: a window in time and a square in space, and the stream of them.

Where a window lies is data (:class:`Place`), drawn by :mod:`vidgan.data.window`; cutting it out is a
pure function. This file imports no torch, so that worker processes start fast and stay small.

Nothing else enters: not the number of workers or replicas, nor what was read before. A run resumes by
asking for the next n.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.bounds import Length
from vidgan.data.dataset import ClipInfo, Dataset, Frames
from vidgan.data.filters import BILINEAR, Filter
from vidgan.errors import UserError, some
from vidgan.seeds import derive
from vidgan.spec import Spec

if TYPE_CHECKING:
    from vidgan.data.resize import Resizer


class WindowSpec(Spec):
    """The windows that are cut from clips: ``frames`` frames, ``stride`` apart, in a square of pixels."""

    size: Length = 64
    """side of the square (pixels); the shorter side of larger clips is resized to it, the longer one cropped"""
    frames: Length = 12
    """frames per window"""
    stride: Length = 1
    """source frames from one frame of the window to the next"""
    flip: bool = False
    """mirror half of the windows left to right; not for data where left and right differ in meaning"""
    filter: Filter = BILINEAR
    """by which larger clips are resized"""

    @property
    def span(self) -> int:
        """Source frames from the first to the last frame of a window, both counted."""
        return (self.frames - 1) * self.stride + 1

    def fault(self, clip: ClipInfo) -> str | None:
        """Why no window fits into ``clip`` (in words), or None where one does."""
        if clip.frames < self.span:
            return f"{clip.frames} frames, needs {self.span}"
        if min(clip.height, clip.width) < self.size:
            return f"{clip.width}x{clip.height} pixels, needs {self.size}x{self.size}"
        return None

    def fitted(self, clip: ClipInfo) -> tuple[int, int]:
        """Height and width of ``clip`` as the square is cut from it: its shorter side is ``size`` pixels.

        So do Clark et al. 2019, A.1: the smaller side is resized, the longer one cropped.
        """
        if clip.height <= clip.width:
            return self.size, round(self.size * clip.width / clip.height)
        return round(self.size * clip.height / clip.width), self.size


class Place(NamedTuple):
    """Where one window lies."""

    clip: int
    """index into the dataset"""
    start: int
    """first frame"""
    top: int
    """first row of the frame as :meth:`WindowSpec.fitted` (pixels)"""
    left: int
    """first column of it (pixels)"""
    flip: bool
    """mirrored left to right"""


def cut(dataset: Dataset, window: WindowSpec, place: Place, out: Frames | None = None) -> Frames:
    """The window at ``place``: (T, size, size, 3) uint8, contiguous, or written into ``out`` of that shape.

    Raises:
        UserError: where the clip cannot be read.
    """
    frames = fit(dataset.read(place.clip, place.start, window.frames, window.stride), window)
    rows = slice(place.top, place.top + window.size)
    columns = slice(place.left, place.left + window.size)
    crop = frames[:, rows, columns]
    if place.flip:
        crop = crop[:, :, ::-1]
    if out is None:
        return np.ascontiguousarray(crop)
    out[:] = crop
    return out


def fit(frames: Frames, window: WindowSpec) -> Frames:
    """Frames (T, H, W, 3) whose shorter side is the window's; the same where it is already."""
    if min(frames.shape[1:3]) <= window.size:
        return frames
    resizer = resizer_to(window.size, window.filter.name)
    return resized(frames, *resizer.target(*frames.shape[1:3]), window.filter)


def resized(frames: Frames, height: int, width: int, filter: Filter = BILINEAR) -> Frames:
    """Frames (T, H, W, 3) squashed to another height and width; the same where they have it."""
    if frames.shape[1:3] == (height, width):
        return frames
    resizer = resizer_to(min(height, width), filter.name)
    return np.stack([resizer.scaled(frame, height, width) for frame in frames])


@functools.cache
def resizer_to(size: int, filter: str) -> "Resizer":
    """Loaded when it is needed: most data are prepared at the size that they are read at."""
    from vidgan.data.resize import Resizer

    return Resizer(size, filter)


def resizing(dataset: Dataset, window: WindowSpec) -> str | None:
    """A sentence where clips of ``dataset`` are larger than the square and are resized whenever they are read."""
    larger = int((dataset.sizes()[:, 1:].min(axis=1) > window.size).sum())
    if not larger:
        return None
    said = f"{larger} of {len(dataset)} clips are larger than {window.size} pixels and are resized to it whenever"
    if not is_prepared(dataset):
        return f"{said} they are read, which takes time"
    return f"{said} they are read, which takes time: vidgan prepare SOURCE DEST --size {window.size} does it once"


def other_filter(dataset: Dataset, filter: Filter) -> str | None:
    """A sentence where ``dataset`` was prepared by another filter than the experiment's; None where it was not, or
    nobody knows."""
    prepared = dataset.origin(0)[0].resized_by if len(dataset) else None
    if prepared in (None, filter.name):
        return None
    return (
        f"the data were prepared with --resize {prepared}, and the experiment is of clips resized by {filter.name} "
        f"(vidgan prepare --resize {filter.name})"
    )


def is_prepared(dataset: Dataset) -> bool:
    """Whether it was made by ``vidgan prepare``."""
    from vidgan.data.store import PreparedDataset  # reading processes that have no such data do without

    return isinstance(dataset.origin(0)[0], PreparedDataset)


def check_usable(dataset: Dataset, window: WindowSpec) -> None:
    """Raise :class:`UserError` unless every clip of ``dataset`` holds a whole window; names up to five."""
    if len(dataset) == 0:
        raise UserError("the dataset holds no clips; prepare it again from a folder with videos")
    if told := without_room(dataset, window):
        raise UserError(told)


def without_room(dataset: Dataset, window: WindowSpec, most: int = 5) -> str | None:
    """How many clips hold no whole window, up to ``most`` of them, and what to do; None where all do."""
    sizes = dataset.sizes()
    faults = np.flatnonzero((sizes < (window.span, window.size, window.size)).any(axis=1)).tolist()
    if not faults:
        return None
    words = [f"{dataset.name(i)} ({window.fault(ClipInfo(0, *sizes[i].tolist()))})" for i in faults]
    named = f": {some(words, most, '; ')}" if most else ""
    small = bool((sizes[faults, 1:].min(axis=1) < window.size).all())
    again = f"with --size {window.size}" if small else "without them"
    short = bool((sizes[faults, 0] < window.span).all())
    skip = "leave short ones out (train --skip-short), " if short else ""
    return (
        f"{len(faults)} of {len(dataset)} clips hold no window of {window.frames} frames at stride "
        f"{window.stride} and {window.size}x{window.size} pixels{named}. Ask for "
        "less (--levels.0.frames, --levels.0.stride; of inspect: --frames, --stride, --size), "
        f"{skip}or {'prepare the data again' if is_prepared(dataset) else 'give others,'} {again}"
    )


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


def random_clip(clips: int, seed: int, n: int) -> int:
    """The clip that item ``n`` is of, from 0 to ``clips`` - 1: each comes once per epoch, in an order of its own."""
    epoch, position = divmod(n, clips)
    return int(_order(clips, seed, epoch)[position])


Order = Callable[[int], int]
"""Which clip an item is of."""


class InClasses:
    """Which clip item n is of where ``together`` clips of a class follow each other: each comes once per epoch.

    The classes take turns, each as often as it has clips, in an order of its own in every epoch. What is left of a
    class where it cannot be cut evenly comes at the epoch's end.

    Our choice: with plain shuffling, classmates meet in a pass by chance alone, and a class is missing in many.
    """

    def __init__(self, labels: NDArray[np.int64], together: int, seed: int) -> None:
        self.labels, self.together, self.seed = labels, together, seed
        self._epoch, self._clips = -1, np.empty(0, np.intp)

    def __call__(self, n: int) -> int:
        epoch, position = divmod(n, len(self.labels))
        if epoch != self._epoch:
            self._epoch, self._clips = epoch, self._of(epoch)
        return int(self._clips[position])

    def _of(self, epoch: int) -> NDArray[np.intp]:
        order = _order(len(self.labels), self.seed, epoch)
        groups, when, rest = [], [], []
        late = np.random.PCG64(derive(self.seed, "data turns", epoch)).random_raw(len(order)) / 2.0**64
        for label in np.unique(self.labels):
            own = order[self.labels[order] == label]
            count = len(own) // self.together
            groups.append(own[: count * self.together].reshape(count, self.together))
            # A group at a random moment of each of ``count`` equal parts of the epoch.
            when.append((np.arange(count) + late[own[:count]]) / max(1, count))
            rest.append(own[count * self.together :])
        turns = np.argsort(np.concatenate(when), kind="stable")
        return np.concatenate([np.concatenate(groups)[turns].ravel(), *rest])


def in_order(dataset: Dataset, seed: int, together: int) -> Order:
    """The order that training reads in, where ``together`` clips of one class follow each other."""
    if together == 1:
        return functools.partial(random_clip, len(dataset), seed)
    return InClasses(dataset.labels(), together, seed)


def random_place(
    dataset: Dataset, window: WindowSpec, seed: int, n: int, order: Order | None = None
) -> Place:
    """Where item ``n`` lies; its start, square and mirroring are uniform.

    Args:
        order: which clip an item is of; None: :func:`random_clip`.

    Raises:
        UserError: where the clip holds no window; :func:`~vidgan.data.window.check_usable` finds these
            beforehand.
    """
    index = random_clip(len(dataset), seed, n) if order is None else order(n)
    clip = dataset.info(index)
    if fault := window.fault(clip):
        raise UserError(f"{dataset.name(index)} holds no window: {fault}")

    def draw(purpose: str, choices: int) -> int:
        return derive(seed, f"data window {purpose}", n) % choices

    height, width = window.fitted(clip)
    return Place(
        clip=index,
        start=draw("start", clip.frames - window.span + 1),
        top=draw("top", height - window.size + 1),
        left=draw("left", width - window.size + 1),
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
    top, left = ((side - window.size) // 2 for side in window.fitted(clip))
    return Place(clip=index, start=0, top=top, left=left, flip=False)


def random_item(dataset: Dataset, window: WindowSpec, seed: int, n: int, order: Order | None = None) -> Item:
    """Item ``n`` of the endless stream that ``seed`` stands for; arguments as those of :func:`random_place`."""
    return _item(dataset, window, random_place(dataset, window, seed, n, order))


def centre_item(dataset: Dataset, window: WindowSpec, index: int) -> Item:
    """Clip ``index`` as evaluation sees it; see :func:`centre_place`."""
    return _item(dataset, window, centre_place(dataset, window, index))


def _item(dataset: Dataset, window: WindowSpec, place: Place) -> Item:
    return Item(frames=cut(dataset, window, place), label=dataset.info(place.clip).label, index=place.clip)
