"""Frechet distance between two Gaussians fitted to features (Dowson & Landau 1982; Heusel et al. 2017).

``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)``. With ``S1 = A A^T`` and ``S2 = B B^T`` the last trace is
the nuclear norm of ``A^T B`` (its singular values are the square roots of the eigenvalues of ``S1 S2``): no
square root of a matrix is taken, so nothing is lost where covariances have no full rank.
"""

import numpy as np
import numpy.typing as npt

from vidgan.evaluate.metrics.arrays import Floats, as_rows, check_same_width
from vidgan.evaluate.metrics.statistics import Moments


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
    return _distance(a.mean(0), _factor_of_rows(a, biased), b.mean(0), _factor_of_rows(b, biased))


def frechet_from_moments(a: Moments, b: Moments, *, biased: bool = False) -> float:
    """Frechet distance between two sets known by their moments alone.

    Raises:
        UserError: if a set has fewer than two samples or the dimensions differ.
    """
    check_same_width(a.mean[None], b.mean[None])
    return _distance(a.mean, _factor_of_moments(a, biased), b.mean, _factor_of_moments(b, biased))


def _distance(mean_a: Floats, a: Floats, mean_b: Floats, b: Floats) -> float:
    """From the means and factors (d, r) of the covariances; all traces come from the factors."""
    cross = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return float(np.sum((mean_a - mean_b) ** 2) + np.sum(a**2) + np.sum(b**2) - 2 * cross)


def _factor_of_rows(rows: Floats, biased: bool) -> Floats:
    """A (d, min(n, d)) with A A^T the covariance of ``rows``; covariances are never formed."""
    n, d = rows.shape
    centred = (rows - rows.mean(0)) / np.sqrt(n if biased else n - 1)
    return centred.T if n <= d else np.asarray(np.linalg.qr(centred, mode="r")).T


def _factor_of_moments(moments: Moments, biased: bool) -> Floats:
    """A (d, r) with A A^T the covariance, r its rank: directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(moments.covariance(biased=biased))
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    factor: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return factor
