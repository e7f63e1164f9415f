"""Distances between sets of features: Frechet, kernel, precision and recall, nearest neighbours.

``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)``. With ``S1 = A A^T`` and ``S2 = B B^T`` the last trace is
the nuclear norm of ``A^T B`` (its singular values are the square roots of the eigenvalues of ``S1 S2``): no
square root of a matrix is taken, so nothing is lost where covariances have no full rank.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from vidgan.errors import UserError
from vidgan.evaluation.metrics.arrays import Floats, Numbers, as_rows, check_same_width


@dataclass(frozen=True)
class RunningMoments:
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

    def merge(self, other: "RunningMoments") -> Self:
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


def gather(moments: RunningMoments) -> RunningMoments:
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
    total = RunningMoments.empty(width)
    for part in parts:
        flat = part.cpu().numpy()
        scatter = flat[1 + width :].reshape(width, width)
        total = total.merge(RunningMoments(int(flat[0]), flat[1 : 1 + width], scatter))
    return total


def _device() -> torch.device:
    """Where the processes' collectives work: NCCL moves only GPU tensors."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


LARGE, CHUNK = 20_000, 4096
"""rows from which a set is streamed, and rows taken at once"""


def frechet_distance(features_a: npt.ArrayLike, features_b: npt.ArrayLike, *, biased: bool = False) -> float:
    """Frechet distance between two sets of features, in float64, exact also for n < d.

    Args:
        features_a: (n, d), n >= 2.
        features_b: (m, d), m >= 2.
        biased: divide covariances by n instead of n - 1, as some published code does.

    Returns:
        The distance (a squared length). Of two identical sets it is zero up to rounding, of either sign.

    Raises:
        UserError: if the shapes do not fit or a number is not finite.
    """
    a, b = as_rows(features_a, "features_a", least=2), as_rows(features_b, "features_b", least=2)
    check_same_width(a, b)
    return distance(
        Gaussian(a.mean(0), _factor_of_rows(a, biased)), Gaussian(b.mean(0), _factor_of_rows(b, biased))
    )


def frechet_from_moments(a: RunningMoments, b: RunningMoments, *, biased: bool = False) -> float:
    """Frechet distance between two sets known by their moments alone.

    Raises:
        UserError: if a set has fewer than two samples or the dimensions differ.
    """
    check_same_width(a.mean[None], b.mean[None])
    return distance(
        Gaussian(a.mean, _factor_of_moments(a, biased)), Gaussian(b.mean, _factor_of_moments(b, biased))
    )


class Gaussian(NamedTuple):
    """All that the distance needs of a set, so that it is computed once for many comparisons."""

    mean: Floats
    """(d,)"""
    factor: Floats
    """(d, r), A with A A^T the covariance"""


def gaussian(features: Numbers, *, biased: bool = False) -> Gaussian:
    """The Gaussian fitted to ``features`` (n, d), n >= 2; sets too large to be copied are streamed.

    Raises:
        UserError: if the shape does not fit or a number is not finite.
    """
    if features.ndim == 2 and len(features) > max(LARGE, features.shape[1]):
        moments = RunningMoments.empty(features.shape[1])
        for start in range(0, len(features), CHUNK):
            moments = moments.update(features[start : start + CHUNK])
        return Gaussian(moments.mean, _factor_of_moments(moments, biased))
    rows = as_rows(features, "features", least=2)
    return Gaussian(rows.mean(0), _factor_of_rows(rows, biased))


def distance(a: Gaussian, b: Gaussian) -> float:
    """Frechet distance between two Gaussians; all traces come from the factors.

    Raises:
        UserError: if their dimensions differ.
    """
    check_same_width(a.mean[None], b.mean[None])
    cross = np.linalg.svd(a.factor.T @ b.factor, compute_uv=False).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.sum(a.factor**2) + np.sum(b.factor**2) - 2 * cross)


def _factor_of_rows(rows: Floats, biased: bool) -> Floats:
    """A (d, min(n, d)) with A A^T the covariance of ``rows``; covariances are never formed."""
    n, d = rows.shape
    centred = (rows - rows.mean(0)) / np.sqrt(n if biased else n - 1)
    return centred.T if n <= d else np.asarray(np.linalg.qr(centred, mode="r")).T


