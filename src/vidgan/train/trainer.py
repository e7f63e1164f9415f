"""A level in training: what a step works on, the step itself, the average, and all state that resuming needs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidgan.models.cascade import FrozenLevel, by_label, sample_window
from vidgan.models.generator import Below, Generator
from vidgan.models.level import AdversarialLevel, LevelSpec
from vidgan.models.losses import ClassMarginSpec, orthogonal_penalty
from vidgan.models.views import DiscriminatorInput
from vidgan.nn.layers import power_iterate
from vidgan.nn.norm import Statistics
from vidgan.run.checkpoints import load_optimiser_state, optimiser_state
from vidgan.run.distributed import Replicas, trainable
from vidgan.run.ema import WeightAverage, refresh_spectral_norm
from vidgan.run.experiment import AdamSpec, Experiment, TrainingSpec
from vidgan.run.networks import initial_level
from vidgan.seeds import stream
from vidgan.train.monitor import Monitor

Draws = dict[str, Tensor]
"""Each discriminator's random numbers."""


class MicroBatch(NamedTuple):
    """What one forward and backward pass works on: a micro-batch and all that was drawn for it."""

    real: DiscriminatorInput
    z: Tensor
    """(B, latent)"""
    below: Callable[[], Tensor | None]
    """makes the lower level's video (B T' 3 h w) for the fake clips"""
    real_draws: Draws
    fake_draws: Draws


class Optimisers(NamedTuple):
    """Adam for each side."""

    generator: torch.optim.Optimizer
    discriminators: torch.optim.Optimizer


Scalars = dict[str, Tensor]
"""Numbers to log, still on the device."""


