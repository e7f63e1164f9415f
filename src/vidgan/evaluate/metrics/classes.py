"""Scores by class: accuracy under any classifier, and any metric within each class."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, Numbers, as_rows

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
