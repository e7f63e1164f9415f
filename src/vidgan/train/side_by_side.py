"""Several processes of one machine that train as one: small convolutions fill cores better so than with threads."""

import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from vidgan.errors import UserError
from vidgan.train.replicas import Replicas, end_process_group

PATIENCE = 30.0
"""time (seconds) that other processes get to end after this one has"""

Work = Callable[..., bool]
"""A function importable by name: ``work(replicas, *arguments)``."""


def side_by_side(count: int, work: Work, *arguments: Any) -> bool:
    """``work(replicas, *arguments)`` in ``count`` processes on the CPU, of which this is the main one; its answer.

    Every process takes an equal share of this one's threads.

    Raises:
        UserError: if another process ended before its time, or ``work`` raises it.
    """
    if count == 1:
        return work(Replicas(), *arguments)
    threads = torch.get_num_threads()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        share = max(1, threads // count)
        others = [
            context.Process(target=_follow, args=(rank, count, share, meeting, work, arguments))
            for rank in range(1, count)
        ]
        for process in others:
            process.start()
        try:
            return _replica(0, count, share, meeting, work, arguments)
        except RuntimeError as error:
            lost = [process for process in others if _has_failed(process)]
            if not lost:
                raise
            raise UserError(
                f"a training process ended with status {lost[0].exitcode}; go on with --resume"
            ) from error
        finally:
            torch.set_num_threads(threads)
            for process in others:
                _end(process)


def _replica(
    rank: int, count: int, threads: int, meeting: str, work: Work, arguments: tuple[Any, ...]
) -> bool:
    torch.set_num_threads(threads)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=count)
    try:
        return work(Replicas(rank, count, dist.group.WORLD), *arguments)
    finally:
        end_process_group()


def _follow(*replica: Any) -> None:
    # What went wrong everywhere, the main process says; what went wrong here alone has a traceback.
    try:
        _replica(*replica)
    except (UserError, KeyboardInterrupt):
        sys.exit(2)


def _has_failed(process: BaseProcess) -> bool:
    process.join(timeout=1)
    return bool(process.exitcode)


def _end(process: BaseProcess) -> None:
    process.join(timeout=PATIENCE)
    process.terminate()
    process.join()
