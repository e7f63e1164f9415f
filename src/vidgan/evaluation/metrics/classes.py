"""Metrics of class probabilities: Inception Score, accuracy by class."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluation.metrics.arrays import Floats, Numbers, as_rows


@dataclass(frozen=True)
class ClassStatistics:
    """What one Inception Score needs of the samples seen so far; streams and merges."""

    count: int
    total: Floats
    """(classes,): the sum of p(y|x)"""
    negative_entropy: float
    """The sum over samples and classes of p log(p + epsilon)."""
    epsilon: float = 0.0
    """What the protocol adds inside the logarithms; 0 is the definition."""

    @classmethod
    def of(cls, logits: npt.ArrayLike, epsilon: float = 0.0) -> Self:
        """Of ``logits`` (n, classes), before the softmax."""
        rows = as_rows(logits, "logits")
        log_p = rows - rows.max(1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
        p = np.exp(log_p)
        inner = np.log(p + epsilon) if epsilon else log_p
        return cls(len(rows), p.sum(0), float((p * inner).sum()), epsilon)

    def update(self, logits: npt.ArrayLike) -> Self:
        """These and the samples of ``logits`` (n, classes)."""
        return self.merge(type(self).of(logits, self.epsilon))

    def merge(self, other: "ClassStatistics") -> Self:
        """These and the samples behind ``other``.

        Raises:
            UserError: if classes or epsilon differ.
        """
        if self.total.shape != other.total.shape or self.epsilon != other.epsilon:
            raise UserError("Inception statistics of different protocols cannot be merged")
        entropy = self.negative_entropy + other.negative_entropy
        return type(self)(self.count + other.count, self.total + other.total, entropy, self.epsilon)

    def score(self) -> float:
        """The Inception Score of all samples, in [1, classes]."""
        marginal = self.total / self.count
        seen = marginal[marginal > 0]
        divergence = self.negative_entropy / self.count - float((seen * np.log(seen + self.epsilon)).sum())
        return float(np.exp(divergence))


def inception_score(
    logits: npt.ArrayLike, splits: int = 1, *, epsilon: float = 0.0, shuffle: int | None = None
) -> tuple[float, float]:
    """Mean and standard deviation (divided by n) of the Inception Score over ``splits`` parts.

    The score is biased upwards with the number of samples in a part: never compare unlike counts or splits.

    Args:
        logits: (n, classes), before the softmax.
        splits: parts of neighbouring samples, as equal as n allows.
        epsilon: added inside both logarithms (TGAN 1e-7, TGANv2 1e-20); 0 is the definition.
        shuffle: a seed of numpy's ``RandomState``, whose permutation orders the samples before the split, as
            public code does (StyleGAN-V 42, torch-fidelity 2020); None keeps the order.

    Raises:
        UserError: if the logits are not (n, classes) and finite, or there are more splits than samples.
    """
    rows = as_rows(logits, "logits")
    n = len(rows)
    if not 1 <= splits <= n:
        raise UserError(f"{n} samples cannot be split in {splits} parts")
    if shuffle is not None:
        rows = rows[np.random.RandomState(shuffle).permutation(n)]
    bounds = [i * n // splits for i in range(splits + 1)]
    parts = [rows[a:b] for a, b in itertools.pairwise(bounds)]
    scores = [ClassStatistics.of(part, epsilon).score() for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


R = TypeVar("R")


@dataclass(frozen=True)
class Confusion:
    """How often a clip of one class was taken for another; streams and merges."""

    counts: npt.NDArray[np.int64]
    """(classes, classes): [true, predicted]"""

    @classmethod
    def of(cls, logits: npt.ArrayLike, labels: npt.ArrayLike) -> Self:
        """Of ``logits`` (n, classes) and true ``labels`` (n,), 0 <= label < classes.

        Raises:
            UserError: if they do not fit together.
        """
        rows, truth = as_rows(logits, "logits"), np.asarray(labels)
        classes = rows.shape[1]
        if truth.shape != (len(rows),) or truth.min() < 0 or truth.max() >= classes:
            raise UserError(f"labels must be {len(rows)} numbers below {classes}, one per row of logits")
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (truth, rows.argmax(1)), 1)
        return cls(counts)

    def merge(self, other: "Confusion") -> Self:
        """These and the clips behind ``other``."""
        return type(self)(self.counts + other.counts)

    @property
    def accuracy(self) -> float:
        """The share of all clips that were recognised."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def by_class(self) -> Floats:
        """(classes,): the share recognised in each class; NaN for a class without clips."""
        total = self.counts.sum(1)
        return np.where(total > 0, np.diag(self.counts) / np.maximum(total, 1), np.nan)


def groups(rows: Numbers, labels: npt.ArrayLike) -> Iterator[tuple[int, Numbers]]:
    """``(label, its rows)`` for every label that occurs, in order."""
    values = np.asarray(labels)
    if len(values) != len(rows):
        raise UserError(f"{len(values)} labels do not fit {len(rows)} rows")
    for label in np.unique(values):
        yield int(label), rows[values == label]


def by_class(
    metric: Callable[[Numbers, Numbers], R],
    real: Numbers,
    real_labels: npt.ArrayLike,
    fake: Numbers,
    fake_labels: npt.ArrayLike,
) -> dict[int, R]:
    """``metric(real, fake)`` within each class that occurs on both sides (SSW-GAN, appendix G)."""
    fakes = dict(groups(fake, fake_labels))
    return {label: metric(rows, fakes[label]) for label, rows in groups(real, real_labels) if label in fakes}
