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
together, of all networks of a process, so that torch's limit of 8 is raised there."""
LIMIT: Final = "recompile_limit"
TOGETHER: Final = 256
"""graphs of one method before torch 2.13: as many as it allows of all functions"""


def compiled(function: Callable[P, R], *, whole: bool, graphs: int | None = None) -> Callable[P, R]:
    """``function`` as graphs, one for every shape of its arguments, with gradients and without.

    Args:
        whole: raise where it is not one graph.
        graphs: how many shapes there may be; None: as many as torch allows, beyond which the next is an error. Before
            torch 2.13 the number is not heeded: :data:`TOGETHER` is, which raises torch's limit for all of the process.
    """
    known = inspect.signature(torch.compile).parameters
    if APART not in known:
        from torch._dynamo import config  # takes a second

        config.recompile_limit = max(config.recompile_limit, TOGETHER)
    apart: dict[str, Any] = {name: value for name, value in ((APART, True), (LIMIT, graphs)) if name in known}
    made: Callable[P, R] = torch.compile(function, fullgraph=whole, dynamic=False, **apart)
    return made


def require_compiler(device: torch.device, option: str) -> None:
    """Raise :class:`UserError` where there is no compiler for ``device``, which ``option`` asks for."""
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, [named] if named else ["g++", "clang++", "c++"])):
        raise UserError(
            f"{option} needs a C++ compiler on a CPU, and there is none: install g++, or leave the option out"
        )
