"""Several processes that train as one: who is who, and one all-reduce of the gradients per update."""

import gc
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vidgan.errors import UserError


class Replicas(NamedTuple):
    """This process among those that share every batch."""

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None
    """None for a single process"""

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def slice(self, x: Tensor) -> Tensor:
        """This replica's share of something drawn for the global batch (B, ...)."""
        share = len(x) // self.size
        return x[self.rank * share : (self.rank + 1) * share]

    def average_gradients(self, module: nn.Module) -> None:
        """Replace every gradient by its mean over replicas: one all-reduce of all of them together."""
        if self.group is None:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat, group=self.group)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def average(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Means over replicas of scalars that stand on the device; waits for it."""
        if not values:
            return {}
        stacked = torch.stack([v.detach().double() for v in values.values()])
        if self.group is not None:
            dist.all_reduce(stacked, group=self.group)
            stacked /= self.size
        return dict(zip(values, stacked.tolist(), strict=True))

    def wait(self) -> None:
        """Return when all replicas have come here."""
        self.any(False)

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` holds on some replica; does not wait for work on the device."""
        if self.group is None:
            return flag
        value = torch.tensor(float(flag), device="cpu")
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=self.group)
        return bool(value.item())


def join_replicas(expected: int) -> Replicas:
    """The replicas that torchrun started; a plain process is alone.

    On GPUs, each process has chosen its own before.

    Raises:
        UserError: if their number is not what the experiment says.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count != expected:
        raise UserError(
            f"the experiment is for {expected} replicas but {count} were started; "
            f"use torchrun --nproc-per-node {expected}, or --training.batch.replicas {count}"
        )
    if count == 1:
        return Replicas()
    if not dist.is_initialized():
        # Gradients and statistics meet on the GPUs, flags on the CPU: NCCL reduces no CPU tensors.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Replicas(dist.get_rank(), count, dist.group.WORLD)


def trainable(modules: Iterable[nn.Module], on: bool) -> None:
    """Let gradients reach the weights of ``modules``, or keep them out."""
    for module in modules:
        module.requires_grad_(on)


def end_process_group() -> None:
    """Leave the default process group, and free what still refers to it in circles.

    Freed while the interpreter ends, a group may abort the process: its threads ask for an interpreter that is gone.
    """
    dist.destroy_process_group()
    gc.collect()
