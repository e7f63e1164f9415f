"""Processes that train together: the process group, its averages, the device of each."""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from vidgan.errors import UserError
from vidgan.run.batch import evenly
from vidgan.run.meeting import meet
from vidgan.run.tasks import require_alone
from vidgan.run.watch import IDLE, STATUS, TRAINING, Watch, is_lost_connection

T = TypeVar("T")


def choose_device(name: str | None = None) -> torch.device:
    """The device called ``name``, such as ``cuda:1``; without a name the GPU of this process, else the CPU.

    The GPU is number ``LOCAL_RANK``, which torchrun gives to every process, or the one that is visible to this process
    alone, as ``srun --gpus-per-task 1`` makes it; it becomes torch's current one.

    Raises:
        UserError: if there is no such device, or there are fewer GPUs than processes.
    """
    if name is not None:
        try:
            torch.device(name)
        except RuntimeError as error:
            raise UserError(f"there is no device {name!r}: give one such as cpu, cuda or cuda:1") from error
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"there is no device {name!r}: {str(error).splitlines()[0]}") from error
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if count == 1 and "CUDA_VISIBLE_DEVICES" in os.environ:
        index = 0  # that no two processes have the same, they find out when they have met
    if index >= count:
        raise UserError(
            f"process {index + 1} has no GPU of its own: there are {count}; start at most {count} processes"
        )
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    return device


