"""Means and covariances that stream in float64 and merge across processes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, as_rows, check_same_width


@dataclass(frozen=True)
class Moments:
    """Count, mean and centred scatter of rows seen so far; a value, never changed in place."""

    count: int
    mean: Floats
    """(d,)"""
    scatter: Floats
    """(d, d): the sum of (x - mean)(x - mean)^T"""

    @classmethod
    def empty(cls, dimensions: int) -> Self:
        """Of no rows."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def of(cls, features: npt.ArrayLike) -> Self:
        """Of the rows of ``features`` (n, d)."""
        rows = as_rows(features, "features")
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def update(self, features: npt.ArrayLike) -> Self:
        """These and the rows of ``features`` (n, d)."""
        return self.merge(type(self).of(features))

    def merge(self, other: "Moments") -> Self:
        """These and the rows behind ``other`` (Chan, Golub & LeVeque 1983, Eq. 2.1)."""
        check_same_width(self.mean[None], other.mean[None])
        count = self.count + other.count
        if count == 0:
            return self
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        between = np.outer(step, step) * (self.count * other.count / count)
        return type(self)(count, mean, self.scatter + other.scatter + between)

    def covariance(self, *, biased: bool = False) -> Floats:
        """The covariance (d, d), divided by n - 1, or by n if ``biased``.

        Raises:
            UserError: with fewer than two rows.
        """
        if self.count < 2:
            raise UserError(f"a covariance needs at least 2 samples, not {self.count}")
        return self.scatter / (self.count if biased else self.count - 1)


def gather(moments: Moments) -> Moments:
    """The moments of all processes together, the same in each; without processes, ``moments``.

    The parts are merged in the order of the ranks, so every process holds the same bits.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return moments
    mine = np.concatenate([[moments.count], moments.mean, moments.scatter.ravel()])
    own = torch.from_numpy(mine).to(_device())
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    width = len(moments.mean)
    total = Moments.empty(width)
    for part in parts:
        flat = part.cpu().numpy()
        scatter = flat[1 + width :].reshape(width, width)
        total = total.merge(Moments(int(flat[0]), flat[1 : 1 + width], scatter))
    return total


def _device() -> torch.device:
    """Where the processes' collectives work: NCCL moves only GPU tensors."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
