"""How single values are read from the command line, and what help calls them."""

import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

Primitive = PrimitiveConstructorSpec[Any]

NONE: Final = "none"
"""what stands for None"""


def whole(text: str) -> int:
    """An integer; ``ValueError`` says that ``text`` is none."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def number(text: str) -> float:
    """A number; ``ValueError`` says that ``text`` is none."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


READERS: Final[dict[type, tuple[str, Callable[[str], Any]]]] = {
    int: ("INT", whole),
    float: ("FLOAT", number),
    str: ("STR", str),
    Path: ("PATH", Path),
}
"""Placeholder in help and function that reads a value, by type."""


def readers() -> ConstructorRegistry:
    """Rules for tyro: plain values, values that may be ``none``, and any number of names."""
    registry = ConstructorRegistry()
    for rule in (plain, optional, names):
        registry.primitive_rule(rule)
    return registry


def plain(info: PrimitiveTypeInfo) -> Primitive | None:
    """An integer or a number."""
    if info.type not in (int, float):
        return None
    metavar, read = READERS[info.type]
    return one_word(metavar, read, lambda value: str(value))


def optional(info: PrimitiveTypeInfo) -> Primitive | None:
    """A value or ``none``."""
    kinds = set(typing.get_args(info.type))
    if info.type_origin not in (typing.Union, types.UnionType) or type(None) not in kinds:
        return None
    rest = kinds - {type(None)}
    kind = next(iter(rest))
    if len(rest) != 1 or kind not in READERS:
        return None
    metavar, read = READERS[kind]
    return one_word(
        metavar,
        lambda text: None if text.lower() == NONE else read(text),
        lambda value: NONE if value is None else str(value),
    )


def names(info: PrimitiveTypeInfo) -> Primitive | None:
    """Any number of words."""
    if info.type != tuple[str, ...]:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME ...",
        instance_from_str=tuple,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=list,
    )


def one_word(metavar: str, read: Callable[[str], Any], show: Callable[[Any], str]) -> Primitive:
    """A value that is one word."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int | float | str | Path),
        str_from_instance=lambda value: [show(value)],
    )
