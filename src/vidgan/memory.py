"""The memory of this machine: what would not fit is refused before the work, with how much it would take."""

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vidgan.errors import UserError

GB: Final = 1e9
"""bytes: sizes are told in it wherever they are"""
FLOAT: Final = 4
"""bytes of a value of a video in [-1, 1]"""
CGROUPS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""where containers say how much all their processes may take, in the second and the first version"""


def available() -> float:
    """Bytes that this process can still take, as far as the system says; infinite where it does not.

    The least of what is free on the machine, the limit of its container and its own limit of addresses. Swap does not
    count: work that needs it does not end in time.
    """
    known = [free_on_machine()]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            known.append(max(0, limit - taken))
    return float(min(known))


def free_on_machine() -> float:
    """Bytes that are free on this machine, and no more than its container may take; infinite where it does not say."""
    known = [limit for path in CGROUPS if (limit := _number(path)) is not None]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        known.append(1024 * int(free.split()[1]))
    return float(min(known)) if known else float("inf")


def release_freed_memory() -> None:
    """Give back to the system what glibc keeps for the next tensors, so that it counts as free; others stay as they
    are."""
    if os.name == "posix":
        trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, of a GPU or of the CPU, had nothing left to give."""
    # Those of GPUs, and that of the CPU, raise a RuntimeError; whatever its class, they say so in these words.
    # The third are the system's, where a file is mapped.
    words = ("out of memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, MemoryError) or any(each in str(error).lower() for each in words)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def require_memory(needed: float, what: str, instead: str, free: float | None = None) -> None:
    """Raise :class:`UserError` where ``needed`` bytes are not to be had.

    Args:
        what: that takes them, in words.
        instead: what to ask for.
        free: bytes; None: all that this process can still take.
    """
    if needed > (free := available() if free is None else free):
        raise UserError(
            f"{what} would take {needed / GB:,.1f} GB of memory, and {free / GB:,.1f} GB are free: {instead}"
        )


def require_memory_for_clips(count: int, frames: int, size: int, copies: float, instead: str) -> None:
    """:func:`require_memory` for so many clips of ``frames`` x ``size`` x ``size`` pixels of three colours.

    Args:
        copies: bytes that are held of each value at the peak.
    """
    what = f"{count} clips of {frames} frames at {size}x{size} pixels"
    require_memory(3 * copies * count * frames * size * size, what, instead)
