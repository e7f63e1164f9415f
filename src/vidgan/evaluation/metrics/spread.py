"""How far numbers spread: interquartile ranges, on a line and on a circle."""

import numpy as np
import numpy.typing as npt

from vidgan.evaluation.metrics.features import Floats, as_rows


def interquartile_range(values: npt.ArrayLike) -> float:
    """Third quartile of ``values`` (n,) minus the first, quartiles interpolated linearly.

    Examples:
        >>> interquartile_range([0, 1, 2, 3, 10])
        2.0

    Raises:
        UserError: without values, or if they are not all finite.
    """
    low, high = np.quantile(_column(values), [0.25, 0.75])
    return float(high - low)


def circular_interquartile_range(turns: npt.ArrayLike) -> float:
    """The same of angles (n,), in turns: of their differences from the circular median, each in [-1/2, 1/2).

    The circular median is that one of the angles from which the mean of the distances along the circle is least
    (Fisher 1993, 2.3.2). Angles that go all around have 1/2, as numbers spread evenly over a line of length 1 do.

    Examples:
        >>> round(circular_interquartile_range([0.9, 0.95, 0.0, 0.05, 0.1]), 6)
        0.1

    Raises:
        UserError: as :func:`interquartile_range`.
    """
    angles = _column(turns)
    apart = np.abs(_wrapped(angles[:, None] - angles)).mean(1)
    return interquartile_range(_wrapped(angles - angles[apart.argmin()]))


def _wrapped(turns: Floats) -> Floats:
    return (turns + 0.5) % 1 - 0.5


def _column(values: npt.ArrayLike) -> Floats:
    return as_rows(np.asarray(values)[:, None], "values")[:, 0]