def training_step(
    level: AdversarialLevel,
    optimisers: Optimisers,
    spec: TrainingSpec,
    step: int,
    discriminator_batches: Sequence[Sequence[MicroBatch]],
    generator_batch: Sequence[MicroBatch],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """All updates of one step.

    Args:
        step: updates of the generator before this one.
        discriminator_batches: the micro-batches of each discriminator update.
        generator_batch: the micro-batches of the generator's update.
        statistics: batch statistics over this replica's group.
        monitor: looks on, where the step is watched.
    """
    scalars: Scalars = {}
    for batch in discriminator_batches:
        scalars |= update_discriminators(level, optimisers, spec, batch, statistics, replicas, monitor)
    return scalars | update_generator(
        level, optimisers, spec, step, generator_batch, statistics, replicas, monitor
    )


def update_discriminators(
    level: AdversarialLevel,
    optimisers: Optimisers,
    spec: TrainingSpec,
    batch: Sequence[MicroBatch],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """min over D of E[relu(1 - D(x))] + E[relu(1 + D(G(z)))] (Clark et al. 2019, 2.2), for all discriminators."""
    dtype = torch.bfloat16 if spec.bf16 else None
    trainable(level.discriminators.values(), True)
    optimisers.discriminators.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    for micro in batch:
        with torch.no_grad():
            fake = level.generate_fake(micro.real, micro.z, micro.below(), statistics, dtype)
        seen = level.features([micro.real, fake], [micro.real_draws, micro.fake_draws], dtype)
        on_real, on_fake = (level.score(h, micro.real.label) for h in seen)
        loss = level.spec.objective.discriminator_loss(on_real, on_fake)
        scalars = {"loss/discriminators": loss} | discriminator_scalars(level, on_real, on_fake)
        if spec.class_margin is not None:
            short = class_loss(level, spec.class_margin, seen[0], micro.real.label)
            loss, scalars["loss/class_margin"] = loss + spec.class_margin.weight * short, short
        (loss / len(batch)).backward()
        logged.append(scalars)
        if monitor is not None:
            monitor.discriminators(level, micro.real, fake, on_real, on_fake)
    replicas.average_gradients(level.discriminators)
    if monitor is not None:
        monitor.gradients(dict(level.discriminators.items()))
    optimisers.discriminators.step()
    power_iterate(level.discriminators)
    return mean_scalars(logged)


def update_generator(
    level: AdversarialLevel,
    optimisers: Optimisers,
    spec: TrainingSpec,
    step: int,
    batch: Sequence[MicroBatch],
    statistics: Statistics,
    replicas: Replicas,
    monitor: Monitor | None = None,
) -> Scalars:
    """max over G of E[D(G(z))] (Clark et al. 2019, 2.2); the discriminators stand still."""
    dtype = torch.bfloat16 if spec.bf16 else None
    trainable(level.discriminators.values(), False)
    optimisers.generator.zero_grad(set_to_none=True)
    logged: list[Scalars] = []
    for micro in batch:
        real = micro.real if spec.variety is None else micro.real.rows(spec.variety.rows(len(micro.z)))
        fake = level.generate_fake(real, micro.z, micro.below(), statistics, dtype)
        (on_fake,) = level.discriminate([fake], [micro.fake_draws], dtype)
        loss = level.spec.objective.generator_loss(on_fake)
        scalars = {"loss/generator": loss}
        if spec.pixel_loss is not None and step >= spec.pixel_loss.start:
            pixels = spec.pixel_loss.loss(real.clip, fake.clip)  # Du 2020, Eq. 4.1
            loss, scalars["loss/pixels"] = loss + pixels, pixels
        if spec.variety is not None:
            nearest = spec.variety.loss(real.clip, fake.clip)
            loss, scalars["loss/variety"] = loss + nearest, nearest
        (loss / len(batch)).backward()
        logged.append(scalars)
    if spec.orthogonal_penalty:
        penalty = orthogonal_penalty(level.generator)
        (spec.orthogonal_penalty * penalty).backward()
    replicas.average_gradients(level.generator)
    if monitor is not None:
        monitor.gradients({"generator": level.generator})
    optimisers.generator.step()
    power_iterate(level.generator)
    return mean_scalars(logged)


def class_loss(
    level: AdversarialLevel, margin: ClassMarginSpec, features: Mapping[str, Tensor], label: Tensor
) -> Tensor:
    """Sum over discriminators of the class margin's loss on real clips."""
    losses = [margin.loss(level.discriminator(name).head, h, label) for name, h in features.items()]
    return torch.stack(losses).sum()


def discriminator_scalars(
    level: AdversarialLevel, on_real: Sequence[Tensor], on_fake: Sequence[Tensor]
) -> Scalars:
    """What enters the hinge of each discriminator, in the mean over real and over fake clips."""
    table = {}
    by_discriminator = level.spec.objective.by_discriminator
    for name, real, fake in zip(
        level.discriminators, by_discriminator(on_real), by_discriminator(on_fake), strict=True
    ):
        table[f"discriminator/{name}/real"] = real.detach().mean()
        table[f"discriminator/{name}/fake"] = fake.detach().mean()
    return table


def mean_scalars(logged: Sequence[Scalars]) -> Scalars:
    """Means over micro-batches."""
    return {name: torch.stack([scalars[name].detach() for scalars in logged]).mean() for name in logged[0]}


BelowSource = Callable[[Tensor, int, int, int], Tensor]
"""(labels, step, update, first global index) -> the lower level's video for fake clips (B T' 3 h w)."""


def data_indices(spec: TrainingSpec, replicas: Replicas, step: int) -> Iterator[Sequence[int]]:
    """Indices into the endless stream of items for every batch that is read from ``step`` on, this replica's share."""
    batch, share = step * spec.discriminator_updates, spec.batch.share(replicas.size).clips
    while True:
        first = batch * spec.batch.global_batch + replicas.rank * share
        yield range(first, first + share)
        batch += 1


class Randomness:
    """Draws for the global batch, sliced by replica and cut into micro-batches; a function of (seed, level, step)."""

    def __init__(self, spec: TrainingSpec, index: int, level: AdversarialLevel, replicas: Replicas) -> None:
        self.spec = spec
        self.index = index
        self.level = level
        self.replicas = replicas

    def micro_batches(
        self,
        step: int,
        update: int,
        real: DiscriminatorInput,
        source: BelowSource | None,
        device: torch.device,
    ) -> list[MicroBatch]:
        """The micro-batches of update number ``update`` of ``step``; the generator's comes after the
        discriminators'."""
        clips, (share, per_pass) = self.spec.batch.global_batch, self.spec.batch.share(self.replicas.size)
        place = (self.index, step, update)
        z = torch.randn((clips, self.level.latent), generator=self._stream("noise", place))
        z = self.replicas.slice(z)
        of_real = self._draws(self._stream("views of real", place))
        of_fake = self._draws(self._stream("views of fake", place))
        places = self.level.places(clips, self._stream("places", place))
        real = self.level.at(real, self.replicas.slice(places))
        micro_batches = []
        for start in range(0, share, per_pass):
            rows = slice(start, start + per_pass)
            part = real.rows(rows)
            first = self.replicas.rank * share + start
            micro_batches.append(
                MicroBatch(
                    part,
                    z[rows].to(device, non_blocking=True),
                    _feed(source, part.label, step, update, first),
                    {name: draw[rows].to(device, non_blocking=True) for name, draw in of_real.items()},
                    {name: draw[rows].to(device, non_blocking=True) for name, draw in of_fake.items()},
                )
            )
        return micro_batches

    def _draws(self, rng: torch.Generator) -> Draws:
        draws = self.level.draws(self.spec.batch.global_batch, rng)
        return {name: self.replicas.slice(draw) for name, draw in draws.items()}

    def _stream(self, purpose: str, place: tuple[int, ...]) -> torch.Generator:
        return stream(self.spec.seed, purpose, *place)


def _feed(
    source: BelowSource | None, label: Tensor, step: int, update: int, first: int
) -> Callable[[], Tensor | None]:
    if source is None:
        return lambda: None
    return lambda: source(label, step, update, first)


class LevelState:
    """A level in training, or all of them together. Levels count from 0 here and from 1 wherever people read."""

    def __init__(self, experiment: Experiment, index: int, device: torch.device) -> None:
        training = experiment.training
        self.index = index
        with torch.device("meta" if device.type == "meta" else "cpu"):
            self.level = initial_level(experiment, index, training.seed)
        self.level.to(device)
        self.optimisers = Optimisers(
            adam(self.level.generator, training.adam, training.adam.generator_rate),
            adam(self.level.discriminators, training.adam, training.adam.discriminator_rate),
        )
        self.average = None
        if training.average is not None:
            self.average = WeightAverage(self.level.generator, training.average)
        self.step = 0

    def sampling_generators(self, averaged: bool = True) -> tuple[Generator, ...]:
        """The generators that are trained here as sampling uses them, from the lowest level.

        Args:
            averaged: the average where there is one, else the raw weights.
        """
        raw = generators_in(self.level.generator)
        if self.average is None or not averaged:
            return raw
        return tuple(map(refresh_spectral_norm, generators_in(self.average.module), raw))

    def tensors(self) -> dict[str, Tensor]:
        """All state as named tensors."""
        table = {f"level/{name}": t for name, t in self.level.state_dict().items()}
        if self.average is not None:
            table |= {f"average/{name}": t for name, t in self.average.module.state_dict().items()}
        generator, discriminators = self._names()
        table |= optimiser_state("adam/generator", self.optimisers.generator, generator)
        table |= optimiser_state("adam/discriminators", self.optimisers.discriminators, discriminators)
        return table

    def restore(self, tensors: dict[str, Tensor], step: int) -> None:
        """Continue from :meth:`tensors` of a level with the same spec."""
        self.level.load_state_dict(part(tensors, "level/"))
        if self.average is not None:
            self.average.module.load_state_dict(part(tensors, "average/"))
        generator, discriminators = self._names()
        load_optimiser_state("adam/generator", self.optimisers.generator, generator, tensors)
        load_optimiser_state("adam/discriminators", self.optimisers.discriminators, discriminators, tensors)
        self.step = step

    def _names(self) -> tuple[list[str], list[str]]:
        generator = [name for name, _ in self.level.generator.named_parameters()]
        return generator, [name for name, _ in self.level.discriminators.named_parameters()]


def generators_in(module: torch.nn.Module) -> tuple[Generator, ...]:
    """A generator alone, or those of all levels."""
    found = module if isinstance(module, torch.nn.ModuleList) else [module]
    return tuple(generator for generator in found if isinstance(generator, Generator))


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


def frozen_source(
    levels: Sequence[FrozenLevel], spec: LevelSpec, below: Below, training: TrainingSpec
) -> BelowSource:
    """Windows of the levels' videos for the fake clips of a level above them.

    Noise and the window's place are drawn per clip from its global index, so they do not depend on
    replicas and micro-batches.

    Args:
        levels: the frozen levels underneath.
        spec: the level in training.
    """
    frames = spec.trained_frames // below.factor
    places = levels[-1].spec.frames - frames + 1
    batch = training.batch.global_batch

    def sample(label: Tensor, step: int, update: int, first: int) -> Tensor:
        rows = slice(first, first + len(label))

        def noise(level: int, dimension: int) -> Tensor:
            rng = stream(training.seed, "noise below", len(levels), level, step, update)
            return torch.randn((batch, dimension), generator=rng)[rows].to(label.device)

        rng = stream(training.seed, "window below", len(levels), step, update)
        start = torch.randint(0, places, (batch,), generator=rng)[rows]
        return sample_window(levels, noise, by_label(label), start, frames)

    return sample
