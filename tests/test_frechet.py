"""Frechet distance and its streaming moments."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation import frechet_distance
from vidgan.evaluation.metrics.features import RunningMoments, frechet_from_moments

VECTORS = np.load(Path(__file__).parent / "vectors" / "metric_vectors.npz", allow_pickle=False)
X, Y = VECTORS["feat/A_d64_500_300/x"], VECTORS["feat/A_d64_500_300/y"]


def features(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def streamed(rows, size=37):
    moments = RunningMoments.empty(rows.shape[1])
    for start in range(0, len(rows), size):
        moments = moments.update(rows[start : start + size])
    return moments


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
    assert abs(frechet_from_moments(RunningMoments.of(rows), RunningMoments.of(rows))) < 1e-6
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


@pytest.mark.parametrize(("n", "m", "d"), [(500, 300, 16), (20, 30, 50)])
def test_streaming_equals_batch(n, m, d):
    a, b = features(n, d, 3), features(m, d, 4)
    batch = frechet_distance(a, b)
    assert abs(frechet_from_moments(streamed(a), streamed(b, size=11)) - batch) < 1e-9 * max(1, batch)


def test_moments_are_numpys_and_merge_in_any_order():
    rows = features(90, 7, 5) + 1e4
    parts = [RunningMoments.of(rows[a:b]) for a, b in ((0, 1), (1, 30), (30, 90))]
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = RunningMoments.empty(7)
        for index in order:
            merged = merged.merge(parts[index])
        assert merged.count == 90
        np.testing.assert_allclose(merged.mean, rows.mean(0), rtol=1e-14)
        np.testing.assert_allclose(merged.covariance(), np.cov(rows, rowvar=False), rtol=1e-9, atol=1e-9)
        biased = np.cov(rows, rowvar=False, ddof=0)
        np.testing.assert_allclose(merged.covariance(biased=True), biased, rtol=1e-9, atol=1e-9)
    assert parts[0].count == 1  # Values are never changed in place.


def test_constant_features():
    a, b = np.zeros((5, 3)), np.ones((4, 3))
    assert frechet_distance(a, b) == 3
    assert frechet_from_moments(RunningMoments.of(a), RunningMoments.of(b)) == 3


def test_errors():
    with pytest.raises(UserError, match="dimensions"):
        frechet_distance(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(UserError, match="at least 2"):
        frechet_distance(np.ones((1, 3)), np.ones((4, 3)))
    with pytest.raises(UserError, match="row 2"):
        frechet_distance(np.ones((4, 3)), np.array([[1.0, 1, 1], [1, 1, 1], [1, np.nan, 1]]))
    with pytest.raises(UserError, match="at least 2 samples"):
        RunningMoments.of(np.ones((1, 3))).covariance()


@pytest.mark.slow
def test_paper_sized_sets():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5000, 2048)), 2 * rng.normal(size=(5000, 2048))
    # Equal means, unit and doubled deviations: about sum (1 - 2)^2 = 2048, and a bias of the finite sample.
    assert 2048 < frechet_distance(a, b) < 2048 * 1.5


WORKER = """
import sys
import numpy as np
import torch.distributed as dist
from vidgan.evaluation.metrics.features import RunningMoments, gather

dist.init_process_group("gloo")
rows = np.load(sys.argv[1])[dist.get_rank() :: 2]
total = gather(RunningMoments.of(rows))
np.savez(sys.argv[2] + str(dist.get_rank()), count=total.count, mean=total.mean, cov=total.covariance())
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    rows = features(101, 9, 6)
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "worker.py").write_text(WORKER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    files = [str(tmp_path / name) for name in ("worker.py", "rows.npy", "out")]
    subprocess.run([*torchrun, *files], check=True, capture_output=True, timeout=120)
    first, second = (np.load(tmp_path / f"out{rank}.npz") for rank in (0, 1))
    for name in ("count", "mean", "cov"):
        np.testing.assert_array_equal(first[name], second[name])
    assert first["count"] == 101
    np.testing.assert_allclose(first["mean"], rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(first["cov"], np.cov(rows, rowvar=False), rtol=1e-10)
