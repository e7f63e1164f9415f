"""Nearest neighbours, precision and recall, density and coverage, kernel distance."""

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation.metrics.features import (
    kernel_distance,
    kernel_distance_subsets,
    manifold_scores,
    nearest,
    nearest_clips,
)


def points(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_nearest_against_a_loop():
    queries, bank = points(9, 4, 0), points(30, 4, 1)
    found = nearest(queries, bank, k=3, chunk=4)
    for i, query in enumerate(queries):
        distances = np.sqrt(((bank - query) ** 2).sum(1))
        order = np.argsort(distances)[:3]
        assert found.nearest[i].tolist() == order.tolist()
        np.testing.assert_allclose(found.distance[i], distances[order], rtol=1e-9)


def test_nearest_clips_stay_in_their_class():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (8, 3, 4, 4, 3), dtype=np.uint8)
    labels = np.array([0, 1, 0, 1, 2, 2, 0, 1])
    samples = real[[3, 4, 0]].copy()
    samples[0, 0, 0, 0, 0] ^= 5  # One pixel of one frame moves by at most 5.
    found = nearest_clips(samples, [1, 2, 1], real, labels, k=2)
    assert found.nearest[:2, 0].tolist() == [3, 4]
    assert found.distance[1, 0] == 0
    assert 0 < found.distance[0, 0] <= 5
    # The third is real clip 0 of class 0, but was made as class 1: its own class holds no copy of it.
    assert set(found.nearest[2]) <= {1, 3, 7}
    exact = np.sqrt(((samples[2].astype(int) - real[found.nearest[2, 0]].astype(int)) ** 2).sum())
    assert found.distance[2, 0] == exact
    with pytest.raises(UserError, match="class 2 has 2 real clips"):
        nearest_clips(samples, [1, 2, 1], real, labels, k=3)


@pytest.mark.parametrize("k", [1, 3])
def test_manifold_scores_against_loops(k):
    real, fake = points(24, 3, 0), points(17, 3, 1, shift=1.5)

    def radius(x, i):
        return sorted(np.linalg.norm(x - x[i], axis=1))[k]

    holds_fake = [[np.linalg.norm(r - f) <= radius(real, i) for i, r in enumerate(real)] for f in fake]
    holds_real = [[np.linalg.norm(r - f) <= radius(fake, j) for j, f in enumerate(fake)] for r in real]
    found = manifold_scores(real, fake, k=k, chunk=5)
    assert found.precision == pytest.approx(np.mean([any(row) for row in holds_fake]))
    assert found.recall == pytest.approx(np.mean([any(row) for row in holds_real]))
    assert found.density == pytest.approx(np.sum(holds_fake) / (k * len(fake)))
    assert found.coverage == pytest.approx(np.mean([any(column) for column in np.transpose(holds_fake)]))
    assert 0 < found.precision < 1
    assert 0 < found.recall < 1


def test_manifold_extremes():
    real = points(40, 3, 0)
    same = manifold_scores(real, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert manifold_scores(real, real + 100) == (0, 0, 0, 0)
    collapsed = manifold_scores(real, real[:1] + 1e-3 * points(30, 3, 1))
    assert collapsed.precision == 1
    assert collapsed.recall < 0.1
    with pytest.raises(UserError, match="at least 6"):
        manifold_scores(real[:5], real)


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


def test_kernel_subsets_of_everything_are_the_whole():
    a, b = points(12, 3, 0), points(12, 3, 1)
    mean, std = kernel_distance_subsets(a, b, subsets=4, size=12, seed=0)
    assert mean == pytest.approx(kernel_distance(a, b), rel=1e-9)
    assert std < 1e-9
    once = kernel_distance_subsets(a, b, subsets=4, size=6, seed=1)
    assert once == kernel_distance_subsets(a, b, subsets=4, size=6, seed=1)
    assert once != kernel_distance_subsets(a, b, subsets=4, size=6, seed=2)
    with pytest.raises(UserError, match="subsets of 13"):
        kernel_distance_subsets(a, b, subsets=1, size=13, seed=0)
