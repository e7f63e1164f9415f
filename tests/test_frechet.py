"""Frechet distance and its streaming moments."""

from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation import frechet_distance
from vidgan.evaluation.metrics import features as metric

VECTORS = np.load(Path(__file__).parent / "vectors" / "metric_vectors.npz", allow_pickle=False)
X, Y = VECTORS["feat/A_d64_500_300/x"], VECTORS["feat/A_d64_500_300/y"]


def features(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


@pytest.fixture
def streamed(monkeypatch):
    """Sets of more rows than dimensions are streamed, eleven rows at a time."""
    monkeypatch.setattr(metric, "LARGE", 0)
    monkeypatch.setattr(metric, "CHUNK", 11)


def test_vectors():
    exact = float(VECTORS["fd/A_d64_500_300/exact"])
    assert abs(frechet_distance(X, Y) - exact) < 1e-9
    assert abs(frechet_distance(X, Y) - VECTORS["fd/A_d64_500_300/numpy_tfgan_f64"]) < 1e-8
    biased = frechet_distance(X, Y, biased=True)
    assert abs(biased - VECTORS["fd/A_d64_500_300/biased_cov_wrong"]) < 1e-9
    assert abs(biased - exact) > 0.2


@pytest.mark.parametrize("name", [key for key in VECTORS.files if key.startswith("fd/")])
def test_every_public_implementation(name):
    """The vectors of all implementations, each as far as it can be trusted."""
    _, case, kind = name.split("/")
    other, biased = (X if case == "D_same" else Y), kind == "biased_cov_wrong"
    found, expected = frechet_distance(X, other, biased=biased), float(VECTORS[name])
    if kind == "videogpt_f32":
        # A singular value decomposition in float32: 9e-4 too small here, 0.06 where 0 is right.
        assert 1e-4 < abs(found - expected) < 0.1
    else:
        assert abs(found - expected) < 1e-8


def test_diagonal_gaussians_by_hand():
    # Sets whose covariances are diagonal: d^2 = |m1 - m2|^2 + sum (s1 - s2)^2.
    a = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
    b = np.array([[8.0, 7], [2, 7], [5, 8], [5, 6]])
    s1, s2 = np.sqrt([2 / 3, 8 / 3]), np.sqrt([18 / 3, 2 / 3])
    assert abs(frechet_distance(a, b) - (25 + 49 + ((s1 - s2) ** 2).sum())) < 1e-12


@pytest.mark.parametrize(("n", "d"), [(400, 32), (20, 64), (2, 5), (64, 64)])
def test_identical_sets_are_at_zero(n, d):
    rows = features(n, d, seed=n)
    assert abs(frechet_distance(rows, rows)) < 1e-6
    assert abs(frechet_distance(rows, rows[::-1])) < 1e-6


@pytest.mark.parametrize(("n", "m", "d"), [(10, 15, 40), (10, 200, 40), (200, 150, 40), (40, 41, 40)])
def test_against_the_square_root_of_a_matrix(n, m, d):
    a, b = features(n, d, 1), features(m, d, 2)
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(s1)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ s2 @ root).clip(0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * trace
    # The reference loses half the digits where there are fewer samples than dimensions; we do not.
    tolerance = 1e-9 if min(n, m) > d + 1 else 1e-4
    assert abs(frechet_distance(a, b) - expected) < tolerance * expected


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("n", "m"), [(500, 300), (70, 33), (12, 13)])
def test_streaming_equals_batch(n, m, biased, streamed):
    """Far from the origin, where sums of squares would lose the digits."""
    a, b = features(n, 9, 3) + 1e4, features(m, 9, 4) + 1e4
    means, covariances = zip(
        *((x.mean(0), np.cov(x, rowvar=False, ddof=1 - biased)) for x in (a, b)), strict=True
    )
    for rows, mean, covariance in zip((a, b), means, covariances, strict=True):
        found = metric.Gaussian.fitted(rows, biased=biased)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-14)
        np.testing.assert_allclose(found.factor @ found.factor.T, covariance, rtol=1e-8, atol=1e-8)
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)).sum()
    expected = ((means[0] - means[1]) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * roots
    assert frechet_distance(a, b, biased=biased) == pytest.approx(expected, rel=1e-6)


def test_moments_merge_in_any_order():
    rows = features(90, 7, 5) + 1e4
    parts = [metric.RunningMoments.of(rows[a:b]) for a, b in ((0, 1), (1, 30), (30, 90))]
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = parts[order[0]].merge(parts[order[1]]).merge(parts[order[2]])
        assert merged.n == 90
        np.testing.assert_allclose(merged.mean, rows.mean(0), rtol=1e-14)
        np.testing.assert_allclose(merged.scatter / 89, np.cov(rows, rowvar=False), rtol=1e-9, atol=1e-9)
    assert parts[0].n == 1  # Values are never changed in place.


def test_constant_features():
    a, b = np.zeros((5, 3)), np.ones((4, 3))
    assert frechet_distance(a, b) == 3
    assert frechet_distance(np.zeros((5, 3)), np.zeros((4, 3))) == 0


def test_errors():
    with pytest.raises(UserError, match="dimensions"):
        frechet_distance(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(UserError, match="at least 2"):
        frechet_distance(np.ones((1, 3)), np.ones((4, 3)))
    with pytest.raises(UserError, match="row 2"):
        frechet_distance(np.ones((4, 3)), np.array([[1.0, 1, 1], [1, 1, 1], [1, np.nan, 1]]))


@pytest.mark.slow
def test_paper_sized_sets():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5000, 2048)), 2 * rng.normal(size=(5000, 2048))
    # Equal means, unit and doubled deviations: about sum (1 - 2)^2 = 2048, and a bias of the finite sample.
    assert 2048 < frechet_distance(a, b) < 2048 * 1.5
