"""Inception Score, and accuracy by class."""

import math
from pathlib import Path

import numpy as np
import pytest

from vidgan.errors import UserError
from vidgan.evaluation import inception_score
from vidgan.evaluation.metrics.classes import ClassStatistics, Confusion, by_class

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


def test_streaming_and_merging_equal_batch():
    logits = np.random.default_rng(1).normal(size=(50, 6)) * 2
    first = ClassStatistics.of(logits[:1], 1e-7).update(logits[1:20])
    second = ClassStatistics.of(logits[20:], 1e-7)
    expected = inception_score(logits, epsilon=1e-7)[0]
    assert abs(first.merge(second).score() - expected) < 1e-12
    assert abs(second.merge(first).score() - expected) < 1e-12
    with pytest.raises(UserError, match="different protocols"):
        first.merge(ClassStatistics.of(logits))


def test_errors():
    with pytest.raises(UserError, match="3 samples cannot be split in 4"):
        inception_score(np.zeros((3, 2)), 4)
    with pytest.raises(UserError, match="not finite"):
        inception_score(np.array([[1.0, np.inf]]))


def test_confusion():
    logits = np.array([[2.0, 1, 0], [0, 3, 1], [5, 1, 1], [0, 0, 1]])
    confusion = Confusion.of(logits[:2], [0, 1]).merge(Confusion.of(logits[2:], [1, 0]))
    assert confusion.counts.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert confusion.accuracy == 0.5
    np.testing.assert_array_equal(confusion.by_class, [0.5, 0.5, np.nan])
    with pytest.raises(UserError, match="below 3"):
        Confusion.of(logits, [0, 1, 2, 3])


def test_metric_within_each_class():
    rows = np.arange(6.0)[:, None]
    found = by_class(lambda a, b: (a.sum(), b.sum()), rows, [0, 0, 1, 1, 3, 3], rows[:4] * 10, [1, 0, 1, 2])
    assert found == {0: (1.0, 10.0), 1: (5.0, 20.0)}
