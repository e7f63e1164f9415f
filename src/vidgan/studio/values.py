"""Values that a page sends: each is checked as if nobody had offered it."""

import math
from collections.abc import Sequence

from vidgan.errors import UserError, did_you_mean


def whole_in(name: str, value: object, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``; raises :class:`UserError` for anything else."""
    number = number_in(name, value, least, most)
    if not number.is_integer():
        raise UserError(f"{name} must be a whole number, got {value}")
    return int(number)


def number_in(name: str, value: object, least: float, most: float) -> float:
    """A number from ``least`` to ``most``; raises :class:`UserError` for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{name} must be a number, got {str(value)[:99]!r}")
    assert isinstance(value, int | float)
    if not least <= value <= most:
        raise UserError(f"{name} must be {least:,} to {most:,}")
    return float(value)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """One of ``choices``; raises :class:`UserError` for anything else."""
    if not isinstance(value, str) or value not in choices:
        text = str(value)[:99]
        raise UserError(f"{name}: there is no {text!r}{did_you_mean(text, list(choices))}")
    return value