class Replicas(NamedTuple):
    """This process among those that share every batch."""

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None
    """None for a single process"""
    watch: Watch | None = None
    """ends all processes where one is gone or hangs; None where nothing does"""

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def slice(self, x: Tensor) -> Tensor:
        """This replica's share of something drawn for the global batch (B, ...)."""
        own = evenly(len(x), self.size)[self.rank]
        return x[own.start : own.stop]

    def average(self, values: Mapping[str, Tensor], weight: float = 1.0) -> dict[str, float]:
        """Means over replicas of scalars that stand on the device; waits for it.

        Args:
            weight: of this replica's values, as its number of clips.
        """
        if not values:
            return {}
        stacked = torch.stack([v.detach().double() for v in values.values()])
        if self.group is not None:
            self._count()
            summed = torch.cat([weight * stacked, stacked.new_full((1,), weight)])
            dist.all_reduce(summed, group=self.group)
            stacked = summed[:-1] / summed[-1]
        return dict(zip(values, stacked.tolist(), strict=True))

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Which of ``flags`` hold on some replica; does not wait for work on the device."""
        if self.group is None:
            return flags
        values = torch.tensor(flags, dtype=torch.float32, device="cpu")
        self._count()
        dist.all_reduce(values, op=dist.ReduceOp.MAX, group=self.group)
        return tuple(value > 0 for value in values.tolist())

    def _count(self) -> None:
        """Show the others how far this replica is, before it meets them."""
        if self.watch is not None:
            self.watch.meetings += 1

    def during(self, work: str) -> AbstractContextManager[None]:
        """Around work between steps: names it where it hangs."""
        return nullcontext() if self.watch is None else self.watch.during(work)

    def wait(self) -> None:
        """Return when all replicas have come here."""
        self.agree(False)

    def share_fault(self, fault: UserError | None) -> UserError | None:
        """What went wrong on some replica, in its own words on all; None where nothing did."""
        (failed,) = self.agree(fault is not None)
        if not failed or self.group is None:
            return fault
        said = self.gather(None if fault is None else str(fault))
        return fault or UserError(next(text for text in said if text is not None))

    def gather(self, value: T) -> list[T]:
        """Every replica's own small ``value``."""
        if self.group is None:
            return [value]
        self._count()
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.group)
        return found

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Give ``tensors`` the values that they have on the first replica; one after another, which takes no memory."""
        for tensor in tensors if self.group is not None else ():
            sent = tensor.contiguous()
            dist.broadcast(sent, 0, group=self.group)
            if sent is not tensor:
                tensor.copy_(sent)

    def require_same(self, facts: Mapping[str, str]) -> None:
        """Raise :class:`UserError`, on all replicas, unless all have the same ``facts``: named in words, and short."""
        first, *others = self.gather(dict(facts))
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise UserError(
                        f"process {rank} of {self.size} has another {name} than process 0: {other.get(name)} instead "
                        f"of {value}; all need the same"
                    )

    def require_own_gpus(self, device: torch.device) -> None:
        """Raise :class:`UserError`, on all replicas, where two of them compute on one GPU."""
        own = str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None
        seen: dict[tuple[str, str], int] = {}
        for rank, (host, name) in enumerate(self.gather((socket.gethostname(), own))):
            if name is not None and (other := seen.setdefault((host, name), rank)) != rank:
                raise UserError(
                    f"processes {other} and {rank} have one GPU together, on {host}: start as many as there are GPUs"
                )


@contextmanager
def rank_zero_first(is_rank_zero: bool, wait: Callable[[], None]) -> Iterator[None]:
    """Rank 0 goes through the block before all other processes, which then find the files that it wrote.

    Args:
        wait: returns when all processes have come to it.
    """
    if not is_rank_zero:
        wait()
    yield
    if is_rank_zero:
        wait()


WORD: Final = 2.0
"""seconds that another process gets to say why it ended"""
MEETING: Final = timedelta(minutes=10)
"""What processes that are started wait for each other."""
LONGEST: Final = timedelta(days=1)
"""What replicas wait for another: as long as work of one of them may take, such as statistics of a large model. One
that hangs meanwhile ends all sooner (:mod:`vidgan.run.progress`)."""


def join_replicas(stall: float | None = None, ending: str = TRAINING, idle: float = IDLE) -> Replicas:
    """The replicas that torchrun started; a plain process is alone.

    On GPUs, each process has chosen its own before.

    Args:
        stall: seconds after which a step that does not end ends all: for work inside :func:`ending_together`, which
            alone tells the others that a process is done. None: no process watches the others.
        ending: what follows where one process ends, in words for the user.
        idle: seconds after which one that stands in one place at other work ends all.

    Raises:
        UserError: if srun or mpirun started several processes without torchrun.
    """
    require_alone(os.environ, os.isatty(0))
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Replicas()
    if dist.is_initialized():
        return Replicas(dist.get_rank(), count, dist.group.WORLD)
    # Gradients and statistics meet on the GPUs, flags on the CPU: NCCL reduces no CPU tensors.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, count = next(rendezvous("env://", timeout=MEETING))
    own, hosts = meet(store, rank, count, MEETING)
    watch = None
    if stall is not None:
        watch = Watch(
            dist.distributed_c10d.PrefixStore("watch", own.clone()),  # type: ignore[attr-defined]  # torch has it
            rank,
            count,
            stall,
            # torchrun keeps the store itself; else the first process does.
            keeps=rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
            speaks_alone=hosts[rank] not in hosts[1:rank],
            ending=ending,
            idle=idle,
        )
    with watch.step() if watch is not None else nullcontext():
        dist.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=LONGEST)
        replicas = Replicas(rank, count, dist.group.WORLD, watch)
        replicas.wait()
    return replicas


@contextmanager
def ending_together(replicas: Replicas) -> Iterator[None]:
    """Around the whole work of a process: where it fails, all end, and one of them says why.

    Raises:
        UserError: where another process has ended without a word.
        SystemExit: where another one says what went wrong.
    """
    watch = replicas.watch
    try:
        yield
    except Exception as error:
        if watch is None:
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it, before this one has spoken
        lost = is_lost_connection(error)
        if lost:
            watch.wait_for_fault(WORD)
        if not watch.speaks():
            raise SystemExit(STATUS) from error
        if lost:
            raise UserError(
                f"one of {replicas.size} processes has ended without a word (killed, short of memory, or its machine "
                f"is gone): {watch.ending}"
            ) from error
        raise
    finally:
        if replicas.group is not None:
            end_process_group()
        if watch is not None:
            watch.close()


def end_process_group() -> None:
    """Leave the default process group, and free what still refers to it in circles.

    Freed while the interpreter ends, a group may abort the process: its threads ask for an interpreter that is gone.
    """
    dist.destroy_process_group()
    gc.collect()


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
                f"a training process ended with status {lost[0].exitcode}; resume with --resume"
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
