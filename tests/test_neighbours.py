"""Precision and recall, density and coverage, kernel distance."""

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation import kernel_distance, precision_recall


def points(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("k", [1, 3])
def test_precision_recall_against_loops(k):
    real, fake = points(24, 3, 0), points(17, 3, 1, shift=1.5)

    def radius(x, i):
        return sorted(np.linalg.norm(x - x[i], axis=1))[k]

    holds_fake = [[np.linalg.norm(r - f) <= radius(real, i) for i, r in enumerate(real)] for f in fake]
    holds_real = [[np.linalg.norm(r - f) <= radius(fake, j) for j, f in enumerate(fake)] for r in real]
    found = precision_recall(real, fake, k=k, chunk=5)
    assert found.precision == pytest.approx(np.mean([any(row) for row in holds_fake]))
    assert found.recall == pytest.approx(np.mean([any(row) for row in holds_real]))
    assert found.density == pytest.approx(np.sum(holds_fake) / (k * len(fake)))
    assert found.coverage == pytest.approx(np.mean([any(column) for column in np.transpose(holds_fake)]))
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1


def test_manifold_extremes():
    real = points(40, 3, 0)
    same = precision_recall(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert precision_recall(real, real + 100) == (0, 0, 0, 0)
    collapsed = precision_recall(real, real[:1] + 1e-3 * points(30, 3, 1))
    assert collapsed.precision == 1
    assert collapsed.recall < 0.1
    with pytest.raises(UserError, match="at least 6"):
        precision_recall(real[:5], real)


def test_kernel_distance_against_loops():
    a, b = points(7, 4, 0), points(5, 4, 1, shift=0.3)

    def k(x, y):
        return (x @ y / 4 + 1) ** 3

    aa = [k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    bb = [k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    ab = [k(x, y) for x in a for y in b]
    expected = np.mean(aa) + np.mean(bb) - 2 * np.mean(ab)
    assert kernel_distance(a, b, chunk=3) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased():
    values = [kernel_distance(points(20, 3, 2 * s), points(20, 3, 2 * s + 1)) for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert min(values) < 0
    assert kernel_distance(points(20, 3, 0), points(20, 3, 1, shift=2)) > max(values)
