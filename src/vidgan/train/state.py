"""A level in training: its networks, optimisers and average, and all state that resuming needs."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vidgan.models.generator import Generator
from vidgan.nn.layers import fold_resizing
from vidgan.nn.norm import BatchStatistics, Statistics
from vidgan.run.batch import BatchSpec
from vidgan.run.checkpoints import load_optimiser_state, optimiser_state
from vidgan.run.distributed import Replicas
from vidgan.run.ema import WeightAverage, refresh_spectral_norm
from vidgan.run.experiment import AdamSpec, Experiment
from vidgan.run.networks import initial_level
from vidgan.tensor_file import load_weights, part
from vidgan.train.compiled import compile_passes
from vidgan.train.gradients import GradientSum
from vidgan.train.levels_below import BelowSource


class Optimisers(NamedTuple):
    """Adam for each side."""

    generator: torch.optim.Optimizer
    discriminators: torch.optim.Optimizer


class GradientSums(NamedTuple):
    """How losses reach the weights of each side."""

    generator: GradientSum
    discriminators: GradientSum


class TrainState:
    """A level in training, or all of them together. Levels count from 0 here and from 1 wherever people read.

    Args:
        replicas: the processes that share every batch.
        below: makes the lower level's videos; None on the first level.

    Attributes:
        level: generator and discriminators.
        average: the generator's averaged weights; None where the experiment has none.
        statistics: where normalisation gets its moments from.
        steps: updates of the generator so far.
    """

    def __init__(
        self,
        experiment: Experiment,
        index: int,
        device: torch.device,
        replicas: Replicas = Replicas(),
        below: BelowSource | None = None,
    ) -> None:
        spec = experiment.training
        self.experiment, self.index, self.device = experiment, index, device
        self.replicas, self.below = replicas, below
        with torch.device("meta" if device.type == "meta" else "cpu"):
            self.level = initial_level(experiment, index, spec.seed)
        self.level.to(device)
        fold_resizing(self.level, spec.folded)
        self.optimisers = Optimisers(
            adam(self.level.generator, spec.adam, spec.adam.generator_rate),
            adam(self.level.discriminators, spec.adam, spec.adam.discriminator_rate),
        )
        self.gradients = GradientSums(
            GradientSum(self.level.generator, replicas), GradientSum(self.level.discriminators, replicas)
        )
        self.average = None if spec.average is None else WeightAverage(self.level.generator, spec.average)
        self.statistics: Statistics = BatchStatistics(replicas.group if spec.batch.sync_batch_norm else None)
        if spec.compile and device.type != "meta":
            compile_passes(self.level, shared=spec.batch.sync_batch_norm and replicas.group is not None)
        self.dtype = spec.dtype
        self.steps = 0

    @property
    def lower_generators(self) -> tuple[nn.Module, ...]:
        """Frozen ones, that feed this level."""
        return () if self.below is None else self.below.generators

    @property
    def batch(self) -> BatchSpec:
        """How its batches are put together."""
        return self.experiment.batch_of(self.index)

    @property
    def clips(self) -> int:
        """Real clips that the discriminators have seen."""
        return self.steps * self.experiment.training.discriminator_updates * self.batch.global_batch

    def set_rates(self) -> None:
        """Give Adam the learning rates of the next update."""
        spec, last = self.experiment.training.adam, self.experiment.steps_of(self.index)
        part = spec.part_at(self.steps, last)
        for optimiser, rate in zip(
            self.optimisers, (spec.generator_rate, spec.discriminator_rate), strict=True
        ):
            for group in optimiser.param_groups:
                group["lr"] = part * rate

    def generators(self, averaged: bool = True) -> tuple[Generator, ...]:
        """The generators that are trained here as sampling uses them, from the lowest level; not copies.

        Args:
            averaged: the average where there is one, else the raw weights.
        """
        raw = generators_in(self.level.generator)
        if self.average is None or not averaged:
            return raw
        return tuple(map(refresh_spectral_norm, generators_in(self.average.module), raw))

    def copied_generators(self) -> tuple[Generator, ...]:
        """Copies of what :meth:`generators` gives, which leave all state as it is."""
        raw = generators_in(self.level.generator)
        if self.average is None:
            return tuple(map(copy.deepcopy, raw))
        return tuple(map(refresh_spectral_norm, generators_in(copy.deepcopy(self.average.module)), raw))

    def networks(self) -> dict[str, Tensor]:
        """All weights and buffers, and the average's, as named tensors."""
        table = {f"level/{name}": t for name, t in self.level.state_dict().items()}
        if self.average is not None:
            table |= {f"average/{name}": t for name, t in self.average.module.state_dict().items()}
        return table

    def tensors(self) -> dict[str, Tensor]:
        """All state as named tensors."""
        table = self.networks()
        generator, discriminators = self._names()
        table |= optimiser_state("adam/generator", self.optimisers.generator, generator)
        table |= optimiser_state("adam/discriminators", self.optimisers.discriminators, discriminators)
        return table

    def restore(self, tensors: dict[str, Tensor], steps: int) -> None:
        """Continue from :meth:`tensors` of a level with the same spec; :class:`UserError` for those of another."""
        said = f"the checkpoint of level {self.index + 1}"
        load_weights(self.level, part(tensors, "level/"), said)
        if self.average is not None:
            load_weights(self.average.module, part(tensors, "average/"), said)
        generator, discriminators = self._names()
        load_optimiser_state("adam/generator", self.optimisers.generator, generator, tensors)
        load_optimiser_state("adam/discriminators", self.optimisers.discriminators, discriminators, tensors)
        self.steps = steps

    def _names(self) -> tuple[list[str], list[str]]:
        generator = [name for name, _ in self.level.generator.named_parameters()]
        return generator, [name for name, _ in self.level.discriminators.named_parameters()]


def generators_in(module: nn.Module) -> tuple[Generator, ...]:
    """A generator alone, or those of all levels."""
    found = module if isinstance(module, nn.ModuleList) else [module]
    return tuple(generator for generator in found if isinstance(generator, Generator))


def adam(module: nn.Module, spec: AdamSpec, rate: float) -> torch.optim.Adam:
    """Adam over the parameters of ``module``."""
    parameters = list(module.parameters())
    # One pass over each weight instead of nine; there is none on the meta device.
    fused = not any(parameter.is_meta for parameter in parameters)
    betas = (spec.beta1, spec.beta2)
    return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=spec.epsilon, fused=fused)
