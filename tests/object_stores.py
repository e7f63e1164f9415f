"""Object stores for tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec


@contextmanager
def in_memory(folder: str) -> Iterator[fsspec.AbstractFileSystem]:
    """A store in this process's memory, in which ``folder`` is gone afterwards."""
    system = fsspec.filesystem("memory")
    yield system
    if system.exists(folder):
        system.rm(folder, recursive=True)
