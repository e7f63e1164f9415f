"""Frechet distance between two Gaussians fitted to features (Dowson & Landau 1982; Heusel et al. 2017).

``|m1 - m2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)``. With ``S1 = A A^T`` and ``S2 = B B^T`` the last trace is
the nuclear norm of ``A^T B`` (its singular values are the square roots of the eigenvalues of ``S1 S2``): no
square root of a matrix is taken, so nothing is lost where covariances have no full rank.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidgan.evaluate.metrics.arrays import Floats, Numbers, as_rows, check_same_width
from vidgan.evaluate.metrics.statistics import Moments

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


def frechet_from_moments(a: Moments, b: Moments, *, biased: bool = False) -> float:
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
        moments = Moments.empty(features.shape[1])
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


def _factor_of_moments(moments: Moments, biased: bool) -> Floats:
    """A (d, r) with A A^T the covariance, r its rank: directions that are only rounding are left out."""
    values, vectors = np.linalg.eigh(moments.covariance(biased=biased))
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    factor: Floats = vectors[:, kept] * np.sqrt(values[kept])
    return factor