def _factor_of_moments(moments: RunningMoments, biased: bool) -> Floats:
    """A (d, r) with A A^T the covariance, r its rank: directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(moments.covariance(biased=biased))
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    factor: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return factor


def kernel_distance(features_a: npt.ArrayLike, features_b: npt.ArrayLike, chunk: int = 1024) -> float:
    """Unbiased estimate of MMD^2 between (n, d) and (m, d) with the kernel (x.y / d + 1)^3.

    Unbiased means that two samples of one source give zero on average, so single values may be negative.

    Args:
        chunk: rows handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit, a set has fewer than 2 rows, or a number is not finite.
    """
    a, b = as_rows(features_a, "features_a", least=2), as_rows(features_b, "features_b", least=2)
    check_same_width(a, b)
    n, m = len(a), len(b)
    within_a = (_kernel_sum(a, a, chunk) - _diagonal_sum(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b, chunk) - _diagonal_sum(b)) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b, chunk) / (n * m)


def kernel_distance_subsets(
    features_a: npt.ArrayLike, features_b: npt.ArrayLike, *, subsets: int, size: int, seed: int
) -> tuple[float, float]:
    """Mean and standard deviation of :func:`kernel_distance` over random subsets (no row twice in one).

    Raises:
        UserError: as :func:`kernel_distance`, or if a set has fewer than ``size`` rows.
    """
    a, b = as_rows(features_a, "features_a"), as_rows(features_b, "features_b")
    if min(len(a), len(b)) < size:
        raise UserError(f"subsets of {size} need as many samples; there are {len(a)} and {len(b)}")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        rows_a, rows_b = (rng.choice(len(x), size, replace=False) for x in (a, b))
        values.append(kernel_distance(a[rows_a], b[rows_b]))
    return float(np.mean(values)), float(np.std(values))


def _kernel_sum(a: Floats, b: Floats, chunk: int) -> float:
    d = a.shape[1]
    return float(sum(((a[i : i + chunk] @ b.T / d + 1) ** 3).sum() for i in range(0, len(a), chunk)))


def _diagonal_sum(a: Floats) -> float:
    return float((((a * a).sum(1) / a.shape[1] + 1) ** 3).sum())


Indices = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """The nearest rows, nearest first."""

    nearest: Indices
    """(n, k), rows of the bank"""
    distance: Floats
    """(n, k), Euclidean"""


def nearest(queries: npt.ArrayLike, bank: npt.ArrayLike, k: int = 1, chunk: int = 256) -> Neighbours:
    """The ``k`` rows of ``bank`` (m, d) closest to each row of ``queries`` (n, d);
    ties go to the lower index.

    Args:
        chunk: queries handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit or the bank has fewer than ``k`` rows.
    """
    a, b = as_rows(queries, "queries"), as_rows(bank, "the bank", least=k)
    check_same_width(a, b)
    found = [_nearest(a[i : i + chunk], b, k) for i in range(0, len(a), chunk)]
    return Neighbours(np.concatenate([f.nearest for f in found]), np.concatenate([f.distance for f in found]))


def nearest_clips(
    samples: Numbers, sample_labels: npt.ArrayLike, real: Numbers, real_labels: npt.ArrayLike, k: int = 1
) -> Neighbours:
    """Nearest real clips of each sample's own class, in pixels over the whole clip (Du 2020, 4.3.1).

    Our choice: L2 between uint8 values, the clips aligned at their first frames; the thesis does not say.
    Exact for uint8.

    Args:
        samples: uint8 (n T H W C).
        real: uint8 (m T H W C).

    Returns:
        Indices into ``real``, and distances.

    Raises:
        UserError: if the clips differ in shape or a class has fewer than ``k`` real clips.
    """
    if samples.shape[1:] != real.shape[1:]:
        raise UserError(f"samples {samples.shape[1:]} and real clips {real.shape[1:]} must have one shape")
    a, b = np.asarray(sample_labels), np.asarray(real_labels)
    index = np.empty((len(samples), k), np.int64)
    distance = np.empty((len(samples), k))
    for label in np.unique(a):
        rows, bank = np.flatnonzero(a == label), np.flatnonzero(b == label)
        if len(bank) < k:
            raise UserError(f"class {label} has {len(bank)} real clips; {k} neighbours need as many")
        queries, clips = samples[rows].reshape(len(rows), -1), real[bank].reshape(len(bank), -1)
        found = nearest(queries, clips, k)
        index[rows], distance[rows] = bank[found.nearest], found.distance
    return Neighbours(index, distance)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """|a_i - b_j|^2, (n, m); exact for integers below 2^53, never negative."""
    square = (a * a).sum(1)[:, None] - 2 * (a @ b.T) + (b * b).sum(1)[None]
    distances: Floats = np.maximum(square, 0.0)
    return distances


def _nearest(a: Floats, b: Floats, k: int) -> Neighbours:
    square = squared_distances(a, b)
    index = np.argsort(square, axis=1, kind="stable")[:, :k]
    return Neighbours(index, np.sqrt(np.take_along_axis(square, index, axis=1)))


class Manifold(NamedTuple):
    """How the balls around real and generated features overlap."""

    precision: float
    """Share of fakes inside the real manifold, in [0, 1]: fidelity."""
    recall: float
    """Share of reals inside the fake manifold, in [0, 1]: diversity."""
    density: float
    """How many real balls hold a fake, on average, over k: fidelity, robust to outliers; may exceed 1."""
    coverage: float
    """Share of real balls that hold a fake, in [0, 1]: diversity, robust to outliers."""


def manifold_scores(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = 5, chunk: int = 1024) -> Manifold:
    """All four scores; a ball around a feature reaches to its ``k``-th neighbour in its own set.

    Args:
        real: (n, d), n > k.
        fake: (m, d), m > k.
        chunk: rows handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit or a set is too small for ``k``.
    """
    a, b = as_rows(real, "real", least=k + 1), as_rows(fake, "fake", least=k + 1)
    check_same_width(a, b)
    real_radius, fake_radius = _radii(a, k, chunk), _radii(b, k, chunk)
    recalled = covered = 0
    holders = np.zeros(len(b), np.int64)
    for i in range(0, len(a), chunk):
        square = squared_distances(a[i : i + chunk], b)
        inside = square <= real_radius[i : i + chunk, None]
        holders += inside.sum(0)
        recalled += int((square <= fake_radius[None]).any(1).sum())
        covered += int(inside.any(1).sum())
    precision, density = float((holders > 0).mean()), float(holders.mean() / k)
    return Manifold(precision, recalled / len(a), density, covered / len(a))


def _radii(x: Floats, k: int, chunk: int) -> Floats:
    """Squared distance from each row to its k-th neighbour; the row itself is number zero."""
    parts = []
    for i in range(0, len(x), chunk):
        square = squared_distances(x[i : i + chunk], x)
        rows = np.arange(len(square))
        square[rows, i + rows] = 0.0  # Rounding may leave a trace.
        parts.append(np.partition(square, k, axis=1)[:, k])
    return np.concatenate(parts)
