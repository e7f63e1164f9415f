"""Worker processes: a :class:`torch.utils.data.DataLoader` that survives its workers and leaves none behind.

What is done is a function of its key alone, so it can be done again: if a worker dies (``kill -9``, out of memory), all
are started anew and resume at the keys that have no result yet. Only where workers die twice at an item it is an error.

Workers are forked from a clean process (``forkserver``: this one may run threads), which imports torch once for all of
them. They are not children of this process, so torch's handler of ``SIGCHLD`` cannot raise in the middle of something
else. They end with this process, whatever ends it, and leave Ctrl-C and SIGTERM, which schedulers send to all
processes of a job, to it.
"""

import atexit
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from vidgan.errors import UserError
from vidgan.names import tell
from vidgan.user_code import place_in

LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM)
"""signals that do not end a worker"""
AHEAD = 2
"""keys that each worker has at a time"""
IMPORTED_ONCE = ["torch", "vidgan.data.loader", "vidgan.data.store"]
"""what workers find imported when they start"""

Key = TypeVar("Key")
Result = TypeVar("Result")
Begin = Callable[[int], None]
"""called with the number of an item that is begun"""


def map_in_workers(
    do: Callable[[Key, Begin], Result],
    keys: Iterator[Key],
    workers: int,
    name: Callable[[int], str],
    advice: str,
    in_order: bool = True,
) -> Generator[Result]:
    """``do(key, begin)`` for every key, which may be endless, by ``workers`` processes (0: in this one).

    Of each worker, :data:`AHEAD` keys are asked before the result of the first is taken. Closing the generator ends
    the processes.

    Args:
        do: pickled, so that each worker has a copy; calls ``begin(item)`` before each item of a key, and returns
            tensors and plain values.
        name: what messages call an item.
        advice: what to do, in words, where workers die twice at one item.
        in_order: results in the order of the keys; else as they come.

    Raises:
        UserError: what ``do`` raises, in its turn; other exceptions of it arrive as ``RuntimeError``. Or where workers
            die twice at an item.
    """
    asked = _Asked(keys)
    died_at: set[int] = set()
    while True:
        running = _Running(do, asked, workers, in_order)
        try:
            while (answer := running.next()) is not None:
                position, result = answer
                if isinstance(result, _Failure):
                    raise result.error()
                del asked.waiting[position]
                yield result
        finally:
            running.close()
        if not running.dead:
            break
        for how, item in running.dead:
            # Nothing begun: known by how far the results have come, which is further the next time.
            where = item if item >= 0 else -1 - min(asked.waiting, default=0)
            place = f"at {name(item)}" if item >= 0 else "before it began"
            if where in died_at:
                cause = "a file that breaks the reader" if item >= 0 else "a dataset of the main script alone"
                raise UserError(
                    f"a data worker died ({how}) twice {place}: out of memory, or {cause}? {advice}"
                )
            died_at.add(where)
            tell(f"a data worker died ({how}) {place}; another resumes there", to=sys.stderr, flush=True)
    if asked.error is not None:
        raise asked.error


class _Failure(NamedTuple):
    """What went wrong inside a worker, as it travels to the parent."""

    message: str
    mendable: bool
    """whether the user can mend it (then ``message`` is the line to show)"""

    @classmethod
    def of(cls, error: Exception) -> "_Failure":
        if isinstance(error, UserError):
            return cls(str(error), True)
        if (place := place_in(error)) is not None:  # in a dataset of the user's own
            return cls(place, True)
        return cls("".join(traceback.format_exception(error)), False)

    def error(self) -> Exception:
        """The exception to raise in the parent."""
        if self.mendable:
            return UserError(self.message)
        return RuntimeError(f"a data worker failed:\n{self.message}")


class _Asked(Sampler[tuple[int, Key]], Generic[Key]):
    """Numbered keys: those that have no result yet, then new ones."""

    def __init__(self, keys: Iterator[Key]) -> None:
        self.waiting: dict[int, Key] = {}
        self.error: Exception | None = None
        self._new = enumerate(keys)

    def __iter__(self) -> Iterator[tuple[int, Key]]:
        yield from list(self.waiting.items())
        try:
            for position, key in self._new:
                self.waiting[position] = key
                yield position, key
        except Exception as error:  # of the caller's: raised when the keys before it are done
            self.error = error


class _Job(Dataset[tuple[int, Result | _Failure]], Generic[Key, Result]):
    """What is done as a dataset whose indices are numbered keys."""

    def __init__(self, do: Callable[[Key, Begin], Result], begun: Tensor) -> None:
        self._do, self._begun = do, begun

    def __getitem__(self, numbered: tuple[int, Key]) -> tuple[int, Result | _Failure]:
        position, key = numbered
        own = get_worker_info()
        if own is None:
            return position, self._do(key, lambda item: None)
        row, begun = own.id, self._begun.numpy()

        def begin(item: int) -> None:
            begun[row] = item

        try:
            return position, self._do(key, begin)
        except Exception as error:
            return position, _Failure.of(error)


class _Running(Generic[Key, Result]):
    """Workers while they are at work, or this process in their place."""

    def __init__(
        self, do: Callable[[Key, Begin], Result], asked: _Asked[Key], workers: int, in_order: bool
    ) -> None:
        self.dead: list[tuple[str, int]] = []
        """how workers died that should not have, and the item that each had begun last; -1: none"""
        self._begun = torch.full((workers,), -1)
        if workers:
            self._begun.share_memory_()
        # Warnings: more workers than cores are the user's choice; what cannot be pickled is told below.
        with _signals_blocked(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loader = DataLoader(
                _Job(do, self._begun),
                batch_size=None,
                sampler=asked,
                num_workers=workers,
                prefetch_factor=AHEAD if workers else None,
                multiprocessing_context=_context() if workers else None,
                worker_init_fn=_leave_to_the_parent,
                generator=torch.Generator(),  # the global one stays as it is
                in_order=in_order,
            )
            try:
                results: Any = iter(loader)
            except OSError:
                raise
            except Exception as error:  # pickling raises almost anything
                raise UserError(
                    f"the dataset cannot be sent to worker processes ({' '.join(str(error).split())}): make it of what "
                    "can be pickled, or read with 0 workers"
                ) from error
        self._results = results
        # torch has no public name for them.
        self._processes: list[BaseProcess] = results._workers if workers else []
        atexit.register(self._kill)

    def next(self) -> tuple[int, Result | _Failure] | None:
        """The next position with its result; None at the end, or where workers have died."""
        try:
            position, result = next(self._results)
        except StopIteration:
            return None
        except (RuntimeError, OSError, EOFError):  # how torch, or a pipe, tells of a death
            if not self._processes:
                raise
            wait([process.sentinel for process in self._processes], timeout=1)
            for process, item in zip(self._processes, self._begun.tolist(), strict=True):
                if not process.is_alive():
                    self.dead.append((_ending(process), item))
            if not self.dead:
                raise
            return None
        return position, result

    def close(self) -> None:
        """End the processes."""
        atexit.unregister(self._kill)
        self._kill()
        if self._processes and not sys.is_finalizing():  # no thread starts then any more
            # A process that was killed may have held a lock that torch waits for: nobody waits for torch.
            threading.Thread(target=self._results._shutdown_workers, daemon=True).start()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()


def _ending(process: BaseProcess) -> str:
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


def _context() -> BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    return context


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    # The server that workers are forked from inherits the mask: Ctrl-C or SIGTERM during their start must not end them.
    old = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _leave_to_the_parent(worker: int) -> None:
    for number in LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
