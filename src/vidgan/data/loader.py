"""Batches of windows, cut by worker processes ahead of the consumer.

Windows are dealt to the workers in turn and collected in the same turn, so batches come in the order
asked for and do not depend on the number of workers.
"""

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import torch
from torch import Tensor

from vidgan.data.dataset import Dataset
from vidgan.data.seat import Seat
from vidgan.data.window import Place, WindowSpec, centre_place, cut, random_place

BATCHES_AHEAD = 2
"""finished batches that wait for the consumer"""
ITEMS_AHEAD = 4
"""windows asked of each worker beyond the one awaited; few enough that requests never fill a pipe"""


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

    Close it, or use it in a ``with`` block; its processes end then, and also if this process dies.
    """

    def __init__(self, dataset: Dataset, window: WindowSpec, seed: int, workers: int) -> None:
        self.dataset, self.window, self.seed, self.workers = dataset, window, seed, workers
        self._running: list[_ReadAhead] = []

    def batches(self, indices: Iterator[Sequence[int]]) -> Iterator[Batch]:
        """A batch for every sequence of item numbers n; see :func:`~vidgan.data.window.random_place`.

        ``indices`` may be endless; it is read a few batches ahead, in another thread if there are workers.

        Raises:
            UserError: where a clip cannot be read. A worker that dies is replaced, and only where its successor
                dies at the same clip is this raised too; never waits for a dead worker.
        """

        def place(n: int) -> Place:
            return random_place(self.dataset, self.window, self.seed, n)

        return self._load(indices, place)

    def centre_batches(self, indices: Iterator[Sequence[int]]) -> Iterator[Batch]:
        """A batch for every sequence of clip numbers, as evaluation sees clips: first window, central square.

        Raises:
            UserError: as :meth:`batches`.
        """
        return self._load(indices, lambda index: centre_place(self.dataset, self.window, index))

    def close(self) -> None:
        """End all worker processes; iterators still in use end."""
        for reading in list(self._running):
            reading.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, indices: Iterator[Sequence[int]], place: Callable[[int], Place]) -> Iterator[Batch]:
        wanted = ([place(n) for n in batch] for batch in indices)
        if self.workers == 0:
            for places in wanted:
                batch = empty_batch(self.dataset, self.window, places)
                for row, where in zip(batch.video.numpy(), places, strict=True):
                    row[:] = cut(self.dataset, self.window, where)
                yield batch
            return
        reading = _ReadAhead(self.dataset, self.window, wanted, self.workers)
        self._running.append(reading)
        try:
            yield from reading
        finally:
            reading.stop()
            self._running.remove(reading)


def empty_batch(dataset: Dataset, window: WindowSpec, places: Sequence[Place]) -> Batch:
    """A batch for the windows at ``places``, labelled, its pixels not yet read."""
    shape = (len(places), window.frames, window.size, window.size, 3)
    labels = [dataset.info(place.clip).label for place in places]
    return Batch(torch.empty(shape, dtype=torch.uint8), torch.tensor(labels, dtype=torch.int64))


class _ReadAhead:
    """Workers, and a thread that deals to them and collects from them."""

    def __init__(
        self, dataset: Dataset, window: WindowSpec, wanted: Iterator[list[Place]], workers: int
    ) -> None:
        self._dataset, self._window, self._wanted = dataset, window, wanted
        self._ready: queue.Queue[Batch | Exception | None] = queue.Queue(maxsize=BATCHES_AHEAD)
        self._stopped = threading.Event()
        self._seats: list[Seat] = []
        self._thread = threading.Thread(target=self._run, name="vidgan loader", daemon=True)
        try:
            for _ in range(workers):
                self._seats.append(Seat(dataset, window))
        except BaseException:
            self.stop()
            raise
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        while (got := self._ready.get()) is not None:
            if isinstance(got, Exception):
                raise got
            yield got

    def stop(self) -> None:
        """End the workers and the thread; the iterator ends."""
        self._stopped.set()
        for seat in self._seats:
            seat.stop()  # the thread, if it waits for a window, now finds the pipe closed
        self._drain()  # and if it waits for room, now finds some
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._drain()
        self._ready.put(None)

    def _drain(self) -> None:
        while not self._ready.empty():
            self._ready.get_nowait()

    def _run(self) -> None:
        try:
            for batch in self._assemble():
                self._ready.put(batch)
                if self._stopped.is_set():
                    break
        except Exception as error:
            self._ready.put(error)
        else:
            self._ready.put(None)

    def _assemble(self) -> Iterator[Batch]:
        asked: deque[list[Place]] = deque()  # batches of which something was asked
        sends, receives = itertools.cycle(self._seats), itertools.cycle(self._seats)
        requests = self._ask(asked, sends)
        for _ in itertools.islice(requests, ITEMS_AHEAD * len(self._seats)):
            pass
        while asked:
            batch = empty_batch(self._dataset, self._window, asked[0])
            for row in batch.video.flatten(1).numpy():
                next(receives).receive_into(row.data)
                next(requests, None)  # one comes, one goes: as many stay under way
            asked.popleft()
            yield batch

    def _ask(self, asked: deque[list[Place]], sends: Iterator[Seat]) -> Iterator[None]:
        for places in self._wanted:
            asked.append(places)
            for place in places:
                next(sends).ask(place)
                yield
