"""Worker processes that leave nothing behind.

Each worker is a fresh interpreter (never a fork: the parent may run threads) joined to the parent by one
pipe. It ends when its end of the pipe closes, so none outlives its parent, whatever ends that. Ctrl-C and
SIGTERM, which schedulers send to all processes of a job, are left to the parent. This file imports no torch.
"""

import contextlib
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from vidgan.errors import UserError

LEFT_TO_THE_PARENT = (signal.SIGINT, signal.SIGTERM)
"""signals that do not end a worker"""

Serve = Callable[..., None]
"""A worker's function, importable by name: ``serve(pipe, *arguments)``."""


class Worker(NamedTuple):
    """A running worker process and the parent's end of its pipe."""

    process: BaseProcess
    pipe: "Connection[Any, Any]"

    def stop(self) -> None:
        """End the process at once and wait for it. Harmless when it has ended already."""
        self.process.kill()
        self.process.join()

    def end(self) -> str:
        """How the process ended, in words, where its pipe is closed; ends it if it lives."""
        self.process.join(timeout=1)
        code = self.process.exitcode
        self.stop()
        return f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"


class Failure(NamedTuple):
    """What went wrong inside a worker, as it travels to the parent."""

    message: str
    mendable: bool
    """whether the user can mend it (then ``message`` is the line to show)"""

    def error(self) -> Exception:
        """The exception to raise in the parent."""
        if self.mendable:
            return UserError(self.message)
        return RuntimeError(f"a data worker failed:\n{self.message}")


def failure_of(error: Exception) -> Failure:
    """``error``, caught in a worker, as something that can be sent."""
    if isinstance(error, UserError):
        return Failure(str(error), True)
    return Failure("".join(traceback.format_exception(error)), False)


def start_worker(serve: Serve, *arguments: Any) -> Worker:
    """Start ``serve(pipe, *arguments)`` in a new process; ``arguments`` are pickled."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(serve, theirs, arguments), daemon=True)
    with _signals_blocked():
        process.start()
    theirs.close()
    return Worker(process, ours)


def _main(serve: Serve, pipe: "Connection[Any, Any]", arguments: tuple[Any, ...]) -> None:
    for number in LEFT_TO_THE_PARENT:
        signal.signal(number, signal.SIG_IGN)
    # The parent closed the pipe or died: nobody is left to serve.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(pipe, *arguments)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    # The child inherits the mask: Ctrl-C during its start must not end in a traceback of its imports.
    old = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_THE_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
