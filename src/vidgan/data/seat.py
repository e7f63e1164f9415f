"""A loader's worker with what was asked of it: if the process dies, another takes its seat and goes on.

That is safe because a window is a function of its place alone. Only a place at which two workers die one
after the other is given up.
"""

import sys
import threading
from collections import deque

from vidgan.data.dataset import Dataset
from vidgan.data.serve import serve_windows
from vidgan.data.window import Place, WindowSpec
from vidgan.data.workers import Failure, Worker, start_worker
from vidgan.errors import UserError


class Seat:
    """Cuts windows of ``dataset`` in another process; answers come in the order asked for."""

    def __init__(self, dataset: Dataset, window: WindowSpec) -> None:
        self._dataset, self._window = dataset, window
        self._asked: deque[Place] = deque()
        self._blamed: Place | None = None
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._worker = self._start()

    def ask(self, place: Place) -> None:
        """Ask for the window at ``place``; raises :class:`UserError` as :meth:`receive_into`."""
        self._asked.append(place)
        try:
            self._worker.pipe.send(place)
        except OSError:
            self._replace()

    def receive_into(self, row: memoryview) -> None:
        """The next window into ``row``.

        Raises:
            UserError: where the clip cannot be read, or workers die at it.
            RuntimeError: what else went wrong in the worker.
        """
        while True:
            try:
                failure = self._worker.pipe.recv()
                if not isinstance(failure, Failure):
                    self._worker.pipe.recv_bytes_into(row)
                break
            except (EOFError, OSError):
                self._replace()
        self._asked.popleft()
        if isinstance(failure, Failure):
            raise failure.error()

    def stop(self) -> None:
        """End the process, for good. May be called from another thread than the others."""
        with self._lock:
            self._stopped.set()
            self._worker.stop()

    def _start(self) -> Worker:
        return start_worker(serve_windows, self._dataset, self._window)

    def _replace(self) -> None:
        while True:
            how = self._worker.end()
            place = self._asked[0]
            name = self._dataset.name(place.clip)
            if self._stopped.is_set() or place == self._blamed:
                raise UserError(
                    f"a data worker died ({how}) twice at {name}: out of memory, or a file that breaks the reader? "
                    "Start again, with fewer workers if memory is short"
                )
            self._blamed = place
            print(f"a data worker died ({how}) at {name}; another goes on", file=sys.stderr, flush=True)
            with self._lock:
                if self._stopped.is_set():
                    return
                self._worker = self._start()
            try:
                for waiting in self._asked:
                    self._worker.pipe.send(waiting)
            except OSError:
                continue
            return
