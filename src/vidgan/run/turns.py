"""Several processes that need the same files take turns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def main_first(main: bool, wait: Callable[[], None]) -> Iterator[None]:
    """The main process goes through the block before all others, which then find the files that it wrote.

    Args:
        main: whether this process is the main one.
        wait: returns when all processes have come to it.
    """
    if not main:
        wait()
    yield
    if main:
        wait()
