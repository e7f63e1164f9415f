"""Diversity class by class, which names collapsed ones, and interpolations that jump from mode to mode."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidgan.evaluate.batch import Videos
from vidgan.evaluate.metrics.alignment import Bytes, pair_distances, step_distances

COLLAPSED: Final = 0.25
"""a class whose samples are apart by less than this part of what real clips are has collapsed; as the watch has it"""
JUMP: Final = 5.0
"""largest step over the mean one from which on an interpolation jumps"""


class ClassDiversity(NamedTuple):
    """How far clips of a class are apart."""

    name: str
    fake: float
    """mean distance of two samples"""
    real: float
    """mean distance of two real clips"""

    @property
    def ratio(self) -> float:
        """1 where samples are as diverse as real clips."""
        return self.fake / self.real if self.real else np.inf

    @property
    def collapsed(self) -> bool:
        """One mode for the class (Du 2020, 4.3.2)."""
        return bool(self.ratio < COLLAPSED)


def diversity(
    names: Sequence[str],
    fake: Videos,
    fake_labels: NDArray[np.int64],
    real: Videos,
    real_labels: NDArray[np.int64],
) -> list[ClassDiversity]:
    """Classes with two clips or more on both sides, the least diverse first."""
    found = []
    for label, name in enumerate(names):
        sides = fake[fake_labels == label], real[real_labels == label]
        if min(map(len, sides)) >= 2:
            found.append(ClassDiversity(name, *(float(pair_distances(side).mean()) for side in sides)))
    return sorted(found, key=lambda each: each.ratio)


def jump(path: Bytes) -> float:
    """Largest step over the mean one on a path of clips (n T H W C); 1 where all are alike, n - 1 for a single jump.

    A model that remembers its clips shows abrupt jumps between highly distinct samples (Clark et al. 2019, B.2).
    """
    steps = step_distances(path)
    return float(steps.max() / steps.mean()) if steps.any() else 1.0
