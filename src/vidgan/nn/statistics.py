"""Where batch normalisation gets its mean and variance from: per time step, never over time.

Batch statistics are not buffers: T differs between training windows, longer samples and chunks. They are
an argument of the forward pass - taken from the batch, recorded while a generator settles, or settled.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from vidgan.nn.fused import mean_and_square


class Clock(NamedTuple):
    """Where a window lies on the video's time axis."""

    start: int | Tensor = 0
    """absolute index of the window's first frame; per clip (B,) where windows differ"""


class Moments(NamedTuple):
    """Mean and variance per time step and channel."""

    mean: Tensor
    """(T, C), over all frames (1, C), or per clip (B, T, C)"""
    variance: Tensor
    """same shape; biased"""


class Statistics(ABC):
    """Gives each normalisation layer its moments."""

    repeatable: bool = True
    """whether a layer may ask again for the same input, as checkpointed recomputation does"""

    @abstractmethod
    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        """Moments of layer ``key`` for its input ``x`` (B T C H W).

        ``over_time`` asks for one pair for all frames (Clark et al. 2019, C: a variant that leaks across time).
        """


class BatchStatistics(Statistics):
    """The moments of the batch at hand, over (B, H, W) of all replicas in ``group``; for training."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        return batch_moments(x, over_time, self.group)


class RecordedStatistics(Statistics):
    """The moments of the batch, which are also averaged per layer and time step; for settling.

    Luc et al. 2020, E.2: run many batches and record the average means and variances.
    """

    repeatable = False

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self._sums: dict[str, tuple[Tensor, Tensor, int]] = {}

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        taken = batch_moments(x, over_time, self.group)
        mean, variance = taken.mean.detach().double(), taken.variance.detach().double()
        if key in self._sums:
            old_mean, old_variance, count = self._sums[key]
            self._sums[key] = (old_mean + mean, old_variance + variance, count + 1)
        else:
            self._sums[key] = (mean, variance, 1)
        return taken

    def averages(self) -> dict[str, Tensor]:
        """``{key/mean, key/variance}`` -> (T, C), float64: what :class:`SettledStatistics` reads."""
        table: dict[str, Tensor] = {}
        for key, (mean, variance, count) in self._sums.items():
            table[f"{key}/mean"] = mean / count
            table[f"{key}/variance"] = variance / count
        return table


class SettledStatistics(Statistics):
    """Recorded moments, looked up by layer and absolute time step; for sampling."""

    def __init__(self, table: Mapping[str, Tensor]) -> None:
        self.table = table

    def moments(self, key: str, x: Tensor, clock: Clock, over_time: bool) -> Moments:
        mean, variance = self.table[f"{key}/mean"], self.table[f"{key}/variance"]
        if not over_time:
            start = torch.as_tensor(clock.start, device=mean.device)
            steps = start[..., None] + torch.arange(x.shape[1], device=mean.device)
            if int(steps.max()) >= len(mean):
                raise ValueError(
                    f"{key}: statistics settled for {len(mean)} steps, asked for {int(steps.max()) + 1}"
                )
            mean, variance = mean[steps], variance[steps]
        kind = torch.promote_types(x.dtype, torch.float32)
        return Moments(mean.to(x.device, kind), variance.to(x.device, kind))


def batch_moments(x: Tensor, over_time: bool, group: dist.ProcessGroup | None) -> Moments:
    """Mean and biased variance of ``x`` (B T C H W) over (B, H, W), and T too if ``over_time``."""
    moments = mean_and_square(x, (0, 1, 3, 4) if over_time else (0, 3, 4))
    first, second = (moment[0, :, :, 0, 0] for moment in moments)
    if group is not None:
        # Replicas hold equal shares, so the mean of their moments is the moment of the joined batch.
        first, second = average_over_replicas(torch.stack([first, second]), group).unbind()
    return Moments(first, (second - first.square()).clamp_min(0))


class _AverageOverReplicas(torch.autograd.Function):
    """All-reduce mean whose gradient is again the mean of all replicas' gradients, summed by each loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _all_mean(x, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # Every replica's loss depends on the shared value. Gradients of parameters are averaged over replicas
        # afterwards, so d(mean loss)/d(local x) = (1/n) sum_r g_r, scaled by n for that later average: the mean.
        return _all_mean(gradients[0], ctx.group), None


def _all_mean(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    y = x.clone().contiguous()
    dist.all_reduce(y, group=group)
    return y / dist.get_world_size(group)


def average_over_replicas(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The mean of ``x`` over the replicas of ``group``, differentiable."""
    averaged: Tensor = _AverageOverReplicas.apply(x, group)
    return averaged
