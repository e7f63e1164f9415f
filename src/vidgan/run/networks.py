"""From an experiment to its networks, with the weights that training starts from."""

import torch
from torch import nn

from vidgan.models.cascade import below_of
from vidgan.models.generator import Generator
from vidgan.models.joint import JointLevels
from vidgan.models.level import AdversarialLevel, Level
from vidgan.nn.layers import initialise, undrawn_weights
from vidgan.run.experiment import Experiment, require_experiment
from vidgan.seeds import derive, stream
from vidgan.spec import require


def build(
    experiment: Experiment, classes: int | None = None, level: int = 0, seed: int = 0
) -> tuple[Generator, nn.ModuleDict]:
    """A generator and its discriminators by name, as training starts from them with this seed.

    Both are plain modules: ``generator(z, label)`` is a video and ``discriminators[name](video, label)`` its scores.

    Args:
        classes: how many the data have; None: as many as the paper's. A class-free experiment has one.
        level: which level of a cascade, from 0.

    Raises:
        SpecError: if there is no such level.
    """
    require_experiment(experiment)
    count = len(experiment.levels)
    require(0 <= level < count, f"{experiment.name} has levels 0 to {count - 1}, not {level}")
    classes = classes if classes is not None and experiment.conditional else experiment.classes
    found = initial_level(experiment.replace(classes=classes), experiment.round_of(level), seed)
    if isinstance(found, JointLevels):
        found = found.levels[level]
    assert isinstance(found, Level)
    return found.generator, found.discriminators


def initial_level(experiment: Experiment, index: int, seed: int) -> AdversarialLevel:
    """The level that is trained in round ``index``, or all of them together, with weights drawn by ``seed``.

    On the meta device nothing is drawn, and a large model takes no time and no memory.
    """
    with torch.random.fork_rng(devices=[]), undrawn_weights():
        # For layers that are not vidgan's: those draw from torch's global generator.
        torch.default_generator.manual_seed(derive(seed, "weights of other layers", index))
        level = adversarial_level(experiment, index)
    if not next(level.parameters()).is_meta:
        initialise(level, experiment.training.initial, stream(seed, "weights", index))
    return level


def adversarial_level(experiment: Experiment, index: int) -> AdversarialLevel:
    """The level that is trained in round ``index``, or all of them together."""
    levels = experiment.levels
    if experiment.joint:
        return JointLevels(levels, experiment.classes)
    above = [*experiment.above, *(level.size for level in reversed(levels[index + 1 :]))]
    return Level(levels[index], experiment.classes, below_of(levels, index), above)
