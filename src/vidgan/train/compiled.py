"""The networks of a training step as compiled graphs."""

import torch

from vidgan.models.level import AdversarialLevel
from vidgan.run.experiment import Experiment
from vidgan.run.graphs import compiled, require_compiler


def compile_passes(level: AdversarialLevel, *, shared: bool) -> None:
    """Let torch.compile make graphs of the passes of a step: of the generator, and of the discriminators' bodies.

    One is made for every shape of a micro-batch, with gradients and without. Weights, optimisers and checkpoints know
    nothing of it.

    Args:
        shared: batch statistics are summed over processes, which cuts the generator's passes into several graphs; all
            others raise where a pass is not one.
    """
    level.generate_fake = compiled(level.generate_fake, whole=not shared)  # type: ignore[method-assign]
    level.features = compiled(level.features, whole=True)  # type: ignore[method-assign]


def notice_of_compiling(experiment: Experiment, device: torch.device) -> str | None:
    """What to say where networks will be compiled; None where they will not.

    Raises:
        UserError: if there is no compiler for ``device``.
    """
    if not experiment.training.compile:
        return None
    require_compiler(device, "--training.compile")
    return "networks are compiled in the first steps, which takes minutes (--training.compile False: not)"
