"""Gradients of processes that share a batch: summed in buckets while the backward pass still runs.

Why not torch's DistributedDataParallel, which works in the same way: after its first step it cuts its buckets anew, by
the order in which gradients came, and a sum of more than two numbers rounds otherwise in another bucket, so a run that
is resumed would not go on bit for bit. With ``find_unused_parameters`` it does not, but walks the whole graph in every
pass and warns of that on every process. Here the buckets depend on the network alone. tests/test_gradient_sums.py has
both, and benchmarks/gradient_sums.py how long they take.
"""

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vidgan.run.distributed import Replicas

BUCKET = 25 * 2**20
"""Bytes of gradients that are summed at a time: as many as DistributedDataParallel takes."""


class GradientSum:
    """Backward passes towards the weights of ``module``, whose gradients are summed over ``replicas`` in the last one.

    Each process's losses count in it as they are, so they are weighted by its part of the clips. All processes compute
    the same graph.

    Args:
        size: bytes of a bucket.
    """

    def __init__(self, module: nn.Module, replicas: Replicas, size: int = BUCKET) -> None:
        self._module, self._group, self._size = module, replicas.group, size
        self._buckets: list[_Bucket] = []
        self._started = 0
        self._is_last = False

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradients of ``loss``; after the ``last`` loss of an update they are those of all replicas."""
        if self._group is None or not last:
            loss.backward()
            return
        if not self._buckets:
            self._watch()
        for bucket in self._buckets:
            bucket.missing = set(bucket.parameters)
        self._started, self._is_last = 0, True
        try:
            loss.backward()
        finally:
            self._is_last = False
        self._start(self._buckets)  # with weights that this loss does not reach
        for bucket in self._buckets:
            bucket.finish()

    def _watch(self) -> None:
        self._buckets = [_Bucket(parameters) for parameters in in_buckets(self._module, self._size)]
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(lambda p, own=bucket: self._note(own, p))

    def _note(self, bucket: "_Bucket", parameter: Tensor) -> None:
        if self._is_last:
            bucket.missing.discard(parameter)
            ready = len(self._buckets)
            for place, each in enumerate(self._buckets):
                if each.missing:
                    ready = place
                    break
            self._start(self._buckets[:ready])

    def _start(self, ready: "list[_Bucket]") -> None:
        # In the same order on all processes, whatever the order in which gradients come.
        assert self._group is not None
        for bucket in ready[self._started :]:
            bucket.start(self._group)
        self._started = max(self._started, len(ready))


def in_buckets(module: nn.Module, size: int = BUCKET) -> Iterator[list[nn.Parameter]]:
    """The weights of ``module``, last ones first as their gradients come, in lists of at least ``size`` bytes."""
    bucket: list[nn.Parameter] = []
    room = size
    for parameter in reversed(list(module.parameters())):
        bucket.append(parameter)
        room -= parameter.numel() * parameter.element_size()
        if room <= 0:
            yield bucket
            bucket, room = [], size
    if bucket:
        yield bucket


class _Bucket:
    """Weights whose gradients are summed together."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.parameters = parameters
        self.missing: set[Tensor] = set()
        """those whose gradient is still to come"""
        self._flat = torch.empty(0)
        self._work: dist.Work | None = None

    @property
    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]

    def start(self, group: dist.ProcessGroup) -> None:
        """Begin to sum the gradients that there are."""
        if gradients := self._gradients:
            self._flat = torch.cat([gradient.flatten() for gradient in gradients])
            self._work = dist.all_reduce(self._flat, group=group, async_op=True)

    def finish(self) -> None:
        """Wait for the sums, and put them in the place of the gradients."""
        if self._work is None:
            return
        self._work.wait()
        gradients = self._gradients
        parts = self._flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])
        self._work, self._flat = None, torch.empty(0)
