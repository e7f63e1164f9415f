"""Precision and recall (Kynkaanniemi et al. 2019); density and coverage (Naeem et al. 2020)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidgan.evaluate.metrics.arrays import Floats, as_rows, check_same_width
from vidgan.evaluate.metrics.neighbours import squared_distances


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
