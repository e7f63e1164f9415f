"""Metrics of features and logits, as functions of arrays: Frechet and kernel distance, precision and recall, Inception
Score.

The Frechet distance is ``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)``. With ``S1 = A A^T`` and ``S2 = B B^T`` the
last trace is the nuclear norm of ``A^T B`` (its singular values are the square roots of the eigenvalues of ``S1 S2``):
no square root of a matrix is taken, so nothing is lost where covariances have no full rank.
"""

import functools
import itertools
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any]

LARGE, CHUNK = 20_000, 4096
"""rows from which a set is streamed, and rows taken at once"""


def as_rows(features: npt.ArrayLike, what: str, least: int = 1) -> Floats:
    """``features`` as float64 (n, d).

    Raises:
        UserError: if they are not (n, d), hold fewer than ``least`` rows, or are not all finite.
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2:
        raise UserError(f"{what} must be an array (n, d), not {rows.shape}")
    if len(rows) < least:
        raise UserError(f"{what} has {len(rows)} rows; at least {least} are needed")
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise UserError(f"{what} holds a number that is not finite (first in row {bad})")
    return rows


def check_same_width(a: int, b: int) -> None:
    """Raise :class:`UserError` unless two sets of features have as many dimensions."""
    if a != b:
        raise UserError(f"features of {a} and of {b} dimensions cannot be compared")


class RunningMoments(NamedTuple):
    """Number, mean and centred scatter of rows seen so far."""

    n: int
    mean: Floats
    """(d,)"""
    scatter: Floats
    """(d, d): the sum of (x - mean)(x - mean)^T"""

    @classmethod
    def of(cls, features: npt.ArrayLike) -> Self:
        """Of the rows of ``features`` (n, d)."""
        rows = as_rows(features, "features")
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def merge(self, other: "RunningMoments") -> Self:
        """These and the rows behind ``other`` (Chan, Golub & LeVeque 1983, Eq. 2.1)."""
        n = self.n + other.n
        step = other.mean - self.mean
        mean = self.mean + step * (other.n / n)
        between = np.outer(step, step) * (self.n * other.n / n)
        return type(self)(n, mean, self.scatter + other.scatter + between)


class Gaussian(NamedTuple):
    """All that the Frechet distance needs of a set, so that it is computed once for many comparisons."""

    mean: Floats
    """(d,)"""
    factor: Floats
    """(d, r), A with A A^T the covariance"""

    @classmethod
    def fitted(cls, features: npt.ArrayLike, *, biased: bool = False) -> Self:
        """To ``features`` (n, d), n >= 2; sets too large to be copied are streamed.

        Args:
            biased: divide covariances by n instead of n - 1, as some published code does.

        Raises:
            UserError: if the shape does not fit or a number is not finite.
        """
        given = np.asarray(features)
        if given.ndim != 2 or len(given) <= max(LARGE, given.shape[1]):
            rows = as_rows(given, "features", least=2)
            return cls(rows.mean(0), _factor_of_rows(rows, biased))
        parts = (RunningMoments.of(given[start : start + CHUNK]) for start in range(0, len(given), CHUNK))
        moments = functools.reduce(RunningMoments.merge, parts)
        covariance = moments.scatter / (moments.n if biased else moments.n - 1)
        return cls(moments.mean, _factor_of_covariance(covariance))

    def distance(self, other: "Gaussian") -> float:
        """Frechet distance; all traces come from the factors.

        Raises:
            UserError: if dimensions differ.
        """
        check_same_width(len(self.mean), len(other.mean))
        cross = np.linalg.svd(self.factor.T @ other.factor, compute_uv=False).sum()
        apart = np.sum((self.mean - other.mean) ** 2)
        return float(apart + np.sum(self.factor**2) + np.sum(other.factor**2) - 2 * cross)


def _factor_of_rows(rows: Floats, biased: bool) -> Floats:
    """A (d, min(n, d)) with A A^T the covariance of ``rows``; covariances are never formed."""
    n, d = rows.shape
    centred = (rows - rows.mean(0)) / np.sqrt(n if biased else n - 1)
    return centred.T if n <= d else np.asarray(np.linalg.qr(centred, mode="r")).T


def _factor_of_covariance(covariance: Floats) -> Floats:
    """A (d, r) with A A^T the covariance, r its rank: directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    factor: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return factor


def frechet_distance(features_a: npt.ArrayLike, features_b: npt.ArrayLike, *, biased: bool = False) -> float:
    """Frechet distance between two sets of features, in float64, exact also for n < d.

    Examples:
        >>> frechet_distance([[0.0, 0.0], [2.0, 0.0]], [[0.0, 3.0], [2.0, 3.0]])
        9.0

    Args:
        features_a: (n, d), n >= 2.
        features_b: (m, d), m >= 2.
        biased: divide covariances by n instead of n - 1, as some published code does.

    Returns:
        The distance (a squared length). Of two identical sets it is zero up to rounding, of either sign.

    Raises:
        UserError: if the shapes do not fit or a number is not finite.
    """
    return Gaussian.fitted(features_a, biased=biased).distance(Gaussian.fitted(features_b, biased=biased))


