"""Nearest neighbours of samples among training clips: does a model only remember?"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError
from vidgan.evaluate.metrics.arrays import Floats, Numbers, as_rows, check_same_width

Indices = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """The nearest rows, nearest first."""

    nearest: Indices
    """(n, k), rows of the bank"""
    distance: Floats
    """(n, k), Euclidean"""


def nearest(queries: npt.ArrayLike, bank: npt.ArrayLike, k: int = 1, chunk: int = 256) -> Neighbours:
    """The ``k`` rows of ``bank`` (m, d) closest to each row of ``queries`` (n, d);
    ties go to the lower index.

    Args:
        chunk: queries handled at once; bounds memory, changes nothing else.

    Raises:
        UserError: if the shapes do not fit or the bank has fewer than ``k`` rows.
    """
    a, b = as_rows(queries, "queries"), as_rows(bank, "the bank", least=k)
    check_same_width(a, b)
    found = [_nearest(a[i : i + chunk], b, k) for i in range(0, len(a), chunk)]
    return Neighbours(np.concatenate([f.nearest for f in found]), np.concatenate([f.distance for f in found]))


def nearest_clips(
    samples: Numbers, sample_labels: npt.ArrayLike, real: Numbers, real_labels: npt.ArrayLike, k: int = 1
) -> Neighbours:
    """Nearest real clips of each sample's own class, in pixels over the whole clip (Du 2020, 4.3.1).

    Our choice: L2 between uint8 values, the clips aligned at their first frames; the thesis does not say.
    Exact for uint8.

    Args:
        samples: uint8 (n T H W C).
        real: uint8 (m T H W C).

    Returns:
        Indices into ``real``, and distances.

    Raises:
        UserError: if the clips differ in shape or a class has fewer than ``k`` real clips.
    """
    if samples.shape[1:] != real.shape[1:]:
        raise UserError(f"samples {samples.shape[1:]} and real clips {real.shape[1:]} must have one shape")
    a, b = np.asarray(sample_labels), np.asarray(real_labels)
    index = np.empty((len(samples), k), np.int64)
    distance = np.empty((len(samples), k))
    for label in np.unique(a):
        rows, bank = np.flatnonzero(a == label), np.flatnonzero(b == label)
        if len(bank) < k:
            raise UserError(f"class {label} has {len(bank)} real clips; {k} neighbours need as many")
        queries, clips = samples[rows].reshape(len(rows), -1), real[bank].reshape(len(bank), -1)
        found = nearest(queries, clips, k)
        index[rows], distance[rows] = bank[found.nearest], found.distance
    return Neighbours(index, distance)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """|a_i - b_j|^2, (n, m); exact for integers below 2^53, never negative."""
    square = (a * a).sum(1)[:, None] - 2 * (a @ b.T) + (b * b).sum(1)[None]
    distances: Floats = np.maximum(square, 0.0)
    return distances


def _nearest(a: Floats, b: Floats, k: int) -> Neighbours:
    square = squared_distances(a, b)
    index = np.argsort(square, axis=1, kind="stable")[:, :k]
    return Neighbours(index, np.sqrt(np.take_along_axis(square, index, axis=1)))
