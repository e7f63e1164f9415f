"""Everything a level needs to go on training exactly: networks, optimisers, average, step."""

import torch
from torch import Tensor

from vidgan.models.cascade import below_of
from vidgan.models.generator import Generator
from vidgan.models.joint import JointLevels
from vidgan.models.level import Game, Level
from vidgan.nn.initialise import initialise
from vidgan.run.checkpoints import load_optimiser_state, optimiser_state
from vidgan.run.experiment import AdamSpec, Experiment
from vidgan.sample.published import freshen
from vidgan.seeds import stream
from vidgan.train.average import WeightAverage
from vidgan.train.step import Optimisers


class LevelState:
    """A level in training, or all of them together. Levels count from 0 here and from 1 wherever people read."""

    def __init__(self, experiment: Experiment, index: int, device: torch.device) -> None:
        training = experiment.training
        self.index = index
        # On the meta device there is nothing to draw, and a large model takes no time and no memory.
        with torch.device("meta" if device.type == "meta" else "cpu"):
            self.level: Game = (
                JointLevels(experiment.levels, experiment.classes)
                if experiment.joint
                else level_of(experiment, index)
            )
        if device.type != "meta":
            initialise(self.level, training.initial, stream(training.seed, "weights", index))
        self.level.to(device)
        self.optimisers = Optimisers(
            adam(self.level.generator, training.adam, training.adam.generator_rate),
            adam(self.level.critics, training.adam, training.adam.critic_rate),
        )
        self.average = None
        if training.average is not None:
            self.average = WeightAverage(self.level.generator, training.average)
        self.step = 0

    def published(self, averaged: bool = True) -> tuple[Generator, ...]:
        """The generators that are trained here as sampling uses them, from the lowest level.

        Args:
            averaged: the average where there is one, else the raw weights.
        """
        raw = generators_in(self.level.generator)
        if self.average is None or not averaged:
            return raw
        return tuple(map(freshen, generators_in(self.average.module), raw))

    def tensors(self) -> dict[str, Tensor]:
        """All state as named tensors."""
        table = {f"level/{name}": t for name, t in self.level.state_dict().items()}
        if self.average is not None:
            table |= {f"average/{name}": t for name, t in self.average.module.state_dict().items()}
        generator, critics = self._names()
        table |= optimiser_state("adam/generator", self.optimisers.generator, generator)
        table |= optimiser_state("adam/critics", self.optimisers.critics, critics)
        return table

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Continue from :meth:`tensors` of a level with the same spec."""
        self.level.load_state_dict(part(tensors, "level/"))
        if self.average is not None:
            self.average.module.load_state_dict(part(tensors, "average/"))
        generator, critics = self._names()
        load_optimiser_state("adam/generator", self.optimisers.generator, generator, tensors)
        load_optimiser_state("adam/critics", self.optimisers.critics, critics, tensors)
        self.step = step

    def _names(self) -> tuple[list[str], list[str]]:
        generator = [name for name, _ in self.level.generator.named_parameters()]
        return generator, [name for name, _ in self.level.critics.named_parameters()]


def generators_in(module: torch.nn.Module) -> tuple[Generator, ...]:
    """A generator alone, or those of all levels."""
    found = module if isinstance(module, torch.nn.ModuleList) else [module]
    return tuple(generator for generator in found if isinstance(generator, Generator))


def level_of(experiment: Experiment, index: int) -> Level:
    """A level that is trained alone."""
    levels = experiment.levels
    above = [level.size for level in reversed(levels[index + 1 :])]
    return Level(levels[index], experiment.classes, below_of(levels, index), above)


def adam(module: torch.nn.Module, spec: AdamSpec, rate: float) -> torch.optim.Adam:
    """Adam over the parameters of ``module``."""
    parameters = list(module.parameters())
    # One pass over each weight instead of nine; there is none on the meta device.
    fused = not any(parameter.is_meta for parameter in parameters)
    betas = (spec.beta1, spec.beta2)
    return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=spec.epsilon, fused=fused)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under ``prefix``, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