def kernel_distance(features_a: npt.ArrayLike, features_b: npt.ArrayLike, chunk: int = 1024) -> float:
    """Unbiased estimate of MMD^2 between (n, d) and (m, d) with the kernel (x.y / d + 1)^3.

    Unbiased means that two samples of one source give zero on average, so single values may be negative.

    Examples:
        >>> kernel_distance([[0.0], [1.0]], [[0.0], [1.0]])
        -3.5

    Args:
        chunk: rows handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit, a set has fewer than 2 rows, or a number is not finite.
    """
    a, b = as_rows(features_a, "features_a", least=2), as_rows(features_b, "features_b", least=2)
    check_same_width(a.shape[1], b.shape[1])
    n, m = len(a), len(b)
    within_a = (_kernel_sum(a, a, chunk) - _diagonal_sum(a)) / (n * (n - 1))
    within_b = (_kernel_sum(b, b, chunk) - _diagonal_sum(b)) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b, chunk) / (n * m)


def _kernel_sum(a: Floats, b: Floats, chunk: int) -> float:
    d = a.shape[1]
    return float(sum(((a[i : i + chunk] @ b.T / d + 1) ** 3).sum() for i in range(0, len(a), chunk)))


def _diagonal_sum(a: Floats) -> float:
    return float((((a * a).sum(1) / a.shape[1] + 1) ** 3).sum())


def squared_distances(a: Floats, b: Floats) -> Floats:
    """|a_i - b_j|^2, (n, m); exact for integers below 2^53, never negative."""
    square = (a * a).sum(1)[:, None] - 2 * (a @ b.T) + (b * b).sum(1)[None]
    distances: Floats = np.maximum(square, 0.0)
    return distances


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


def precision_recall(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = 5, chunk: int = 1024) -> Manifold:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) of features.

    A ball around a feature reaches to its ``k``-th neighbour in its own set.

    Examples:
        >>> precision_recall([[0.0], [1.0], [2.0]], [[0.5], [1.5], [9.0]], k=1)
        Manifold(precision=0.6666666666666666, recall=1.0, density=1.3333333333333333, coverage=1.0)

    Args:
        real: (n, d), n > k.
        fake: (m, d), m > k.
        chunk: rows handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit or a set is too small for ``k``.
    """
    a, b = as_rows(real, "real", least=k + 1), as_rows(fake, "fake", least=k + 1)
    check_same_width(a.shape[1], b.shape[1])
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


class InceptionScores(NamedTuple):
    """Inception Scores of parts of a set."""

    mean: float
    """over parts, in [1, classes]"""
    deviation: float
    """over parts (divided by n)"""


def inception_score(
    logits: npt.ArrayLike, splits: int = 1, *, epsilon: float = 0.0, shuffle: int | None = None
) -> InceptionScores:
    """Mean and standard deviation of the Inception Score (Salimans et al. 2016) over ``splits`` parts.

    The score is biased upwards with the number of samples in a part: never compare unlike counts or splits.

    Examples:
        >>> inception_score([[0.0, 0.0], [0.0, 0.0]])
        InceptionScores(mean=1.0, deviation=0.0)

    Args:
        logits: (n, classes), before the softmax.
        splits: parts of neighbouring samples, as equal as n allows.
        epsilon: added inside both logarithms (TGAN 1e-7, TGANv2 1e-20); 0 is the definition.
        shuffle: a seed of numpy's ``RandomState``, whose permutation orders the samples before the split, as
            public code does (StyleGAN-V 42, torch-fidelity 2020); None keeps the order.

    Raises:
        UserError: if the logits are not (n, classes) and finite, or there are more splits than samples.
    """
    rows = as_rows(logits, "logits")
    n = len(rows)
    if not 1 <= splits <= n:
        raise UserError(f"{n} samples cannot be split in {splits} parts")
    if shuffle is not None:
        rows = rows[np.random.RandomState(shuffle).permutation(n)]
    bounds = [i * n // splits for i in range(splits + 1)]
    scores = [_score_of_part(rows[a:b], epsilon) for a, b in itertools.pairwise(bounds)]
    return InceptionScores(float(np.mean(scores)), float(np.std(scores)))


def _score_of_part(logits: Floats, epsilon: float) -> float:
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    p = np.exp(log_p)
    negative_entropy = float((p * (np.log(p + epsilon) if epsilon else log_p)).sum())
    marginal = p.sum(0) / len(p)
    seen = marginal[marginal > 0]
    divergence = negative_entropy / len(p) - float((seen * np.log(seen + epsilon)).sum())
    return float(np.exp(divergence))
