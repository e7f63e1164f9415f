"""Ranges of numbers, declared where a field is: ``width: Length = 128``. Specs check them when they are made."""

import functools
import math
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, TypeAlias


class Bounds(NamedTuple):
    """What a number may be, both ends included unless they are said to be open."""

    least: float
    most: float = math.inf
    open_least: bool = False
    open_most: bool = False

    def fault(self, value: Any) -> str | None:
        """What is wrong with ``value``, in words after its name; None where it is right."""
        if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
            return f"must be a finite number, got {value}"
        if value < self.least or (self.open_least and value == self.least):
            return f"must be {'above' if self.open_least else 'at least'} {self.least:g}, got {value}"
        if value > self.most or (self.open_most and value == self.most):
            return f"must be {'below' if self.open_most else 'at most'} {self.most:.10g}, got {value}"
        return None


MOST_STEPS = 10**8 - 1
"""of what is counted: a checkpoint's name has eight digits for its step"""

Count: TypeAlias = Annotated[int, Bounds(1, MOST_STEPS)]
"""steps, clips, times: one or more"""
Number: TypeAlias = Annotated[int, Bounds(0, MOST_STEPS)]
"""the same, or none"""
Length: TypeAlias = Annotated[int, Bounds(1, 2**16)]
"""pixels, frames, channels; what is larger would never fit into memory"""
LengthOrNone: TypeAlias = Annotated[int, Bounds(0, 2**16)]
"""the same, or 0"""
Seed: TypeAlias = Annotated[int, Bounds(-(2**63), 2**63 - 1)]
Real: TypeAlias = Annotated[float, Bounds(-math.inf)]
"""finite"""
Positive: TypeAlias = Annotated[float, Bounds(0, open_least=True)]
NotNegative: TypeAlias = Annotated[float, Bounds(0)]
PartBelowOne: TypeAlias = Annotated[float, Bounds(0, 1, open_most=True)]
"""a decay"""
PositivePart: TypeAlias = Annotated[float, Bounds(0, 1, open_least=True)]
"""a share of something"""


def faults(value: Any) -> Iterator[str]:
    """What is wrong with the numbers of a dataclass, one line each, by the bounds that its fields declare."""
    for name, hint in declared(type(value)):  # type: ignore[arg-type]
        yield from (f"{name} {fault}" for fault in _faults(hint, getattr(value, name)))


@functools.cache
def declared(kind: type) -> tuple[tuple[str, Any], ...]:
    """The fields of a class that have bounds somewhere in their types; none where its types cannot be told."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):  # a class that is made in a function, of types that only this knows
        return ()
    return tuple((name, hint) for name, hint in hints.items() if _has_bounds(hint))


def _has_bounds(hint: Any) -> bool:
    if typing.get_origin(hint) is Annotated:
        return any(isinstance(each, Bounds) for each in hint.__metadata__) or _has_bounds(hint.__origin__)
    return any(_has_bounds(each) for each in typing.get_args(hint))


def _faults(hint: Any, value: Any) -> Iterator[str]:
    if value is None:  # where None may not stand, its type says so
        return
    if typing.get_origin(hint) is Annotated:
        for each in hint.__metadata__:
            if isinstance(each, Bounds) and (fault := each.fault(value)) is not None:
                yield fault
        hint = hint.__origin__
    inner = [each for each in typing.get_args(hint) if _has_bounds(each)]
    for each in inner[:1]:
        for item in value if isinstance(value, tuple) else [value]:
            yield from _faults(each, item)
