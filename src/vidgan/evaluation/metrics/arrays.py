"""Checks and types that the metrics share."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vidgan.errors import UserError

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any]


def as_rows(features: npt.ArrayLike, what: str, least: int = 1) -> Floats:
    """``features`` as float64 (n, d).

    Raises:
        UserError: if they are not (n, d), hold fewer than ``least`` rows, or are not all finite.
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2:
        raise UserError(f"{what} must be an array (n, d), not {rows.shape}")
    if len(rows) < least:
        raise UserError(f"{what} has {len(rows)} rows; at least {least} are needed")
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
        raise UserError(f"{what} holds a number that is not finite (first in row {bad})")
    return rows


def check_same_width(a: Floats, b: Floats) -> None:
    """Raise :class:`UserError` unless ``a`` (n, d) and ``b`` (m, d) have one d."""
    if a.shape[1] != b.shape[1]:
        raise UserError(f"features of {a.shape[1]} and of {b.shape[1]} dimensions cannot be compared")


def as_unit_frames(frames: Numbers) -> Floats:
    """Frames as float64 in [0, 1]: uint8 is divided by 255, floats must be in [0, 1] already.

    Raises:
        UserError: for another type or range.
    """
    if frames.dtype == np.uint8:
        return frames / 255.0
    if not np.issubdtype(frames.dtype, np.floating):
        raise UserError(f"frames must be uint8 or floats in [0, 1], not {frames.dtype}")
    if frames.size and not (frames.min() >= 0 and frames.max() <= 1):
        raise UserError(f"float frames must be in [0, 1], not [{frames.min():g}, {frames.max():g}]")
    return frames.astype(np.float64)
