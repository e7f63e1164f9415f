"""The networks of a training step as compiled graphs."""

import os
import shutil

import torch

from vidgan.errors import UserError
from vidgan.models.level import AdversarialLevel
from vidgan.run.experiment import Experiment


def compile_passes(level: AdversarialLevel, *, whole: bool) -> None:
    """Let torch.compile make graphs of the passes of a step: of the generator, and of the discriminators' bodies.

    One is made for every shape of a micro-batch, with gradients and without. Weights, optimisers and checkpoints know
    nothing of it.

    Args:
        whole: raise where a pass is not one graph; sums over processes cut it.
    """
    for name in ("generate_fake", "features"):
        setattr(level, name, torch.compile(getattr(level, name), fullgraph=whole, dynamic=False))


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
