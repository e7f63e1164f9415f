"""torch.compile as training and sampling use it: a graph for each shape, each function's counted apart."""

import inspect
import os
import shutil
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import torch

from vidgan.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

APART: Final = "isolate_recompiles"
"""torch 2.13 and later: each function that is compiled counts its own graphs. Before, those of one method count
together, of all networks of a process, and beyond torch's limit of 8 the next is an error."""


def compiled(function: Callable[P, R], *, whole: bool) -> Callable[P, R]:
    """``function`` as graphs, one for every shape of its arguments, with gradients and without.

    Args:
        whole: raise where it is not one graph.
    """
    apart: dict[str, Any] = {APART: True} if APART in inspect.signature(torch.compile).parameters else {}
    graphs: Callable[P, R] = torch.compile(function, fullgraph=whole, dynamic=False, **apart)
    return graphs


def require_compiler(device: torch.device, option: str) -> None:
    """Raise :class:`UserError` where there is no compiler for ``device``, which ``option`` asks for."""
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, [named] if named else ["g++", "clang++", "c++"])):
        raise UserError(
            f"{option} needs a C++ compiler on a CPU, and there is none: install g++, or leave the option out"
        )
