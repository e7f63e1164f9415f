"""The networks of a training step as compiled graphs."""

import torch

from vidgan.models.level import AdversarialLevel
from vidgan.run.experiment import Experiment
from vidgan.run.graphs import compiled, require_compiler


def compile_passes(level: AdversarialLevel, *, whole: bool) -> None:
    """Let torch.compile make graphs of the passes of a step: of the generator, and of the discriminators' bodies.

    One is made for every shape of a micro-batch, with gradients and without. Weights, optimisers and checkpoints know
    nothing of it.

    Args:
        whole: raise where a pass is not one graph; sums over processes cut it.
    """
    for name in ("generate_fake", "features"):
        setattr(level, name, compiled(getattr(level, name), whole=whole))


def notice_of_compiling(experiment: Experiment, device: torch.device) -> str | None:
    """What to say where networks will be compiled; None where they will not.

    Raises:
        UserError: if there is no compiler for ``device``.
    """
    if not experiment.training.compile:
        return None
    require_compiler(device, "--training.compile")
    return "networks are compiled in the first steps, which takes minutes (--training.compile False: not)"
