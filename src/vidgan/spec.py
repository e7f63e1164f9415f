"""Experiments are plain data: the base of every spec, and JSON both ways.

A spec is a frozen, keyword-only dataclass that stands beside the class it describes. Its JSON is an object of its
fields that carries the class name under ``"is"``. A field of an abstract class takes any subclass of it, a user's own
included, which JSON names ``file.py:Class``. Nothing is ever imported here: a class is known if it is part of vidgan
or was imported before.
"""

import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self, TypeVar, dataclass_transform

from vidgan.bounds import faults
from vidgan.errors import UserError, did_you_mean
from vidgan.user_code import PREFIX

TAG = "is"


class SpecError(UserError):
    """A value that a spec does not allow, an unknown field or an unknown class."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Spec:
    """Base of all specs. Subclasses become frozen, keyword-only dataclasses by being defined."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        for fault in faults(self):
            raise SpecError(fault)
        self.validate()

    def validate(self) -> None:
        """Raise :class:`SpecError` if the values do not fit together. Called on construction."""

    def replace(self, **changes: Any) -> Self:
        """A copy with ``changes``; raises :class:`SpecError` for an unknown field."""
        known = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        for name in changes:
            if name not in known:
                raise SpecError(f"{type(self).__name__} has no field {name!r}{did_you_mean(name, known)}")
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


S = TypeVar("S", bound=Spec)


def require(condition: bool, message: str) -> None:
    """Raise :class:`SpecError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise SpecError(message)


def to_json(value: Any) -> Any:
    """A spec (or a value inside one) as JSON data; every spec carries its class name."""
    if isinstance(value, Spec):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        return {TAG: tag_of(type(value))} | {f.name: to_json(getattr(value, f.name)) for f in fields}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return value


def tag_of(cls: type) -> str:
    """What JSON calls a spec class: its name; outside vidgan ``file.py:Class``."""
    if _of_vidgan(cls):
        return cls.__name__
    file = file_of(cls) or Path(f"{cls.__module__}.py")
    return f"{file.name}:{cls.__qualname__}"


def file_of(cls: type) -> Path | None:
    """The user's file that defines a class; None for a class of vidgan, and where there is no file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return None if file is None or _of_vidgan(cls) else Path(file)


def _of_vidgan(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "vidgan" and not cls.__module__.startswith(PREFIX)


def classes_in(value: Any) -> set[type[Spec]]:
    """The classes of a spec and of all specs inside it."""
    if isinstance(value, tuple):
        return set().union(*map(classes_in, value))
    if not isinstance(value, Spec):
        return set()
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    return {type(value)}.union(*(classes_in(getattr(value, field.name)) for field in fields))


def concrete(kind: type[S]) -> dict[str, type[S]]:
    """The classes that a field of class ``kind`` takes, by what JSON calls them; of two with one name the later."""
    found: dict[str, type[S]] = {} if inspect.isabstract(kind) else {tag_of(kind): kind}
    for child in kind.__subclasses__():
        found |= concrete(child)
    return found


def from_json(cls: type[S], data: Any) -> S:
    """The spec of class ``cls`` that ``data`` describes.

    Raises:
        SpecError: for an unknown or missing field, an unknown class or a value of the wrong type; the
            message names the place and the nearest name.
    """
    try:
        return typing.cast(S, _parse(cls, data, cls.__name__))
    except RecursionError:
        raise SpecError(f"{cls.__name__}: it is nested too deeply") from None


def differences(old: Any, new: Any, place: str = "", whole: bool = True) -> Iterator[str]:
    """Lines ``place: old -> new`` for every value in which two JSON trees of specs differ.

    Args:
        whole: of a spec that the other tree lacks and that holds others, say all its values, not its class alone.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old | new:
            inner = f"{place}.{key}" if place else key
            yield from differences(old.get(key), new.get(key), inner, whole)
    elif isinstance(old, list) and isinstance(new, list) and (len(old) == len(new) or _all_specs(old + new)):
        for index, (a, b) in enumerate(zip_longest(old, new)):
            yield from differences(a, b, f"{place}.{index}", whole)
    elif old != new:
        yield f"{place}: {_brief(old, whole)} -> {_brief(new, whole)}"


def _all_specs(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _holds_spec(values: list[Any]) -> bool:
    return any(isinstance(each, dict) or (isinstance(each, list) and _holds_spec(each)) for each in values)


def _brief(value: Any, whole: bool) -> str:
    if isinstance(value, dict) and TAG in value and not whole and _holds_spec(list(value.values())):
        return str(value[TAG])
    if isinstance(value, dict):
        inside = ", ".join(f"{key}={_brief(each, whole)}" for key, each in value.items() if key != TAG)
        return f"{value[TAG]}({inside})" if TAG in value else f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(_brief(each, whole) for each in value)}]"
    return str(value)


def _parse(kind: Any, data: Any, place: str) -> Any:
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(choices, data, place)
    if origin is tuple:
        require(isinstance(data, list), f"{place}: expected a list, got {data!r}")
        kinds = [choices[0]] * len(data) if choices[-1] is Ellipsis else list(choices)
        require(len(kinds) == len(data), f"{place}: expected {len(kinds)} values, got {len(data)}")
        return tuple(_parse(k, d, f"{place}.{i}") for i, (k, d) in enumerate(zip(kinds, data, strict=True)))
    if isinstance(kind, type) and issubclass(kind, Spec):
        return _parse_spec([kind], data, place)
    if kind is float and type(data) is int:
        return float(data)
    require(type(data) is kind, f"{place}: expected {getattr(kind, '__name__', kind)}, got {data!r}")
    return data


def _parse_union(choices: tuple[Any, ...], data: Any, place: str) -> Any:
    if data is None and type(None) in choices:
        return None
    specs = [c for c in choices if isinstance(c, type) and issubclass(c, Spec)]
    if isinstance(data, dict):
        return _parse_spec(specs, data, place)
    plain = [c for c in choices if c is not type(None) and c not in specs]
    require(len(plain) == 1, f"{place}: {data!r} fits none of {choices}")
    return _parse(plain[0], data, place)


def _parse_spec(kinds: list[type[Spec]], data: Any, place: str) -> Spec:
    require(isinstance(data, dict), f"{place}: expected an object, got {data!r}")
    known = {name: cls for kind in kinds for name, cls in concrete(kind).items()}
    tag = data.get(TAG, next(iter(known)) if len(known) == 1 else None)
    require(tag is None or isinstance(tag, str), f"{place}: {TAG!r} names a class, got {tag!r}")
    if tag not in known:
        file, of_a_file, _ = str(tag).rpartition(":")
        if of_a_file and not any(name.startswith(f"{file}:") for name in known):
            raise SpecError(
                f"{place}: the class {tag!r} is not part of vidgan: name its file by --code {file} (code= in Python)"
            )
        hint = did_you_mean(str(tag), list(known))
        raise SpecError(f"{place}: {tag!r} is none of {', '.join(known)}{hint}")
    cls = known[tag]
    hints = typing.get_type_hints(cls)
    for name in data:
        is_field = name == TAG or name in hints
        require(is_field, f"{place}: {cls.__name__} has no field {name!r}{did_you_mean(name, list(hints))}")
    values = {name: _parse(hints[name], data[name], f"{place}.{name}") for name in data if name != TAG}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        optional = field.default is not dataclasses.MISSING or (
            field.default_factory is not dataclasses.MISSING
        )
        require(field.name in values or optional, f"{place}: the field {field.name!r} is missing")
    return cls(**values)
