"""Operators on the meta device, asked once for each kind of input.

What a model takes is counted on tensors without content, whose operators only tell shapes. Torch writes most of them in
Python, in hundreds of microseconds each, and a step of a large model has tens of thousands, most of them on shapes that
came before.
"""

import functools
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from vidgan.nn.recurrent.unit import every_step_anew


class Result(NamedTuple):
    """A tensor that an operator makes."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def made(self) -> Tensor:
        """Such a tensor."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")


Results = Result | tuple["Results | None", ...] | list["Results | None"]
_KNOWN: dict[Hashable, Results] = {}


class KnownShapes(TorchDispatchMode):
    """While it holds, operators on the meta device are asked by :func:`call`."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return call(func, args, kwargs or {})


@contextmanager
def operations() -> Iterator[FlopCounterMode]:
    """While it holds, counts the operations of convolutions and matrix products, as the papers' layers do them."""
    with every_step_anew(), KnownShapes(), FlopCounterMode(display=False) as counter:
        yield counter


def call(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``func(*args, **kwargs)``, where ``func`` is an operator; what is known of its results is made without it.

    An operator that changes its input or shows it in another shape is always called, as is one on another device.
    """
    given = tensors_in((*args, *kwargs.values()))
    if changes_or_shows(func) or not any(tensor.is_meta for tensor in given):
        return func(*args, **kwargs)
    key = (func, kind_of(args), kind_of(tuple(kwargs.items())))
    try:
        found = _KNOWN.get(key)
    except TypeError:  # an argument that cannot be compared
        return func(*args, **kwargs)
    if found is not None:
        return made_of(found)
    result = func(*args, **kwargs)
    made, theirs = tensors_in((result,)), {tensor.untyped_storage()._cdata for tensor in given}
    if made and all(tensor.is_meta and tensor.untyped_storage()._cdata not in theirs for tensor in made):
        _KNOWN[key] = results_of(result)
    return result


@functools.cache
def changes_or_shows(func: Any) -> bool:
    """Whether an operator changes its input, or what it makes is a view of it."""
    return any(each.alias_info is not None for each in (*func._schema.arguments, *func._schema.returns))


def kind_of(value: Any) -> Hashable:
    """All of an argument that the shapes of results may depend on; numbers differ by their types too."""
    if isinstance(value, Tensor):
        return (value.device, value.shape, value.stride(), value.dtype)
    if isinstance(value, tuple | list):
        return (type(value), tuple(kind_of(each) for each in value))
    return (type(value), value)


def tensors_in(values: Any) -> list[Tensor]:
    """The tensors among an operator's arguments or results, lists of them included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found


def results_of(made: Any) -> Results:
    """What to remember of an operator's result."""
    if isinstance(made, Tensor):
        return Result(tuple(made.shape), made.stride(), made.dtype)
    return type(made)(None if each is None else results_of(each) for each in made)


def made_of(known: Results) -> Any:
    """A result such as the one that is remembered."""
    if isinstance(known, Result):
        return known.made()
    return type(known)(None if each is None else made_of(each) for each in known)
