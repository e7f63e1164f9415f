"""Inception Score."""

import math
from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation import inception_score

VECTORS = np.load(Path(__file__).parent / "vectors" / "metric_vectors.npz", allow_pickle=False)
LOGITS = VECTORS["is/logits"]


def test_vectors():
    mean, std = inception_score(LOGITS)
    assert abs(mean - VECTORS["is/exact_1split"]) < 1e-9
    assert std == 0
    for variant, shuffle in (("noshuffle", None), ("shuffled", 2020)):
        found = inception_score(LOGITS, 10, shuffle=shuffle)
        expected = [float(VECTORS[f"is/torch_fidelity_{variant}_{part}"]) for part in ("mean", "std")]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def naive(logits, epsilon):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    marginal = p.mean(0)
    kl = [
        sum(q * (math.log(q + epsilon) - math.log(m + epsilon)) for q, m in zip(row, marginal, strict=True))
        for row in p
    ]
    return math.exp(sum(kl) / len(kl))


@pytest.mark.parametrize("epsilon", [0.0, 1e-20, 1e-7, 1e-2])
def test_against_the_formula(epsilon):
    logits = np.random.default_rng(0).normal(size=(23, 5)) * 3
    assert abs(inception_score(logits, epsilon=epsilon)[0] - naive(logits, epsilon)) < 1e-9
    parts = [naive(logits[a:b], epsilon) for a, b in ((0, 7), (7, 15), (15, 23))]
    mean, std = inception_score(logits, 3, epsilon=epsilon)
    assert abs(mean - np.mean(parts)) < 1e-9
    assert abs(std - np.std(parts)) < 1e-9


def test_bounds():
    sure = 1e4 * np.eye(7)
    assert abs(inception_score(sure)[0] - 7) < 1e-9
    assert abs(inception_score(np.zeros((9, 7)))[0] - 1) < 1e-12


def test_errors():
    with pytest.raises(UserError, match="3 samples cannot be split in 4"):
        inception_score(np.zeros((3, 2)), 4)
    with pytest.raises(UserError, match="not finite"):
        inception_score(np.array([[1.0, np.inf]]))
