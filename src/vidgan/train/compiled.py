"""The networks of a training step as compiled graphs."""

import inspect
import os
import shutil
from typing import Any, Final

import torch

from vidgan.errors import UserError
from vidgan.models.level import AdversarialLevel
from vidgan.run.experiment import Experiment

APART: Final = "isolate_recompiles"
"""torch 2.13 and later: each function that is compiled counts its own graphs. Before, those of one method count
together, of all levels and runs of a process, and beyond torch's limit of 8 the next is an error."""


def compile_passes(level: AdversarialLevel, *, whole: bool) -> None:
    """Let torch.compile make graphs of the passes of a step: of the generator, and of the discriminators' bodies.

    One is made for every shape of a micro-batch, with gradients and without. Weights, optimisers and checkpoints know
    nothing of it.

    Args:
        whole: raise where a pass is not one graph; sums over processes cut it.
    """
    apart: dict[str, Any] = {APART: True} if APART in inspect.signature(torch.compile).parameters else {}
    for name in ("generate_fake", "features"):
        setattr(level, name, torch.compile(getattr(level, name), fullgraph=whole, dynamic=False, **apart))


def notice_of_compiling(experiment: Experiment, device: torch.device) -> str | None:
    """What to say where networks will be compiled; None where they will not.

    Raises:
        UserError: if there is no compiler for ``device``.
    """
    if not experiment.training.compile:
        return None
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, [named] if named else ["g++", "clang++", "c++"])):
        raise UserError(
            "--training.compile needs a C++ compiler on a CPU, and there is none: install g++, or leave the option out"
        )
    return "networks are compiled in the first steps, which takes minutes (--training.compile False: not)"
