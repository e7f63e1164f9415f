"""Batches of windows, read ahead of the consumer by a :class:`torch.utils.data.DataLoader`.

Item n is a function of (seed, n): the order of batches and what is in them do not depend on the number of workers, nor
on where reading began.
"""

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.held import held_windows, is_held
from vidgan.data.window import Order, WindowSpec, cut, in_order, random_place
from vidgan.data.workers import AHEAD, Begin, map_in_workers
from vidgan.errors import UserError

ADVICE = "Start again, with fewer workers if memory is short"


class Batch(NamedTuple):
    """Windows and labels of B clips."""

    video: Tensor
    """(B, T, H, W, 3) uint8"""
    label: Tensor
    """(B,) int64"""


def to_float(video: Tensor) -> Tensor:
    """Bytes (B T H W C) as a video (B T C H W), float32 in [-1, 1], memory order B T H W C; one copy."""
    return video.permute(0, 1, 4, 2, 3).to(torch.float32).div_(127.5).sub_(1)


class Loader:
    """Reads windows of ``dataset`` with ``workers`` processes (0: in this one).

    Close it, or use it in a ``with`` block; its processes end then, and also when it is dropped or this process dies.
    Clips that are held (:mod:`vidgan.data.held`) need no processes: their batches lie where they do.

    Args:
        pin: batches in pinned memory, which copies to a GPU need to overlap with its work.
        together: clips of one class that follow each other.
    """

    def __init__(
        self,
        dataset: Dataset,
        window: WindowSpec,
        seed: int,
        workers: int,
        pin: bool = False,
        together: int = 1,
    ) -> None:
        self.dataset, self.window, self.seed, self.workers, self.pin = dataset, window, seed, workers, pin
        self.order = in_order(dataset, seed, together)
        self._running: list[Generator[Batch]] = []

    def batches(self, indices: Iterator[Sequence[int]]) -> Iterator[Batch]:
        """A batch for every sequence of item numbers n, none longer than the first.

        Item n is the window at :func:`~vidgan.data.window.random_place`. ``indices`` may be endless; workers read a few
        batches ahead.

        Raises:
            UserError: where a clip cannot be read, in its turn. A worker that dies is replaced; where its successor
                dies at the same clip, that is this error too.
        """
        if is_held(self.dataset):
            return _held_batches(
                held_windows(self.dataset, self.window, self.seed, indices, self.order), self.pin
            )
        # A function that does not hold this loader: one that is dropped is freed at once, and ends its processes.
        cutting = _Cutting(self.dataset, self.window, self.seed, self.order)
        stream = _batches(cutting, self.workers, self.pin, indices)
        self._running.append(stream)
        return stream

    def close(self) -> None:
        """End all worker processes; iterators still in use end."""
        for stream in self._running:
            stream.close()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _held_batches(windows: Iterator[tuple[Tensor, list[int]]], pin: bool) -> Iterator[Batch]:
    for video, labels in windows:
        on_host = video.device.type == "cpu"
        yield Batch(video.pin_memory() if pin and on_host else video, torch.tensor(labels, dtype=torch.int64))


def slots_of(workers: int) -> int:
    """Batches that lie where so many workers write: one more than they fill."""
    return AHEAD * workers + 1


def _batches(
    cutting: "_Cutting", workers: int, pin: bool, indices: Iterator[Sequence[int]]
) -> Generator[Batch]:
    first = next(indices, None)
    if first is None:
        return
    count = slots_of(workers)
    slots = _shared_slots((count, *shape_of(len(first), cutting.window))) if workers else None
    keys = zip(itertools.cycle(range(count)), itertools.chain([first], indices), strict=False)
    cutting = cutting._replace(slots=slots)
    with contextlib.closing(map_in_workers(cutting.read, keys, workers, cutting.name, ADVICE)) as results:
        for slot, (video, labels) in zip(itertools.cycle(range(count)), results, strict=False):
            if video is None:
                assert slots is not None
                video = slots[slot, : len(labels)]
                video = video.pin_memory() if pin else video.clone()
            elif pin:
                video = video.pin_memory()
            yield Batch(video, torch.tensor(labels, dtype=torch.int64))


def _shared_slots(shape: tuple[int, ...]) -> Tensor:
    """Memory that workers write to and this process reads: a batch at every index."""
    slots = torch.empty(shape, dtype=torch.uint8)
    try:
        return slots.share_memory_()
    except RuntimeError as error:
        raise UserError(
            f"/dev/shm has no room for {len(slots)} batches of {slots[0].numel() / 2**20:.0f} MiB: give a container "
            "more of it (docker run --shm-size), or take fewer workers"
        ) from error


def shape_of(batch: int, window: WindowSpec) -> tuple[int, ...]:
    """(B, T, H, W, 3)"""
    return (batch, window.frames, window.size, window.size, 3)


class _Read(NamedTuple):
    """A batch that a worker has read."""

    video: Tensor | None
    """None where it lies in a slot"""
    labels: list[int]


class _Cutting(NamedTuple):
    """How windows are cut, by this process or another."""

    dataset: Dataset
    window: WindowSpec
    seed: int
    order: Order
    slots: Tensor | None = None
    """where workers write; None: each batch has memory of its own"""

    def read(self, key: tuple[int, Sequence[int]], begin: Begin) -> _Read:
        """Cut the windows of these items, for this slot."""
        slot, numbers = key
        if self.slots is None:
            video = torch.empty(shape_of(len(numbers), self.window), dtype=torch.uint8)
        else:
            video = self.slots[slot, : len(numbers)]
        labels = []
        for row, n in zip(video.numpy(), numbers, strict=True):
            begin(n)
            place = random_place(self.dataset, self.window, self.seed, n, self.order)
            cut(self.dataset, self.window, place, out=row)
            labels.append(self.dataset.info(place.clip).label)
        return _Read(video if self.slots is None else None, labels)

    def name(self, n: int) -> str:
        """What messages call item n."""
        return self.dataset.name(self.order(n))
