"""What stops a run before its end, in one line that says what is saved and how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vidgan.errors import UserError
from vidgan.run.experiment import BatchSpec

FULL = (errno.ENOSPC, errno.EDQUOT)
"""system errors of a disk that takes no more"""


@contextmanager
def full_disk() -> Iterator[None]:
    """Turns the error of a full disk into a :class:`UserError`; checkpoints are whole whenever it strikes."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"the disk is full ({error.filename or 'while writing'}): training stopped, its checkpoints are intact; "
            "free some space and go on with --resume"
        ) from error


@contextmanager
def short_of_memory(batch: BatchSpec, step: int) -> Iterator[None]:
    """Turns "out of memory" inside a training step into a :class:`UserError` that names a smaller micro-batch."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(advice(batch, step)) from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, of a GPU or of the CPU, had nothing left to give."""
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def advice(batch: BatchSpec, step: int) -> str:
    """What to do when a step does not fit."""
    start = f"out of memory in step {step} with micro-batches of {batch.micro} clips: "
    smaller = smaller_micro_batch(batch)
    if smaller is None:
        return (
            f"{start}there is no smaller one; recompute activations with --levels.0.generator.checkpointing True, or "
            "choose smaller widths or fewer frames"
        )
    return (
        f"{start}start a new run with --training.batch.micro-batch {smaller}, which should fit (half, or the next "
        f"number below that divides {batch.share} clips: activations take most of the memory and shrink with it, "
        "weights do not); vidgan plan tells more"
    )


def smaller_micro_batch(batch: BatchSpec) -> int | None:
    """The largest micro-batch of at most half the size that divides a replica's share; None where it is 1."""
    return next((size for size in range(batch.micro // 2, 0, -1) if batch.share % size == 0), None)
