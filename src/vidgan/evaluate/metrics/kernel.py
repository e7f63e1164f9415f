"""Kernel distance: the squared maximum mean discrepancy under a cubic kernel (Binkowski et al. 2018)."""

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, as_rows, check_same_width


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
