"""What the command line asks of its process before torch loads: how threads wait, and what becomes of freed memory."""

import ctypes
import os
from collections.abc import Callable
from typing import Final

TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
"""Names of glibc's mallopt (malloc.h)."""
LARGEST: Final = 32 << 20
"""bytes; a block above this is always mapped by itself (glibc: HEAP_MAX_SIZE / 2)"""


def set_up_process() -> None:
    """Set what is best for training on a CPU, unless the environment says otherwise."""
    # Compute threads that wait for each other soon sleep. Spinning for long, which is the default, makes a training
    # step several times slower as soon as fewer cores are free than there are threads; sleeping at once, small steps
    # half as fast again as with one thread, as waking takes longer than what is waited for.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        # Where one of several processes ends, torch would warn in each of the others, with a page of addresses.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if not any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")):
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks of up to 32 MiB for the next tensors instead of giving them back to the system.

    A training step frees and takes the same gigabytes again and again; that the system zeroes and maps their pages anew
    each time takes up to an eighth of it (docs/results/speed.md). Other allocators are left as they are.
    """
    if os.name != "posix":
        return
    mallopt: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
