"""The forms of what is read from JSON: which fields an object has, and of what type. For what is no spec."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, NamedTuple, TypeAlias

LARGEST: Final = 2**63
"""whole numbers beyond it are none that a run counts"""
LARGEST_FLOAT: Final = 1e300
"""numbers beyond it cannot be drawn: differences of two would overflow"""


class Fields(NamedTuple):
    """The form of an object; it may have other fields too."""

    needed: Mapping[str, "Form"] = {}
    known: Mapping[str, "Form"] = {}
    """fields that may be missing"""
    null: bool = False
    """whether null may stand in its place"""


class Table(NamedTuple):
    """The form of an object with names of any kind."""

    values: "Form"


Form: TypeAlias = tuple[type, ...] | range | Fields | Table | list["Form"]
"""What a value may be: of one of these types, a whole number in a range, an object with these fields or such values, or
a list of such values."""

WHOLE: Final = (int,)
COUNT: Final = range(1, LARGEST)
TEXT: Final = (str,)
NUMBER: Final = (int, float)
MAYBE: Final = (int, float, NoneType)
"""a number, or null where it was not finite"""


def fits(value: Any, form: Form) -> bool:
    """Whether ``value`` has this form."""
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if isinstance(form, Table):
        return isinstance(value, dict) and all(fits(item, form.values) for item in value.values())
    if isinstance(form, Fields):
        if not isinstance(value, dict):
            return form.null and value is None
        there = {name: each for name, each in form.known.items() if name in value}
        return form.needed.keys() <= value.keys() and all(
            fits(value[name], each) for name, each in {**form.needed, **there}.items()
        )
    if isinstance(form, range):
        return type(value) is int and value in form
    if type(value) in NUMBER and not abs(value) < (LARGEST if type(value) is int else LARGEST_FLOAT):
        return False
    return type(value) in form
